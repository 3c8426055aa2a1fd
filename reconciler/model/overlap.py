"""Whether two calendar events fall into the same hour."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import lru_cache

from reconciler.model.schedule import CalendarEvent, Field

_YEARS = range(2000, 2100)
_CYCLE = range(2024, 2028)
"""Stands for all years where an event names none: with a leap year, and every weekday."""


def same_hour(first: CalendarEvent, second: CalendarEvent) -> bool:
    """Both counted in the same clock: a difference between UTC and local time is not looked at."""
    return not (_hours(first).isdisjoint(_hours(second)) or _days(first).isdisjoint(_days(second)))


@lru_cache(maxsize=256)
def _hours(event: CalendarEvent) -> frozenset[int]:
    return frozenset(hour for hour in range(24) if _allows(event.pattern.hour, hour))


@lru_cache(maxsize=256)
def _days(event: CalendarEvent) -> frozenset[tuple[int, int, int]]:
    """(year, month, day) of every run; years of the cycle where the event names no year."""
    pattern = event.pattern
    named = [year for year in _YEARS if _allows(pattern.year, year)] if pattern.year else _CYCLE
    return frozenset(
        (day.year, day.month, day.day)
        for day in _all_days(named)
        if _allows(pattern.month, day.month)
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
