"""Describe the fields of an object and how they change, in words; never a secret, only its source.

Plans, drift, refusals and saved plans all use this module. The options of a spec are read by its
own `option_table`: which are secret, boolean or lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel

from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import Spec
from reconciler.pve.parameter_check import parse_properties
from reconciler.pve.property_strings import PROPERTY_STRINGS
from reconciler.pve.schema import ParameterTable, Secrecy, secret_names
from reconciler.text.humanize import listed, moment
from reconciler.text.sanitize import clean

LONGEST = 160
"""Characters of one value that are shown; the JSON document holds all of them."""

MOST = 40
"""Items of one list that are shown."""

NOT_SET = "(not set)"
CLEARED = "(cleared)"
UNREADABLE = "(unknown)"
"""The secret that an object has or has not: Proxmox VE does not tell."""

_PLAIN = re.compile(r"[\w@%+=:,./!*-]+")


class Field(NamedTuple):
    """One field with a value other than its default, in words."""

    name: str
    text: str


class FieldDifference(NamedTuple):
    """How one field changes: `added` and `removed` items of a list, else `before` and `after`.

    The parts of a property string are fields of their own: `prune-backups.keep-daily`.
    """

    name: str
    before: str = ""
    after: str = ""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        if not (self.added or self.removed):
            return f"{self.before} → {self.after}"
        return " ".join(
            [*_shortened("+", self.added, "came"), *_shortened("-", self.removed, "gone")]
        )


@cache
def fields(spec: Spec) -> tuple[Field, ...]:
    """The fields of a spec that differ from the defaults, in the order of its model."""
    usual, words = _defaults(spec), _Words(spec)
    return tuple(
        Field(name, words.of(name, value))
        for name, value in _telling(spec).items()
        if value != usual.get(name)
    )


@cache
def differences(before: Spec, after: Spec) -> tuple[FieldDifference, ...]:
    """All fields that differ, in the order of the model."""
    old, new, words = _telling(before), _telling(after), _Words(after)
    nested = _nested(before.option_table, old, new)
    found: list[FieldDifference] = []
    for name in {**old, **new}:
        if name in nested:
            found += nested[name]
        elif old.get(name) != new.get(name):
            found.append(words.difference(name, old.get(name), new.get(name)))
    return tuple(found)


def object_text(spec: Spec | None) -> str:
    """An object in one line, by its non-default fields: `comment "on call", groups ops`."""
    if spec is None:
        return "absent"
    return ", ".join(f"{field.name} {field.text}" for field in fields(spec)) or "present"


def in_one_line(before: Spec, after: Spec) -> str:
    """Only the fields that differ: `comment: a → b; groups: +ops`. "" for none."""
    return "; ".join(f"{one.name}: {one.text}" for one in differences(before, after))


def _shortened(sign: str, items: Sequence[str], what: str) -> Iterable[str]:
    yield from (f"{sign}{item}" for item in items[:MOST])
    if len(items) > MOST:
        yield f"({len(items) - MOST:,} more {what})"


def _nested(
    table: ParameterTable, old: Mapping[str, Any], new: Mapping[str, Any]
) -> dict[str, list[FieldDifference]]:
    """Option -> how its parts change, of property strings that both sides have; by deepdiff."""
    parsed = {
        name: tuple(parse_properties(table[name].format, str(side[name])) for side in (old, new))
        for name in table.keys() & old.keys() & new.keys()
        if table[name].format in PROPERTY_STRINGS and old[name] != new[name]
    }
    sides = {
        name: (before.values, after.values)
        for name, (before, after) in parsed.items()
        if before.complaint is None and after.complaint is None
    }
    if not sides:
        return {}
    from deepdiff import DeepDiff

    found: dict[str, list[FieldDifference]] = {}
    for name, (before, after) in sides.items():
        words = _Words(options=PROPERTY_STRINGS[table[name].format])
        keys = {
            key
            for paths in DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0).values()
            for key in _keys(paths)
        }
        found[name] = [
            words.difference(key, before.get(key), after.get(key))._replace(name=f"{name}.{key}")
            for key in sorted(keys)
        ]
    return {name: parts for name, parts in found.items() if parts}


def _keys(levels: Iterable[Any]) -> Iterator[str]:
    for level in levels:
        yield str(level.path(output_format="list")[0])


def _flat(model: BaseModel) -> dict[str, Any]:
    """Name -> value; parts of a field and options of a section are on a level with the fields.

    The sink of a secret belongs to the step that delivers it.
    """
    flat: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if _is_pairs(value):
            flat.update(value)
        elif _is_part(value):
            flat.update(_flat(value))
        elif not isinstance(value, SecretSink):
            flat[name] = value
    return flat


def _telling(spec: Spec) -> dict[str, Any]:
    """The values without absent and empty ones, which are equivalent."""
    return {name: value for name, value in _flat(spec).items() if not _is_empty(value)}


def _defaults(model: BaseModel) -> dict[str, Any]:
    """Name -> default value."""
    usual: dict[str, Any] = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if _is_part(value):
            usual.update(_defaults(value))
        elif not info.is_required():
            usual[name] = info.default
    return usual


def _is_part(value: Any) -> bool:
    return isinstance(value, BaseModel) and not isinstance(value, SecretRef | SecretSink)


def _is_pairs(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(item, tuple) and len(item) == 2 for item in value)
    )


def _is_list(value: Any) -> bool:
    return value is None or (isinstance(value, tuple) and all(not _is_pairs(v) for v in value))


def _both_texts(*values: Any) -> bool:
    return all(isinstance(value, str) and value for value in values)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", ())


class _Words:
    """Describes values of one kind of spec, using its option table and model."""

    def __init__(self, spec: Spec | None = None, *, options: ParameterTable | None = None) -> None:
        self._options = options if spec is None else spec.option_table
        self._hidden = secret_names(self._options or {})
        if spec is not None:
            self._hidden |= _hidden_fields(type(spec))

    def of(self, name: str, value: Any) -> str:
        """One value of the field `name`."""
        if _is_empty(value):
            return NOT_SET
        if isinstance(value, SecretRef):
            return str(value)
        if name in self._hidden:
            return "(hidden)"
        if isinstance(value, tuple):
            return listed([self.of(name, item) for item in value], MOST)
        return self._scalar(name, value)

    def difference(self, name: str, old: Any, new: Any) -> FieldDifference:
        """How the field `name` changes."""
        if name in self._hidden:
            after = f"another value {self.of(name, new)}" if _both_texts(old, new) else None
            before = UNREADABLE if isinstance(new, SecretRef) and not old else self.of(name, old)
            return FieldDifference(name, before, after or self._after(name, old, new))
        if _is_list(old) and _is_list(new) and set(old or ()) != set(new or ()):
            added, removed = (
                tuple(self.of(name, item) for item in sorted(set(one or ()) - set(other or ())))
                for one, other in ((new, old), (old, new))
            )
            return FieldDifference(name, added=added, removed=removed)
        return FieldDifference(name, self.of(name, old), self._after(name, old, new))

    def _after(self, name: str, old: Any, new: Any) -> str:
        return CLEARED if _is_empty(new) and not _is_empty(old) else self.of(name, new)

    def _scalar(self, name: str, value: Any) -> str:
        if isinstance(value, bool) or (value in ("0", "1") and self._is_flag(name)):
            return "yes" if value in (True, "1") else "no"
        if name == "expires" and isinstance(value, int):
            return moment(value) if value else "never"
        return _quoted(str(value))

    def _is_flag(self, name: str) -> bool:
        row = (self._options or {}).get(name)
        return row is not None and row.type == "boolean"


@cache
def _hidden_fields(model: type[BaseModel]) -> frozenset[str]:
    """The fields that are annotated as secret."""
    return frozenset(
        name
        for name, info in model.model_fields.items()
        if any(isinstance(mark, Secrecy) for mark in info.metadata)
    )


def _quoted(text: str) -> str:
    """A plain word unchanged; anything else quoted, on one line and unambiguous."""
    if len(text) > LONGEST:
        return f"{_escaped(text[:LONGEST] + '…')} ({len(text):,} characters)"
    if _PLAIN.fullmatch(text):
        return text
    return _escaped(text)


def _escaped(text: str) -> str:
    """In quotes, with invisible characters escaped."""
    backslashes = text.replace("\\", "\\\\")
    return clean('"{}"'.format(backslashes.replace('"', '\\"')))
