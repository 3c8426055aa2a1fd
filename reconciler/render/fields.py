"""The fields of an object and how they change, in words. Never a secret, only where it is from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel

from reconciler.model.secret import HIDDEN, SecretRef, SecretSink
from reconciler.model.spec import Spec
from reconciler.pve.backup_options import JOB_OPTIONS
from reconciler.pve.realm_options import REALM_OPTIONS
from reconciler.pve.storage_options import STORAGE_OPTIONS
from reconciler.text.humanize import listed, moment

LONGEST = 160
"""Characters of one value that are shown; the JSON document holds all of them."""

MOST = 40
"""Items of one list that are shown."""

NOT_SET = "(not set)"
CLEARED = "(cleared)"

_PLAIN = re.compile(r"[\w@%+=:,./!*-]+")
_TABLES = (STORAGE_OPTIONS, REALM_OPTIONS, JOB_OPTIONS)


class Field(NamedTuple):
    """One field that says something, in words."""

    name: str
    text: str


class FieldDifferences(NamedTuple):
    """How one field changes: `added` and `removed` items of a list, else `before` and `after`."""

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
    """What a spec says beyond the defaults, in the order of its model."""
    usual = _defaults(spec)
    return tuple(
        Field(name, words(name, value))
        for name, value in _telling(spec).items()
        if value != usual.get(name)
    )


@cache
def differences(before: Spec, after: Spec) -> tuple[FieldDifferences, ...]:
    """The fields that say something else, in the order of the model; every one of them."""
    old, new = _telling(before), _telling(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    items = _items({n: old.get(n) for n in names}, {n: new.get(n) for n in names})
    return tuple(_difference(name, old.get(name), new.get(name), items) for name in names)


def _shortened(sign: str, items: Sequence[str], what: str) -> Iterable[str]:
    yield from (f"{sign}{item}" for item in items[:MOST])
    if len(items) > MOST:
        yield f"({len(items) - MOST:,} more {what})"


Items = Mapping[str, tuple[Sequence[Any], Sequence[Any]]]
"""name of a list -> items that come, items that go; sorted"""


def _difference(name: str, old: Any, new: Any, items: Items) -> FieldDifferences:
    if name in items and name not in HIDDEN:
        added, removed = (tuple(words(name, item) for item in side) for side in items[name])
        return FieldDifferences(name, added=added, removed=removed)
    if name in HIDDEN and _is_text(old) and _is_text(new):
        return FieldDifferences(name, words(name, old), f"another value {words(name, new)}")
    after = CLEARED if _is_empty(new) and not _is_empty(old) else words(name, new)
    return FieldDifferences(name, words(name, old), after)


def _items(old: Mapping[str, Any], new: Mapping[str, Any]) -> Items:
    """What comes into lists and goes from them, as deepdiff finds it."""
    lists = [name for name in old if _is_list(old[name]) and _is_list(new[name])]
    if not lists:
        return {}
    from deepdiff import DeepDiff

    found = DeepDiff(
        {name: set(old[name] or ()) for name in lists},
        {name: set(new[name] or ()) for name in lists},
        view="tree",
    )
    came: dict[str, list[Any]] = {name: [] for name in lists}
    went: dict[str, list[Any]] = {name: [] for name in lists}
    for level in found.get("set_item_added", ()):
        came[level.path(output_format="list")[0]].append(level.t2)
    for level in found.get("set_item_removed", ()):
        went[level.path(output_format="list")[0]].append(level.t1)
    return {
        name: (sorted(came[name]), sorted(went[name])) for name in lists if came[name] or went[name]
    }


def _flat(model: BaseModel) -> dict[str, Any]:
    """Name -> value; parts of a field and options of a section stand beside the fields.

    The sink of a secret is a matter of the step that delivers it.
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
    """Without what is absent or empty, which is the same."""
    return {name: value for name, value in _flat(spec).items() if not _is_empty(value)}


def _defaults(model: BaseModel) -> dict[str, Any]:
    """Name -> the value that says nothing."""
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


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", ())


def words(name: str, value: Any) -> str:
    """One value of the field `name`."""
    if _is_empty(value):
        return NOT_SET
    if isinstance(value, SecretRef):
        return str(value)
    if name in HIDDEN:
        return "(hidden)"
    if isinstance(value, tuple):
        return listed([words(name, item) for item in value], MOST)
    return _scalar(name, value)


def _scalar(name: str, value: Any) -> str:
    if isinstance(value, bool) or _is_flag(name, value):
        return "yes" if value in (True, "1") else "no"
    if name == "expires" and isinstance(value, int):
        return moment(value) if value else "never"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    if len(text) > LONGEST:
        return f'"{text[:LONGEST]}…" ({len(text):,} characters)'
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"'


@cache
def _flags() -> frozenset[str]:
    """The options that are yes or no wherever they occur."""
    rows: dict[str, list[str]] = {}
    for table in _TABLES:
        for name, param in table.items():
            rows.setdefault(name, []).append(param.type)
    return frozenset(name for name, types in rows.items() if set(types) == {"boolean"})


def _is_flag(name: str, value: Any) -> bool:
    return value in ("0", "1") and name in _flags()
