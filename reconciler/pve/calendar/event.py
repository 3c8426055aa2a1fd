"""Parser of PVE's calendar events, with PVE's error messages.

The grammar is that of the crate proxmox-time (`calendar_event.rs`): a single number is a minute;
`25:00` is minute 25, second 0, since 25 is not an hour; a date that exists in no year is accepted.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.pve.calendar.runs import CalendarEvent, Field, Pattern, Steps, next_runs

__all__ = ["CalendarEvent", "next_runs", "parse"]

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_NUMBERS = {name[:length]: n for n, name in enumerate(_DAYS) for length in (3, len(name))}


def parse(text: str) -> CalendarEvent:
    """Parse an event; raises ValueError with PVE's message for an invalid one."""
    try:
        return _event(text, text.strip())
    except _RefusedError as refusal:
        raise ValueError(f"invalid calendar event '{text}' - {refusal}") from None


# A parser takes the remaining text and returns the value and the rest, or None.
_Parsed = tuple[Field, str] | None
_Parser = Callable[[str], _Parsed]


class _RefusedError(ValueError):
    def __init__(self, rest: str, why: str) -> None:
        super().__init__(f"unable to parse calendar event at '{rest}' - {why}")


_ZERO: Field = (Steps(0),)
_MIDNIGHT = {"hour": _ZERO, "minute": _ZERO, "second": _ZERO}
_FIRST = {**_MIDNIGHT, "day": (Steps(1),)}
_KEYWORDS: dict[str, dict[str, Field]] = {
    "minutely": {"second": _ZERO},
    "hourly": {"minute": _ZERO, "second": _ZERO},
    "daily": _MIDNIGHT,
    "weekly": _MIDNIGHT,
    "monthly": _FIRST,
    "yearly": {**_FIRST, "month": (Steps(1),)},
    "annually": {**_FIRST, "month": (Steps(1),)},
    "quarterly": {**_FIRST, "month": tuple(Steps(month) for month in (1, 4, 7, 10))},
    "semiannually": {**_FIRST, "month": (Steps(1), Steps(7))},
    "semi-annually": {**_FIRST, "month": (Steps(1), Steps(7))},
}


def _event(text: str, rest: str) -> CalendarEvent:
    if not rest:
        raise ValueError(
            f"invalid calendar event '{text}' - unable to parse calendar event - event is empty"
        )
    utc = rest.endswith("UTC")
    if utc:
        rest = rest.removesuffix("UTC").rstrip(" ")
    if rest in _KEYWORDS:
        weekly = frozenset[int]({0} if rest == "weekly" else ())
        return CalendarEvent(text, Pattern(**_KEYWORDS[rest]), weekly, utc)
    days = frozenset[int]()
    if rest[:1].isascii() and rest[:1].isalpha():
        days, rest = _weekdays(rest)
    date, rest = _date(rest)
    time, rest, minute_and_second = _time(rest)
    if not (days or date or time):
        raise _RefusedError(rest, 'Context("date or time specification")')
    if rest:
        raise _RefusedError(rest, "Nom(Eof)")
    pattern = Pattern(**(date or {}), **(time or _MIDNIGHT))
    return CalendarEvent(text, pattern, days, utc, minute_and_second)


def _weekdays(rest: str) -> tuple[frozenset[int], str]:
    """`mon`, `mon..fri`, `fri..mon` and lists of them; at least one is required."""
    found: set[int] = set()
    first, word, rest = _weekday(rest)
    if first is None:
        raise _RefusedError(word, 'Context("weekday")')
    while first is not None:
        last = first
        if rest.startswith(".."):
            end, _, behind = _weekday(rest[2:])
            if end is not None:
                last, rest = end, behind
        found.update((first + n) % 7 for n in range((last - first) % 7 + 1))
        if not rest.startswith(","):
            break
        first, _, behind = _weekday(rest[1:])
        if first is not None:
            rest = behind
    return frozenset(found), rest.lstrip(" \t")


def _weekday(rest: str) -> tuple[int | None, str, str]:
    """The number of the day, the word that was read, and the rest."""
    length = 0
    while length < len(rest) and rest[length].isascii() and rest[length].isalpha():
        length += 1
    word = rest[:length]
    return _DAY_NUMBERS.get(word.lower()), word, rest[length:]


def _date(rest: str) -> tuple[dict[str, Field] | None, str]:
    """`Y-M-D` or `M-D`; consumes trailing whitespace, too."""
    year, month, day = _values(2200, start=0), _values(13, start=1), _values(32, start=1)
    for names, parsers in (
        (("year", "month", "day"), (year, month, day)),
        (("month", "day"), (month, day)),
    ):
        found = _sequence(rest, "-", parsers)
        if found is not None:
            return dict(zip(names, found[0], strict=True)), found[1].lstrip(" \t")
    return None, rest


def _time(rest: str) -> tuple[dict[str, Field] | None, str, bool]:
    """`H:M:S`, `H:M`, `M:S` if the first is not an hour, `M`; and whether it was `M:S`."""
    hours, minutes = _values(24, start=0), _values(60, start=0)
    hour: Field | None = None
    found = hours(rest)
    if found is not None and found[1].startswith(":"):
        hour, behind = found[0], found[1][1:]
        found = minutes(behind)
    else:
        found = minutes(rest)
    if found is None:
        return None, rest, False
    minute, rest = found
    second: Field = _ZERO
    seconds = minutes(rest[1:]) if rest.startswith(":") else None
    if seconds is not None:
        second, rest = seconds
    field = {"hour": hour or (), "minute": minute, "second": second}
    return field, rest, hour is None and seconds is not None


def _sequence(
    rest: str, separator: str, parsers: tuple[_Parser, ...]
) -> tuple[list[Field], str] | None:
    fields: list[Field] = []
    for parser in parsers:
        if fields:
            if not rest.startswith(separator):
                return None
            rest = rest.removeprefix(separator)
        found = parser(rest)
        if found is None:
            return None
        fields.append(found[0])
        rest = found[1]
    return fields, rest


def _values(limit: int, *, start: int) -> _Parser:
    """`*`, `*/n`, or a list of `a`, `a..b`, `a/n`, `a..b/n` with numbers below `limit`."""

    def read(rest: str) -> _Parsed:
        if rest.startswith("*"):
            if not rest.startswith("*/"):
                return (), rest[1:]
            step = _number(rest[2:], limit)
            if step is None:
                return None
            return ((Steps(start, step[0]),), step[1]) if step[0] else ((), rest[1:])
        found = _value(rest, limit)
        values: list[Steps] = []
        while found is not None:
            values.append(found[0])
            rest = found[1]
            found = _value(rest[1:], limit) if rest.startswith(",") else None
        return (tuple(values), rest) if values else None

    return read


def _value(rest: str, limit: int) -> tuple[Steps, str] | None:
    found = _number(rest, limit)
    if found is None:
        return None
    (start, rest), end, step = found, None, 0
    last = _number(rest[2:], limit) if rest.startswith("..") else None
    if last is not None:
        end, rest = last
        step = 1
        if start > end:
            return None
    if rest.startswith("/"):
        repeat = _number(rest[1:], limit)
        if repeat is None:
            return None
        step, rest = repeat
    return Steps(start, step, end), rest


def _number(rest: str, limit: int) -> tuple[int, str] | None:
    length = 0
    while length < len(rest) and rest[length] in "0123456789":
        length += 1
    if not length or int(rest[:length]) >= limit:
        return None
    return int(rest[:length]), rest[length:]
