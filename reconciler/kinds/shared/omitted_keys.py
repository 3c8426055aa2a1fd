"""What an omitted key of a table means: a property of each key, beside its type.

`[manage] KIND = { unspecified = "clear" }` turns LEFT and WATCHED into DEFAULT.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from typing import Annotated, NamedTuple

from pydantic import BaseModel

from reconciler.invalid_value import InvalidValue, Problem
from reconciler.text.suggest import did_you_mean


class WhenOmitted(StrEnum):
    """The value is what the reference says of the key."""

    FILE = "nothing: it concerns the file alone, or is sent once"
    LEFT = "left unchanged"
    """it keeps its value in the cluster; a new object gets the default"""
    WATCHED = "left unchanged; `drift` reports changes"
    """the same, of a key that decides access or protection"""
    DEFAULT = "its default, also against the cluster"
    """managed, since leaving it alone would hide who may do what, or what is protected"""
    REQUIRED = "an error"


class Omission(NamedTuple):
    """Metadata of a field: `field` is its name in the spec, or PVE's name of the option; empty
    where it is called as in the table."""

    rule: WhenOmitted
    field: str = ""


LEFT = Omission(WhenOmitted.LEFT)
WATCHED = Omission(WhenOmitted.WATCHED)
DEFAULT = Omission(WhenOmitted.DEFAULT)
FILE = Omission(WhenOmitted.FILE)
KEEP_RULE = Omission(WhenOmitted.WATCHED, "prune-backups")
Unset = Annotated[list[str], FILE]
UNSET = "names of keys to clear"


@cache
def rules(table: type[BaseModel]) -> dict[str, Omission]:
    """The rule of each key of a table; raises LookupError for a key without one."""
    found = {}
    for key, info in table.model_fields.items():
        own = next((one for one in info.metadata if isinstance(one, Omission)), None)
        if info.is_required():
            own = Omission(WhenOmitted.REQUIRED)
        if own is None:
            raise LookupError(f"{table.__name__}.{key} does not say what it means if omitted")
        found[key] = own._replace(field=own.field or key)
    return found


def by_rule(table: type[BaseModel]) -> dict[WhenOmitted, list[str]]:
    """The keys of a table by rule, the strictest first."""
    found: dict[WhenOmitted, list[str]] = {}
    for rule in reversed(WhenOmitted):
        keys = [key for key, one in rules(table).items() if one.rule is rule]
        if keys:
            found[rule] = keys
    return found


def left_alone(table: BaseModel) -> frozenset[str]:
    """The names, in the spec, of what this table leaves as it is: not given, and not unset."""
    unset = {name.replace("-", "_") for name in getattr(table, "unset", ())}
    return frozenset(
        one.field
        for key, one in rules(type(table)).items()
        if one.rule in (WhenOmitted.LEFT, WhenOmitted.WATCHED)
        and key not in table.model_fields_set
        and key not in unset
    )


@cache
def watched(table: type[BaseModel]) -> frozenset[str]:
    """The names, in the spec, of omitted keys whose changes `drift` reports."""
    return frozenset(one.field for one in rules(table).values() if one.rule is WhenOmitted.WATCHED)


def unset_problems(table: BaseModel) -> Iterator[Problem]:
    """Keys in `unset` that cannot be cleared by name, or are given."""
    known = [
        k
        for k, one in rules(type(table)).items()
        if one.rule in (WhenOmitted.LEFT, WhenOmitted.WATCHED)
    ]
    for name in getattr(table, "unset", ()):
        key = name.replace("-", "_")
        if key in table.model_fields_set:
            text, hint = f"{key} is given and unset at the same time", "keep one of them"
        elif key not in known:
            text = f"unset names '{name}', which cannot be cleared"
            hint = did_you_mean(name, known) or f"it may name {', '.join(known)}"
        else:
            continue
        yield Problem(("unset",), InvalidValue(text, hint))
