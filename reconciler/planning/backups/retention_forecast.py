"""What a backup job will hold in the next weeks, with nothing but its schedule and its rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice

from reconciler.model.backups import Forecast, Week
from reconciler.pve.calendar.event import parse
from reconciler.pve.calendar.runs import runs
from reconciler.pve.retention import PruneMark, Saved, verdicts

WEEKS = 8
MOST_RUNS = 1500
"""Runs that are looked at; a schedule of many runs a day does not reach the last week."""


def forecast(job: str, schedule: str, rules: Mapping[str, int], now: int) -> Forecast:
    """Beginning `now`, in Unix seconds, with an empty storage; each run makes one archive per guest
    and then removes what the rules do not keep. Raises ValueError for a schedule that is none."""
    start = datetime.fromtimestamp(now, UTC)
    held: list[int] = []
    weeks: list[Week] = []
    looked_at = 0
    for moment in islice(runs(parse(schedule), start), MOST_RUNS):
        looked_at += 1
        _reach(weeks, start, moment, held)
        if len(weeks) == WEEKS:
            break
        held = _after_run([*held, int(moment.timestamp())], rules)
    complete = looked_at < MOST_RUNS or len(weeks) == WEEKS
    if complete:
        _reach(weeks, start, datetime.max.replace(tzinfo=UTC), held)
    else:
        weeks.append(Week(len(weeks) + 1, held[-1], tuple(held)))
    return Forecast(job, schedule, dict(rules), tuple(weeks), complete=complete)


def _reach(weeks: list[Week], start: datetime, moment: datetime, held: list[int]) -> None:
    """The weeks that have ended before `moment`."""
    while len(weeks) < WEEKS and moment > start + timedelta(weeks=len(weeks) + 1):
        weeks.append(_week(len(weeks) + 1, start, held))


def _week(number: int, start: datetime, held: list[int]) -> Week:
    return Week(number, int((start + timedelta(weeks=number)).timestamp()), tuple(held))


def _after_run(made: list[int], rules: Mapping[str, int]) -> list[int]:
    marks = verdicts([Saved(("", 0), one) for one in made], rules, UTC)
    return [one for one, mark in zip(made, marks, strict=True) if mark is not PruneMark.REMOVE]
