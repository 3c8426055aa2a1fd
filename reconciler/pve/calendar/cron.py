"""Schedules of cron as PVE's calendar events.

Fields as in `crontab(5)`: `*`, numbers, names of months and days, `a-b`, lists, and steps.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

_NICKNAMES: Mapping[str, str] = {
    "@hourly": "hourly",
    "@daily": "daily",
    "@midnight": "daily",
    "@weekly": "sun 00:00",
    "@monthly": "monthly",
    "@yearly": "yearly",
    "@annually": "yearly",
}
"""`weekly` of PVE is on Monday, that of cron on Sunday."""

_MONTH_NUMBERS = {name: number for number, name in enumerate(_MONTHS, 1)}
_DAY_NUMBERS = {name: number for number, name in enumerate(DAYS, 1)}

_LOOKS_LIKE_CRON = re.compile(r"(?:[0-9a-zA-Z*/,?#-]+\s+){4,5}[0-9a-zA-Z*/,?#-]+|@\w+")
_PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d{1,3}))?")


def looks_like_cron(text: str) -> bool:
    """Whether it has the form of a crontab's schedule, valid or not."""
    return _LOOKS_LIKE_CRON.fullmatch(text) is not None


def from_cron(text: str) -> tuple[str, ...]:
    """The calendar events that run at the same times; none where there are none or `text` is not
    a schedule of cron.

    Two events where cron means either of two: unless the day of the month or of the week begins
    with `*`, it runs on both, whereas an event needs both to be right.
    """
    if text.lower() in _NICKNAMES:
        return (_NICKNAMES[text.lower()],)
    fields = text.split()
    if len(fields) != 5:
        return ()
    try:
        minutes, hours = _values(fields[0], 0, 59), _values(fields[1], 0, 23)
        dates, months = _values(fields[2], 1, 31), _values(fields[3], 1, 12, _MONTH_NUMBERS)
        days = {(day - 1) % 7 for day in _values(fields[4], 0, 7, _DAY_NUMBERS)}
    except ValueError:
        return ()
    time, date, weekdays = _time(hours, minutes), _date(months, dates), _weekdays(days)
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    if not either:
        return (_event(weekdays, date, time),)
    month = _date(months, range(1, 32))
    if len(dates) == 31 or not weekdays:
        return (_event("", month, time),)
    return _event("", date, time), _event(weekdays, month, time)


def _event(weekdays: str, date: str, time: str) -> str:
    return " ".join(filter(None, (weekdays, date, time)))


def _values(
    field: str, first: int, last: int, names: Mapping[str, int] | None = None
) -> Collection[int]:
    """The numbers that a field allows; raises ValueError for what is not one."""
    found: set[int] = set()
    for part in field.split(","):
        matched = _PART.fullmatch(part)
        if matched is None:
            raise ValueError(part)
        star, start, end, step = matched.groups()
        low = first if star else _number(start, names or {})
        high = last if star or (step and not end) else _number(end or start, names or {})
        if not first <= low <= high <= last:
            raise ValueError(part)
        found.update(range(low, high + 1, int(step or 1)))
    return found


def _number(text: str, names: Mapping[str, int]) -> int:
    return names[text.lower()] if text.lower() in names else int(text)


def _time(hours: Collection[int], minutes: Collection[int]) -> str:
    minute, hour = _numbers(minutes, 0, 59, "02"), _numbers(hours, 0, 23, "02")
    if hour == "*" and minute.startswith("*/"):
        return minute
    return f"{hour}:{minute}"


def _date(months: Collection[int], dates: Collection[int]) -> str:
    """Month and day; "" for every one."""
    month, day = _numbers(months, 1, 12), _numbers(dates, 1, 31)
    return "" if month == day == "*" else f"*-{month}-{day}"


def _weekdays(days: Collection[int]) -> str:
    """From 0, Monday; "" for all."""
    if len(days) == 7:
        return ""
    return ",".join(
        DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]}{_between(run)}{DAYS[run[-1]]}"
        for run in _runs(sorted(days))
    )


def _between(run: Sequence[int]) -> str:
    return "," if len(run) == 2 else ".."


def _numbers(values: Collection[int], first: int, last: int, form: str = "") -> str:
    """As PVE writes them. Its steps may jump over the end of a range, so that only those that end
    with it are left open."""
    ordered = sorted(values)
    if len(ordered) == last - first + 1:
        return "*"
    step = ordered[1] - ordered[0] if len(ordered) > 2 else 0
    if step > 1 and ordered == list(range(ordered[0], ordered[-1] + 1, step)):
        if first == ordered[0] == 0 and ordered[-1] + step == last + 1:
            return f"*/{step}"
        return f"{ordered[0]:{form}}..{ordered[-1]:{form}}/{step}"
    return ",".join(
        f"{run[0]:{form}}" if len(run) == 1 else f"{run[0]:{form}}{_between(run)}{run[-1]:{form}}"
        for run in _runs(ordered)
    )


def _runs(ordered: Sequence[int]) -> list[list[int]]:
    """In pieces without a gap."""
    runs: list[list[int]] = []
    for value in ordered:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return runs
