"""Calendar events: the recorded runs and refusals of PVE, and what they do when clocks change."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reconciler.pve.calendar.event import next_runs, parse

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "calendar.json").read_text())
VIENNA = ZoneInfo("Europe/Vienna")


@pytest.mark.parametrize("case", RECORDED["events"], ids=lambda case: case["schedule"] or "empty")
def test_an_event_runs_or_is_refused_as_pve_recorded(case: dict) -> None:
    if "refusal" in case:
        with pytest.raises(ValueError, match="calendar event") as refused:
            parse(case["schedule"])
        assert str(refused.value) == case["refusal"]
    else:
        start = datetime.fromtimestamp(RECORDED["start"], UTC)
        runs = next_runs(parse(case["schedule"]), start, RECORDED["count"])
        assert [int(run.timestamp()) for run in runs] == case["runs"]


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("mon,foo 1:00", ",foo 1:00", "Nom(Eof)"),
        ("mon..foo", "..foo", "Nom(Eof)"),
        ("daily2", "daily", 'Context("weekday")'),
        ("Daily", "Daily", 'Context("weekday")'),
        ("UTC", "", 'Context("date or time specification")'),
        ("5..3:00", "5..3:00", 'Context("date or time specification")'),
        ("1,70:00", ",70:00", "Nom(Eof)"),
        ("*/x", "*/x", 'Context("date or time specification")'),
        ("1:2:3:4", ":4", "Nom(Eof)"),
        ("23:59:60", ":60", "Nom(Eof)"),
        ("*:60", "*:60", 'Context("date or time specification")'),
        ("*-*-* *:*:*/70", ":*/70", "Nom(Eof)"),
        ("2200-01-01", "2200-01-01", 'Context("date or time specification")'),
        ("12:00 utc", " utc", "Nom(Eof)"),
    ],
)
def test_a_refusal_names_the_place_as_pve_does(text: str, where: str, why: str) -> None:
    with pytest.raises(ValueError, match="calendar event") as refused:
        parse(text)
    expected = f"invalid calendar event '{text}' - unable to parse calendar event at '{where}'"
    assert str(refused.value) == f"{expected} - {why}"


@pytest.mark.parametrize("text", ["24:00", "sun 24:00", "25:0/5"])
def test_an_hour_that_is_none_is_known_to_be_a_minute(text: str) -> None:
    assert parse(text).minute_and_second


@pytest.mark.parametrize("text", ["23:00", "*:24:00", "30", "daily", "mon"])
def test_ordinary_times_are_not_taken_for_minute_and_second(text: str) -> None:
    assert not parse(text).minute_and_second


def test_a_past_or_impossible_date_never_runs() -> None:
    now = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
    for text in ("2020-01-01", "*-02-30", "2026-01..08-*", "2027-02-30"):
        assert parse(text).next_after(now) is None


def test_a_run_is_later_than_the_instant_asked_about() -> None:
    event = parse("02:30")
    at = datetime(2026, 9, 21, 2, 30, tzinfo=UTC)
    assert event.next_after(at) == at + timedelta(days=1)
    assert event.next_after(at - timedelta(microseconds=1)) == at


def test_a_step_may_jump_over_the_full_hour_as_in_pve() -> None:
    runs = next_runs(parse("*:0/7"), datetime(2026, 9, 21, 14, 50, tzinfo=UTC), 2)
    assert [f"{run:%H:%M}" for run in runs] == ["14:56", "15:07"]


def test_local_time_is_kept_when_the_clock_changes() -> None:
    runs = next_runs(parse("04:00"), datetime(2026, 10, 24, 12, tzinfo=VIENNA), 2)
    assert [f"{run:%d %H:%M %z}" for run in runs] == ["25 04:00 +0100", "26 04:00 +0100"]


def test_an_event_in_utc_ignores_the_local_clock() -> None:
    runs = next_runs(parse("02:30 UTC"), datetime(2026, 10, 24, 12, tzinfo=VIENNA), 2)
    assert [f"{run:%d %H:%M}" for run in runs] == ["25 03:30", "26 03:30"]


def test_a_time_that_the_clock_skips_does_not_run_that_day() -> None:
    runs = next_runs(parse("02:30"), datetime(2027, 3, 27, 1, tzinfo=VIENNA), 2)
    assert [f"{run:%d %H:%M}" for run in runs] == ["27 02:30", "29 02:30"]


def test_runs_go_forward_through_the_repeated_hour() -> None:
    start = datetime(2026, 10, 24, 23, 30, tzinfo=UTC).astimezone(VIENNA)
    runs = next_runs(parse("*:0/30"), start, 6)
    assert runs == sorted(runs, key=datetime.timestamp)
    assert len({run.timestamp() for run in runs}) == 6
