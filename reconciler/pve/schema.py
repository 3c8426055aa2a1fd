"""Parameter tables: what a method, a section or a property string accepts.

PVE source: PVE::JSONSchema. `parameter_check` checks values against them. A value is a string, a
bool (only JSON can send one), or a list of values; absent and None are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

ParameterValue = str | bool | list["ParameterValue"] | dict[str, "ParameterValue"]
"""One parameter as received. Numbers of a JSON body are strings."""


class Secrecy(Enum):
    """How PVE's answers show a secret."""

    KEPT = "nothing: it is kept outside the file"
    PRESENCE = "that it is set: it is kept outside the file"
    ANSWERED = "everything: it stands in the file and is answered in clear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One row of a parameter table; lengths in characters, `pattern` matches the whole value.

    `requires` names a parameter that must be given with this one. `default_key`: in a property
    string, the key of a value without a key. `secret`: its value is never shown. `since`: the first
    release that has it, as in `9.1`; empty if all known ones do.
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
    secret: Secrecy | None = None
    since: str = ""


ParameterTable = Mapping[str, Param]
"""name -> row"""


def secret_names(table: ParameterTable, *secrecy: Secrecy) -> frozenset[str]:
    """The secret options of a table, or those of this secrecy only."""
    return frozenset(
        name
        for name, param in table.items()
        if param.secret is not None and (not secrecy or param.secret in secrecy)
    )


def normalized(
    table: ParameterTable, given: Mapping[str, ParameterValue]
) -> dict[str, ParameterValue]:
    """Lists for a `-list` format become comma-separated text, single values for an array a list."""
    result = dict(given)
    for name, param in table.items():
        value = result.get(name)
        if isinstance(value, list) and param.type == "string" and param.format.endswith("-list"):
            result[name] = ",".join(map(plain, value))
        elif param.type == "array" and isinstance(value, str) and value not in ("", "0"):
            result[name] = [value]
    return result


def plain(value: ParameterValue) -> str:
    """A value as Perl converts it to a string."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else str(value)
