"""Property strings: one parameter that holds several, as in `keep-daily=7,keep-weekly=4`.

PVE source: `parse_property_string`, `print_property_string` of PVE::JSONSchema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from reconciler.pve.guest_formats import GUEST_PROPERTIES
from reconciler.pve.schema import Param, ParameterTable, ParameterValue, errors

_TRUE = re.compile(r"1|on|yes|true", re.IGNORECASE)
_FALSE = re.compile(r"0|off|no|false", re.IGNORECASE)

_COUNT = Param(type="integer", minimum=0, optional=True)
_FLAG = Param(type="boolean", optional=True)
_LIMIT = Param(type="number", minimum=0, optional=True)
_TEXT = Param(optional=True)

VANISHED = r"(?:(?:(?:acl|properties|entry);)*(?:acl|properties|entry))|none"

PROPERTY_STRINGS: Mapping[str, ParameterTable] = {
    **GUEST_PROPERTIES,
    "backup-fleecing": {
        "enabled": Param(type="boolean", optional=True, default_key=True),
        "storage": Param(format="pve-storage-id", optional=True),
    },
    "backup-performance": {
        "max-workers": Param(type="integer", minimum=1, maximum=256, optional=True),
        "pbs-entries-max": Param(type="integer", minimum=1, optional=True),
    },
    "bwlimit": dict.fromkeys(("default", "restore", "migration", "clone", "move"), _LIMIT),
    "prune-backups": {
        "keep-all": _FLAG,
        **dict.fromkeys(
            (
                "keep-last",
                "keep-hourly",
                "keep-daily",
                "keep-weekly",
                "keep-monthly",
                "keep-yearly",
            ),
            _COUNT,
        ),
    },
    "pve-tfa-config": {
        "type": Param(enum=("yubico", "oath")),
        "id": _TEXT,
        "key": _TEXT,
        "url": _TEXT,
        "digits": Param(type="integer", minimum=6, maximum=8, optional=True),
        "step": Param(type="integer", minimum=10, optional=True),
    },
    "realm-sync-options": {
        "scope": Param(enum=("users", "groups", "both"), optional=True),
        "remove-vanished": Param(pattern=VANISHED, optional=True),
        "full": _FLAG,
        "enable-new": _FLAG,
        "purge": _FLAG,
    },
}
"""format -> its keys"""


class Properties(NamedTuple):
    """`values` as text, booleans `0` or `1`; meaningless when there is a complaint."""

    values: dict[str, str]
    complaint: str | None = None


def parse_properties(name: str, text: str, path: str = "") -> Properties:
    """Read a property string of the format `name`; `path` is the parameter's name."""
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


def render_properties(name: str, values: Mapping[str, str]) -> str:
    """The default key first and without its name, then the required ones, each sorted by name."""
    table = PROPERTY_STRINGS[name]
    parts = [values[key] for key in sorted(values) if table[key].default_key]
    others = sorted(
        (key for key in values if not table[key].default_key),
        key=lambda key: (table[key].optional, key),
    )
    return ",".join([*parts, *(f"{key}={values[key]}" for key in others)])


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
