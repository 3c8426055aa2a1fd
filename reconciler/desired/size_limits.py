"""Limits on the size of a state folder: far above what Proxmox VE accepts, far below what harms a
machine.

Files may come from anyone, and a few lines can expand to millions of objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.model.finding import Finding, Severity, Source

LARGEST = 8 * 1024 * 1024
"""Bytes of one file; pmxcfs takes 1 MiB."""

DEEPEST = 50
"""Lists and tables within each other."""

MOST_SLIPS = 100
"""Syntax errors of one file that are looked for, each by reading it once more."""

FILLED_IN = 1024 * 1024
"""Characters that the variables of one file may fill in; each list element and key counts, too."""

EXPANDED = 8 * 1024 * 1024
"""The same for everything that the templates of a folder stand for, what is filled in included."""

MOST_VALUES = 10_000
"""How often templates are expanded: a nested one counts for each value of those around it."""

MOST_INCLUDED = 1000
"""Files that are included."""

ELEMENT = 16
"""What an element counts beside its characters."""

INTEGER_BITS = 63
"""TOML's integers have 64 bits with their sign."""

_LONG = re.compile(r"[0-9][0-9_]{400,}")
_OPENING = re.compile(r"[\[{]")

Path = tuple[Any, ...]


def too_large(message: str, hint: str, source: Source) -> Finding:
    """The finding for something above a limit."""
    return Finding("TOO_LARGE", Severity.ERROR, message, hint, source=source)


class Room:
    """The rest of a limit; exceeding it is reported once."""

    def __init__(self, size: int, message: str, hint: str) -> None:
        self.left = size
        self.message = message
        self.hint = hint

    @classmethod
    def of_variables(cls) -> Room:
        """For the variables of one file."""
        message = f"the variables of this file fill in more than {FILLED_IN // 1024} KiB"
        return cls(FILLED_IN, message, "use it less often, or shorten its value")

    @classmethod
    def of_templates(cls) -> Room:
        """For the templates of a folder."""
        message = f"the [[each]] templates expand to more than {EXPANDED // 1024 // 1024} MiB"
        return cls(EXPANDED, message, "shorten the list or the template; was a nested list meant?")

    def take(self, size: int, source: Source) -> Finding | None:
        """Take this much; the finding where that is too much for the first time."""
        before, self.left = self.left, min(self.left, self.left - size)
        if before >= 0 > self.left:
            return too_large(self.message, self.hint, source)
        return None

    @property
    def is_exceeded(self) -> bool:
        """Whether more was taken than there was."""
        return self.left < 0


TOO_DEEP = f"lists and tables are more than {DEEPEST} deep here"
TOO_LONG = "the number does not fit into 64 bits"


def offence(data: Mapping[str, Any]) -> tuple[Path, str] | None:
    """The keys that lead to a value that is nested too deeply or has too many digits, and which of
    these it is; None for valid data.
    """
    waiting: list[tuple[Any, int, Any]] = [(data, 0, None)]
    while waiting:
        value, depth, path = waiting.pop()
        if isinstance(value, int):
            if value.bit_length() > INTEGER_BITS:
                return _unlinked(path), TOO_LONG
            continue
        if depth > DEEPEST:
            return _unlinked(path), TOO_DEEP
        items = value.items() if isinstance(value, dict) else enumerate(value)
        waiting += [
            (inner, depth + 1, (path, key))
            for key, inner in items
            if isinstance(inner, dict | list | int)
        ]
    return None


def _unlinked(path: Any) -> Path:
    keys: list[Any] = []
    while path is not None:
        path, key = path
        keys.append(key)
    return tuple(reversed(keys))


def long_number(text: str) -> int:
    """The offset of the first number with more digits than Python reads; 0 where there is none."""
    found = _LONG.search(text)
    return found.start() if found else 0


def deepest_bracket(text: str) -> int:
    """The offset of a bracket where the text is nested more deeply than Python can parse."""
    depth = 0
    for found in re.finditer(r"[\[\]{}]", text):
        depth += 1 if _OPENING.match(found[0]) else -1
        if depth > DEEPEST:
            return found.start()
    return 0


def weight(value: Any) -> int:
    """How much a variable counts towards the limit each time it is filled in."""
    total, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        total += ELEMENT
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            waiting += one
        else:
            total += len(str(one))
    return total
