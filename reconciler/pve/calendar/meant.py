"""The likely intention behind an invalid calendar event."""

from __future__ import annotations

import re

from reconciler.pve.calendar.cron import DAYS, from_cron, looks_like_cron
from reconciler.pve.calendar.event import parse

_DAY = (
    r"(?:(?:mon|fri|sun)(?:days?)?|tue(?:s|sdays?)?|wed(?:nesdays?)?|thu(?:rs?|rsdays?)?"
    r"|sat(?:urdays?)?)"
)
_RANGE = re.compile(rf"\b({_DAY})\s*(?:[-\u2010-\u2015]|\.{{1,3}}|\bto\b|\bthrough\b)\s*({_DAY})\b")
_TWELVE = re.compile(r"\b(1[0-2]|0?[1-9])(?:[:.]([0-5]\d))?\s*([ap])\.?m\b\.?")
_DOT = re.compile(r"\b([01]?\d|2[0-3])[.h]([0-5]\d)\b")
_HOURS = re.compile(r"\b(\d{1,2})\s*[-\u2010-\u2015]\s*(\d{1,2}):")
_FILLERS = re.compile(r"\b(?:at|every|each|on|day|days|daily|and|o'clock|uhr)\b|[;&+]")
_WORDS = {
    "weekdays": "mon..fri",
    "workdays": "mon..fri",
    "weekends": "sat,sun",
    "weekend": "sat,sun",
    "noon": "12:00",
    "midnight": "00:00",
}


def advice(text: str) -> str:
    """What to write instead of a schedule that is not a calendar event; "" where it is unknown."""
    events = from_cron(text)
    if len(events) > 1:
        first, second = events
        return (
            "this looks like cron, which runs it on either day: write two jobs, "
            f"'{first}' and '{second}'"
        )
    if events:
        return f"this looks like cron: write '{events[0]}'"
    if looks_like_cron(text):
        return "this looks like cron: write calendar events, such as '02:30' or 'mon..fri 22:00'"
    event = _meant(text)
    return f"did you mean '{event}'?" if event else ""


def _meant(text: str) -> str:
    """The calendar event of a phrase such as `Mon-Fri 2am`; "" where none was found."""
    words = _RANGE.sub(lambda found: f"{found[1][:3]}..{found[2][:3]}", text.lower())
    words = re.sub(r"\b[a-z]+\b", lambda found: _WORDS.get(found[0], found[0]), words)
    words = _TWELVE.sub(_twenty_four, words)
    words = _HOURS.sub(r"\1..\2:", _DOT.sub(r"\1:\2", words))
    if _is_event(words):
        return words
    words = _FILLERS.sub(" ", words)
    words = re.sub(rf"\b({_DAY})\b", lambda found: found[1][:3], words)
    parts = re.sub(r"\s*,\s*", ",", words).split()
    days = [part for part in parts if part[:3] in DAYS]
    rest = [part for part in parts if part[:3] not in DAYS]
    event = " ".join(filter(None, (",".join(days), *rest)))
    return event if _is_event(event) else ""


def _twenty_four(found: re.Match[str]) -> str:
    hour = int(found[1]) % 12 + (12 if found[3] == "p" else 0)
    return f"{hour:02}:{found[2] or '00'}"


def _is_event(text: str) -> bool:
    try:
        return not parse(text).minute_and_second
    except ValueError:
        return False
