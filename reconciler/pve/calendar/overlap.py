"""Whether two calendar events fall into the same hour."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import lru_cache

from reconciler.pve.calendar.runs import CalendarEvent, Field

_YEARS = range(2000, 2100)
_CYCLE = (2024, 2025, 2026, 2027)
"""Representative years for an event without a year: they include a leap year and every weekday."""


def same_hour(first: CalendarEvent, second: CalendarEvent) -> bool:
    """Both events are taken in the same clock: UTC and local time are not told apart."""
    years = tuple(sorted(_years(first) & _years(second)))
    if not years or _hours(first).isdisjoint(_hours(second)):
        return False
    looked_at = years if len(years) < len(_YEARS) else _CYCLE
    return not _days(first, looked_at).isdisjoint(_days(second, looked_at))


@lru_cache(maxsize=256)
def _years(event: CalendarEvent) -> frozenset[int]:
    return frozenset(year for year in _YEARS if _allows(event.pattern.year, year))


@lru_cache(maxsize=256)
def _hours(event: CalendarEvent) -> frozenset[int]:
    return frozenset(hour for hour in range(24) if _allows(event.pattern.hour, hour))


@lru_cache(maxsize=256)
def _days(event: CalendarEvent, years: tuple[int, ...]) -> frozenset[tuple[int, int, int]]:
    """(year, month, day) of every run in these years."""
    pattern = event.pattern
    return frozenset(
        (day.year, day.month, day.day)
        for day in _all_days(years)
        if _allows(pattern.year, day.year)
        and _allows(pattern.month, day.month)
        and _allows(pattern.day, day.day)
        and (not event.days or day.weekday() in event.days)
    )


def _all_days(years: Iterable[int]) -> Iterable[dt.date]:
    for year in years:
        day = dt.date(year, 1, 1)
        while day.year == year:
            yield day
            day += dt.timedelta(days=1)


def _allows(field: Field, value: int) -> bool:
    return not field or any(value in steps for steps in field)
