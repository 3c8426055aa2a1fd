"""What a job will hold, week by week."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.planning.backups.retention_forecast import MOST_RUNS, WEEKS, forecast

NOW = int(datetime(2026, 11, 28, 12, 0, tzinfo=UTC).timestamp())
DAY = 86400


def held(schedule: str, **keep: int) -> list[int]:
    """How many archives there are after each week."""
    rules = {f"keep-{name}": number for name, number in keep.items()}
    return [len(week.held) for week in forecast("j", schedule, rules, NOW).weeks]


def test_each_week_brings_what_the_rules_leave() -> None:
    assert held("02:30") == [7 * week for week in range(1, WEEKS + 1)]
    assert held("02:30", last=3) == [3] * WEEKS
    assert held("mon 04:00", last=3) == [1, 2, 3, 3, 3, 3, 3, 3]
    assert held("02:30", daily=7, weekly=4)[-1] == 11


def test_the_oldest_is_as_old_as_the_last_rule_reaches() -> None:
    last = forecast("j", "02:30", {"keep-daily": 7, "keep-weekly": 4}, NOW).weeks[-1]
    assert 28 * DAY < last.until - last.held[0] < 36 * DAY


def test_a_schedule_of_every_minute_is_cut_short() -> None:
    told = forecast("j", "*:*", {"keep-last": 5}, NOW)
    assert not told.complete
    assert MOST_RUNS < 7 * 24 * 60
    (so_far,) = told.weeks
    assert len(so_far.held) == 5


def test_a_schedule_that_ends_is_drawn_to_the_end() -> None:
    assert held("2026-12-01 04:00", last=2) == [1] * WEEKS
    with pytest.raises(ValueError, match="calendar event"):
        forecast("j", "never", {}, NOW)
