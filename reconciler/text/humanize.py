"""Format numbers, times and lists for display."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

SHOWN = 4
"""Names that a sentence lists; where there are more than one more, the rest is counted."""


def noun(number: int, singular: str, plural: str = "") -> str:
    """`error` for one, `errors` for any other number."""
    return singular if number == 1 else plural or f"{singular}s"


def count(number: int, singular: str, plural: str = "") -> str:
    """`1 error`, `2 errors`, `12,000 entries`."""
    return f"{number:,} {noun(number, singular, plural)}"


def counts(pairs: Iterable[tuple[int, str]]) -> str:
    """`1 error, 2 warnings`; zero counts are left out."""
    return ", ".join(count(number, singular) for number, singular in pairs if number)


def moment(seconds: float) -> str:
    """Unix seconds as a date where that is midnight UTC, otherwise with the time of day, UTC."""
    try:
        found = datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        return f"{seconds} (Unix seconds)"
    if int(seconds) % 86400 == 0:
        return found.strftime("%Y-%m-%d")
    return found.strftime("%Y-%m-%d %H:%M:%S UTC" if found.second else "%Y-%m-%d %H:%M UTC")


def clock(seconds: float) -> str:
    """The time of day (UTC) of Unix seconds that this program wrote."""
    return f"{datetime.fromtimestamp(int(seconds), UTC):%H:%M:%S}"


def listed(items: Sequence[str], most: int) -> str:
    """All items, or the first `most` and the number of others."""
    if len(items) <= most:
        return ", ".join(items)
    return f"{', '.join(items[:most])} and {len(items) - most:,} more"


def in_prose(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; beyond five the rest is counted."""
    if len(items) > SHOWN + 1:
        return f"{', '.join(items[:SHOWN])} and {len(items) - SHOWN} others"
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


LONGEST = 1000
"""Characters of a text that are shown where a file or a server may have made it any length."""


def shortened(text: str) -> str:
    """The text, or its beginning and how long it is."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}... ({len(text):,} characters)"


def hint_lines(hint: str) -> list[str]:
    """The lines of a hint, which may contain commands, each on its own line."""
    return hint.split("\n") if hint else []


def size(number: int) -> str:
    """Bytes in the largest unit that leaves at least 1: `1.5 GiB`, `512 B`."""
    value, units = float(number), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{number} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def duration(seconds: int) -> str:
    """The two largest units: `3 d 4 h`, `5 min`, `12 s`."""
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, seconds = divmod(seconds, length)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"
