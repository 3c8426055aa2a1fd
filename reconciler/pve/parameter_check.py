"""Parameter checks: type, format and limits, with PVE's error messages. A format may be a property
string, whose keys are parameters again, so both are checked here. PVE source: `check_prop`,
`check_type`, `check_format`, `check_object`, `parse_property_string` of PVE::JSONSchema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from reconciler.pve.formats import FORMATS, privilege_complaint, split_list
from reconciler.pve.guest_formats import GUEST_FORMATS
from reconciler.pve.property_strings import PROPERTY_STRINGS
from reconciler.pve.release import NEWEST, Release
from reconciler.pve.schema import Param, ParameterTable, ParameterValue
from reconciler.pve.storage_formats import STORAGE_FORMATS

NOT_IN_SCHEMA = (
    "property is not defined in schema and the schema does not allow additional properties"
)
MISSING = "property is missing and it is not optional"

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.[0-9]+|[0-9]+\.|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUE = re.compile(r"1|on|yes|true", re.IGNORECASE)
_FALSE = re.compile(r"0|off|no|false", re.IGNORECASE)


def errors(
    table: ParameterTable,
    given: Mapping[str, ParameterValue],
    path: str = "",
    release: Release = NEWEST,
) -> dict[str, str]:
    """name -> PVE's complaint, for every invalid parameter. `path` is the prefix of the names in a
    property string. `release` determines which privileges and parameters exist.
    """
    found: dict[str, str] = {}
    prefix = f"{path}." if path else ""
    table = {name: param for name, param in table.items() if release.knows(param.since)}
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


def check_format(name: str, value: str, path: str = "", release: Release = NEWEST) -> str | None:
    """PVE's complaint about a value of the format `name`, or None.

    `path` is the parameter's name, for complaints about parts of a property string. `release`
    determines which privileges exist.
    """
    if name == "pve-priv-list":
        refusals = (privilege_complaint(one, release) for one in split_list(value))
        return next(filter(None, refusals), None)
    if name in PROPERTY_STRINGS:
        return parse_properties(name, value, path).complaint
    tables = (FORMATS, STORAGE_FORMATS, GUEST_FORMATS)
    plain = next((one for one in tables if name.removesuffix("-list") in one), STORAGE_FORMATS)
    if name in plain:
        return plain[name](value)
    if name.endswith("-list"):
        checked = map(plain[name.removesuffix("-list")], split_list(value))
        return next(filter(None, checked), None)
    if value in ("", "0"):
        return None
    return FORMATS[name.removesuffix("-opt")](value)


class Properties(NamedTuple):
    """`values` as text, booleans `0` or `1`; undefined if there is a complaint."""

    values: dict[str, str]
    complaint: str | None = None


def parse_properties(name: str, text: str, path: str = "") -> Properties:
    """Parse a property string of the format `name`; `path` is the parameter's name."""
    table = PROPERTY_STRINGS[name]
    values: dict[str, str] = {}
    for part in text.rstrip(",").split(","):
        if not part.strip():
            continue
        refusal = _read(table, values, part)
        if refusal is not None:
            return Properties(values, refusal)
    given: dict[str, ParameterValue] = dict(values)
    found = errors(table, given, path)
    if found:
        details = "".join(f"{key}: {found[key]}\n" for key in sorted(found))
        return Properties(values, f"format error\n{details}")
    rule = _RULES.get(name)
    return Properties(values, rule(values) if rule is not None else None)


def _read(table: ParameterTable, values: dict[str, str], part: str) -> str | None:
    key, equals, value = part.partition("=")
    if key and equals and value:
        if key in values:
            return f"duplicate key in comma-separated list property: {key}\n"
        if key in table and table[key].type == "boolean":
            value = "1" if _TRUE.fullmatch(value) else "0" if _FALSE.fullmatch(value) else value
        values[key] = value
        return None
    if equals:
        return "missing key in comma-separated list property\n"
    default = next((name for name, row in table.items() if row.default_key), None)
    if default is None:
        return "value without key, but schema does not define a default key\n"
    if default in values:
        return f"duplicate key in comma-separated list property: {default}\n"
    values[default] = part
    return None


def _prune(values: Mapping[str, str]) -> str | None:
    counts = [int(value) for key, value in values.items() if key != "keep-all"]
    if values.get("keep-all") == "1" and any(counts):
        return "keep-all cannot be set together with other options.\n"
    return None


def _fleecing(values: Mapping[str, str]) -> str | None:
    if values.get("enabled") == "1" and "storage" not in values:
        return "'storage' parameter is required when 'enabled' is set\n"
    return None


_RULES: Mapping[str, Callable[[Mapping[str, str]], str | None]] = {
    "prune-backups": _prune,
    "backup-fleecing": _fleecing,
}


def _add(found: dict[str, str], path: str, message: str) -> None:
    path = path or "_root"
    # PVE joins several complaints with a backslash and an n, not with a newline.
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
    """The first error, in PVE's order: format, pattern, lengths, limits, enum."""
    if param.format and (refusal := check_format(param.format, value, path, release)):
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
