"""When PVE's calendar events run (the crate proxmox-time, `calendar_event.rs`), quirks included.

A step may jump over the start of the next hour (`*:0/7` runs at :56, then at :07), and an
impossible date never runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

_ATTEMPTS = 1001
"""PVE gives up after this many steps towards the next run."""


@dataclass(frozen=True, slots=True)
class Steps:
    """`start`, `start + step`, ... up to `end`, or without end; only `start` when `step` is 0."""

    start: int
    step: int = 0
    end: int | None = None

    def __contains__(self, value: int) -> bool:
        if value < self.start or (self.end is not None and value > self.end):
            return False
        return (value - self.start) % self.step == 0 if self.step else value == self.start

    def after(self, value: int) -> int | None:
        """The next value; it may be beyond the range of its field, as in PVE."""
        if value < self.start:
            return self.start
        if not self.step:
            return None
        found = self.start + ((value - self.start) // self.step + 1) * self.step
        return None if self.end is not None and found > self.end else found


Field = tuple[Steps, ...]
"""The allowed values of one part of a time; empty allows all."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """The wall times that an event allows, weekdays aside."""

    year: Field = ()
    month: Field = ()
    day: Field = ()
    hour: Field = ()
    minute: Field = ()
    second: Field = ()


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    """The parsed event; `days` are numbers from 0, Monday. `utc`: in UTC, else in the local time of
    the instant passed in. `minute_and_second`: two numbers were given and the first was read as a
    minute, as in `24:00`, which is hardly ever intended.
    """

    text: str
    pattern: Pattern
    days: frozenset[int] = frozenset()
    utc: bool = False
    minute_and_second: bool = False

    def next_after(self, instant: datetime) -> datetime | None:
        """The first run at least one second after `instant`, or None.

        The result has the time zone of `instant`; a naive instant is in the event's own clock.
        """
        here = instant.replace(microsecond=0)
        if self.utc and here.tzinfo is not None:
            found = self._search(here.astimezone(UTC))
            return found and found.astimezone(instant.tzinfo)
        return self._search(here)

    def _search(self, instant: datetime) -> datetime | None:
        moment = _plus_second(instant)
        for _ in range(_ATTEMPTS):
            if (
                not _allows(self.pattern.year, moment.year)
                and _after(self.pattern.year, moment.year) is None
            ):
                return None
            better = self._date_mismatch(moment) or self._time_mismatch(moment)
            if better is None:
                return moment
            moment = _existing(better, instant)
        return None

    def _date_mismatch(self, now: datetime) -> datetime | None:
        """The next date to try, or None when this one matches the event."""
        midnight = now.replace(hour=0, minute=0, second=0, fold=0)
        if not _allows(self.pattern.year, now.year):
            year = _after(self.pattern.year, now.year) or now.year + 1
            return midnight.replace(year=year, month=1, day=1)
        if not _allows(self.pattern.month, now.month):
            month = _after(self.pattern.month, now.month)
            return _month(midnight, 13 if month is None else month)
        if not _allows(self.pattern.day, now.day):
            day = _after(self.pattern.day, now.day)
            if day is None:
                return _month(midnight, now.month + 1)
            return midnight + timedelta(days=day - now.day)
        weekday = now.weekday()
        if self.days and weekday not in self.days:
            later = [day for day in self.days if day > weekday]
            return midnight + timedelta(days=min(later, default=7) - weekday)
        return None

    def _time_mismatch(self, now: datetime) -> datetime | None:
        """The next time to try, or None when the time of day matches the event."""
        midnight = now.replace(hour=0, minute=0, second=0, fold=0)
        if not _allows(self.pattern.hour, now.hour):
            hour = _after(self.pattern.hour, now.hour)
            return midnight + timedelta(hours=24 if hour is None else hour)
        full_hour = midnight.replace(hour=now.hour)
        if not _allows(self.pattern.minute, now.minute):
            minute = _after(self.pattern.minute, now.minute)
            return full_hour + timedelta(minutes=60 if minute is None else minute)
        full_minute = full_hour.replace(minute=now.minute)
        if not _allows(self.pattern.second, now.second):
            second = _after(self.pattern.second, now.second)
            return full_minute + timedelta(seconds=60 if second is None else second)
        return None


def next_runs(event: CalendarEvent, start: datetime, count: int) -> list[datetime]:
    """Up to `count` runs after `start`, fewer when the event ends."""
    return list(islice(runs(event, start), count))


def runs(event: CalendarEvent, start: datetime) -> Iterator[datetime]:
    """Every run after `start`; may be infinite."""
    found = event.next_after(start)
    while found is not None:
        yield found
        found = event.next_after(found)


def _allows(field: Field, value: int) -> bool:
    return not field or any(value in steps for steps in field)


def _after(field: Field, value: int) -> int | None:
    found = (steps.after(value) for steps in field)
    return min((value for value in found if value is not None), default=None)


def _month(midnight: datetime, month: int) -> datetime:
    """The first of that month; 13 and more are months of later years."""
    years, month = divmod(month - 1, 12)
    return midnight.replace(year=midnight.year + years, month=month + 1, day=1)


def _plus_second(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        return instant + timedelta(seconds=1)
    return (instant.astimezone(UTC) + timedelta(seconds=1)).astimezone(instant.tzinfo)


def _existing(moment: datetime, after: datetime) -> datetime:
    """The instant of a wall time. A time that the clock skips when it is set forward moves forward
    with it; of two instants with the same wall time the first is used, unless it is not after
    `after`.
    """
    if moment.tzinfo is None:
        return moment
    found = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return found if found.timestamp() > after.timestamp() else found.replace(fold=1)
