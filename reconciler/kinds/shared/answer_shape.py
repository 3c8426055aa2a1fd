"""The shapes of Proxmox VE's answers, as tables; keys that no table names are ignored.

JSON from Perl distinguishes numbers and strings by accident: `1` and `"1"` are the same here, and
a number where a string is expected is converted in place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

_DIGITS = re.compile(r"-?[0-9]{1,18}")
_LARGEST = 10**18
_WORD = re.compile(r"[A-Za-z0-9.\-_]+")
_IDS = re.compile(r"[0-9]{1,18}([,;\s]+[0-9]{1,18})*")

_NAMES = {
    bool: "a boolean",
    dict: "an object",
    float: "a number with a fraction",
    int: "a number",
    list: "a list",
    str: "a string",
    type(None): "null",
}


class Shape(Protocol):
    """What a value must be."""

    def wrong(self, value: Any) -> str:
        """What is wrong, after its place: `row 3, "expire": string instead of a number`."""


@dataclass(frozen=True)
class Single:
    """A scalar; `what` says what is expected. `text`: numbers are converted to strings."""

    what: str
    fits: Callable[[Any], bool]
    text: bool = False

    def wrong(self, value: Any) -> str:
        if self.fits(value):
            return ""
        given = _NAMES.get(type(value), "something else")
        other = f"{given} that is not" if self.what.startswith(given) else f"{given} instead of"
        return f"{other} {self.what}"


@dataclass(frozen=True)
class Fields:
    """An object. Optional keys may be null, which means absent.

    `cases`: further keys by the value of one: `("type", {"qemu": ...})`.
    """

    required: Mapping[str, Shape] = field(default_factory=dict)
    optional: Mapping[str, Shape] = field(default_factory=dict)
    cases: tuple[str, Mapping[str, Fields]] | None = None

    def wrong(self, value: Any) -> str:
        if not isinstance(value, dict):
            return f"{_NAMES[type(value)]} instead of an object"
        for name, shape in self.required.items():
            if name not in value:
                return f"`{name}` is missing"
            if _is_plainly(shape, value[name]):  # most are: rows are many
                continue
            if complaint := _wrong(shape, value, name):
                return complaint
        for name, shape in self.optional.items():
            given = value.get(name)
            if given is None or _is_plainly(shape, given):
                continue
            if complaint := _wrong(shape, value, name):
                return complaint
        if self.cases is not None:
            name, cases = self.cases
            case = cases.get(value[name])
            return case.wrong(value) if case is not None else ""
        return ""


@dataclass(frozen=True)
class Rows:
    """A list of such objects."""

    row: Shape

    def wrong(self, value: Any) -> str:
        if not isinstance(value, list):
            return f"{_NAMES[type(value)]} instead of a list"
        for number, row in enumerate(value, 1):
            if complaint := self.row.wrong(row):
                return _placed(f"row {number}", complaint)
        return ""


@dataclass(frozen=True)
class Maybe:
    """Such a value, or null."""

    inner: Shape

    def wrong(self, value: Any) -> str:
        return "" if value is None else self.inner.wrong(value)


@dataclass(frozen=True)
class Named:
    """An object of any keys, each with such a value."""

    each: Shape

    def wrong(self, value: Any) -> str:
        if not isinstance(value, dict):
            return f"{_NAMES[type(value)]} instead of an object"
        for name in value:
            if not _is_name(name):
                return "a key that is not a name"
            if complaint := self.each.wrong(value[name]):
                return _placed(f"`{name}`", complaint)
        return ""


def _is_plainly(shape: Shape, value: Any) -> bool:
    """Whether a scalar is valid."""
    return type(shape) is Single and type(value) is str and shape.fits(value)


def _wrong(shape: Shape, row: dict[str, Any], name: str) -> str:
    value = row[name]
    if type(value) is int and isinstance(shape, Single) and shape.text:
        row[name] = str(value)
        return ""
    complaint = shape.wrong(value)
    return _placed(f"`{name}`", complaint) if complaint else ""


def _placed(place: str, complaint: str) -> str:
    """Places are joined by commas; the problem follows after a colon."""
    return (
        f"{place}, {complaint}" if complaint.startswith(("row ", "`")) else f"{place}: {complaint}"
    )


def _is_text(value: Any) -> bool:
    """A string that can be encoded: half a surrogate pair cannot."""
    if not isinstance(value, str):
        return False
    return value.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in value)


def _is_name(value: Any) -> bool:
    return _is_text(value) and value != "" and "\n" not in value and "\0" not in value


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _DIGITS.fullmatch(value) is not None
    return isinstance(value, int) and abs(value) < _LARGEST


def _is_flag(value: Any) -> bool:
    return value in ("", "0", "1", 0, 1) and not isinstance(value, float)


def _is_plain(value: Any) -> bool:
    """A string or a number; neither NaN nor an infinite one, which JSON does not have."""
    return _is_text(value) or (isinstance(value, int | float) and abs(value) < _LARGEST)


def _is_option(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_text(name) and _is_plain(one) for name, one in value.items())
    return all(map(_is_plain, value)) if isinstance(value, list) else _is_plain(value)


TEXT = Single("text", _is_text, text=True)
ID = Single("a string that can be a name", _is_name, text=True)
WORD = Single(
    "a name of letters, digits and .-_",
    lambda value: isinstance(value, str) and _WORD.fullmatch(value) is not None,
    text=True,
)
"""Names of groups and roles in user.cfg (AccessControl.pm)."""
PATH = Single("an ACL path", lambda value: _is_name(value) and value[0] == "/" and "|" not in value)
NUMBER = Single("a number without a fraction", _is_number)
COUNT = Single("a number from 0", lambda value: _is_number(value) and int(value) >= 0)
FLAG = Single("0 or 1", _is_flag)
BIT = Single("0 or 1", lambda value: value != "" and _is_flag(value))
LIST = Single(
    "a list of names",
    lambda value: _is_text(value) or (isinstance(value, list) and all(map(_is_text, value))),
    text=True,
)
IDS = Single(
    "a list of IDs",
    lambda value: value == "" or (_is_plain(value) and _IDS.fullmatch(str(value)) is not None),
)
OPTION = Single("a string, a number, or a list or an object of strings", _is_option)


def one_of(*names: str) -> Single:
    """One of these words."""
    return Single(
        f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names
    )
