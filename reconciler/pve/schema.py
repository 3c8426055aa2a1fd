"""How PVE checks parameters: type, format, limits, and the words it refuses them with.

PVE source: `check_prop`, `check_type`, `check_object` of PVE::JSONSchema. A value is text, a bool
(only JSON can send one), or a list of values; absent and None are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reconciler.pve.release import NEWEST, Release

ParameterValue = str | bool | list["ParameterValue"] | dict[str, "ParameterValue"]
"""One parameter as it arrived. Numbers of a JSON body arrive as text."""

NOT_IN_SCHEMA = (
    "property is not defined in schema and the schema does not allow additional properties"
)
MISSING = "property is missing and it is not optional"

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.[0-9]+|[0-9]+\.|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One row of a parameter table; lengths in characters, `pattern` matches the whole value.

    `requires` names a parameter that must be given with this one. `default_key`: in a property
    string, the key that a value without a key belongs to.
    """

    type: Literal["string", "boolean", "integer", "number", "array"] = "string"
    optional: bool = False
    format: str = ""
    pattern: str = ""
    enum: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    requires: str = ""
    default_key: bool = False


ParameterTable = Mapping[str, Param]
"""name -> row"""


def normalized(
    table: ParameterTable, given: Mapping[str, ParameterValue]
) -> dict[str, ParameterValue]:
    """Lists sent for a `-list` format become comma text, single values for an array a list."""
    result = dict(given)
    for name, param in table.items():
        value = result.get(name)
        if isinstance(value, list) and param.type == "string" and param.format.endswith("-list"):
            result[name] = ",".join(map(plain, value))
        elif param.type == "array" and isinstance(value, str) and value not in ("", "0"):
            result[name] = [value]
    return result


def errors(
    table: ParameterTable,
    given: Mapping[str, ParameterValue],
    path: str = "",
    release: Release = NEWEST,
) -> dict[str, str]:
    """name -> PVE's complaint, for everything that does not fit; empty when all does.

    `path` stands before the names when the table is that of a property string.
    """
    found: dict[str, str] = {}
    prefix = f"{path}." if path else ""
    for name, param in table.items():
        if name not in given:
            if not param.optional:
                _add(found, prefix + name, MISSING)
            continue
        _check(param, given[name], prefix + name, found, release)
    for name in given:
        row = table.get(name)
        if row is None:
            _add(found, prefix + name, NOT_IN_SCHEMA)
        elif row.requires and row.requires not in given:
            _add(found, prefix + row.requires, f"missing property required by '{prefix}{name}'")
    return found


def complaint(param: Param, value: ParameterValue, path: str = "") -> str | None:
    """PVE's complaint about one value, or None."""
    found: dict[str, str] = {}
    _check(param, value, path, found)
    return next(iter(found.values()), None)


def plain(value: ParameterValue) -> str:
    """A value where Perl uses it as text."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else str(value)


def _add(found: dict[str, str], path: str, message: str) -> None:
    path = path or "_root"
    # PVE joins several complaints with a backslash and an n, not with a line feed.
    found[path] = f"{found[path]}\\n{message}" if path in found else message


def _check(
    param: Param,
    value: ParameterValue,
    path: str,
    found: dict[str, str],
    release: Release = NEWEST,
) -> None:
    message = _wrong_type(param, value)
    if message is None and isinstance(value, list):
        for place, element in enumerate(value):
            _check(Param(), element, f"{path}[{place}]", found)
        return
    if message is None and isinstance(value, str):
        message = _wrong_text(param, value, path, release)
    if message is not None:
        _add(found, path, message)


def _wrong_type(param: Param, value: ParameterValue) -> str | None:
    prefix = f"type check ('{param.type}') failed"
    if param.type == "array":
        return None if isinstance(value, list) else prefix
    if isinstance(value, bool):
        return None if param.type == "boolean" else f"{prefix} - got JSON::PP::Boolean"
    if isinstance(value, list | dict):
        return f"{prefix} - got {'ARRAY' if isinstance(value, list) else 'HASH'}"
    fits = {
        "boolean": value in ("0", "1"),
        "integer": _INTEGER.fullmatch(value) is not None,
        "number": _NUMBER.fullmatch(value) is not None,
    }
    return None if fits.get(param.type, True) else f"{prefix} - got '{value}'"


def _wrong_text(param: Param, value: str, path: str, release: Release) -> str | None:
    """The first thing that is wrong, in PVE's order: format, pattern, lengths, limits, enum."""
    from reconciler.pve.formats import check

    if param.format and (refusal := check(param.format, value, path, release)):
        return f"invalid format - {refusal}"
    if param.pattern and not re.fullmatch(param.pattern, value):
        return "value does not match the regex pattern"
    if param.max_length is not None and len(value) > param.max_length:
        return f"value may only be {param.max_length} characters long"
    if param.min_length is not None and len(value) < param.min_length:
        return f"value must be at least {param.min_length} characters long"
    return _out_of_range(param, value) or _not_in(param.enum, value)


def _out_of_range(param: Param, value: str) -> str | None:
    if (param.minimum is None and param.maximum is None) or not _NUMBER.fullmatch(value):
        return None
    number = int(value) if _INTEGER.fullmatch(value) else float(value)
    if param.maximum is not None and number > param.maximum:
        return f"value must have a maximum value of {param.maximum}"
    if param.minimum is not None and number < param.minimum:
        return f"value must have a minimum value of {param.minimum}"
    return None


def _not_in(allowed: Sequence[str], value: str) -> str | None:
    if not allowed or value in allowed:
        return None
    return f"value '{value}' does not have a value in the enumeration '{', '.join(allowed)}'"
