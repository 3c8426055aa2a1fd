"""Objects and their differences in one line, for errors. No secret, only where it is from."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from reconciler.kinds.shared.field_types import unix_to_toml
from reconciler.model.secret import HIDDEN, SecretRef, SecretSink
from reconciler.model.spec import Spec

LONGEST = 160
"""Characters of one text that are shown."""


def said(spec: Spec | None) -> str:
    """An object by its fields that say something: `comment "on call", groups "ops"`."""
    if spec is None:
        return "absent"
    told = {name: value for name, value in _fields(spec).items() if value != _usual(spec, name)}
    return ", ".join(f"{name} {_words(name, value)}" for name, value in told.items()) or "present"


def differences(old: Spec, new: Spec) -> str:
    """Only the fields that differ: `comment: "a" → "b"; groups: +ops`. "" for none."""
    before, after = _fields(old), _fields(new)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "; ".join(
        f"{name}: {_difference(name, before.get(name), after.get(name))}" for name in names
    )


def _difference(name: str, old: Any, new: Any) -> str:
    if _is_list(old) and _is_list(new) and name not in HIDDEN:
        came = [f"+{item}" for item in new or () if item not in (old or ())]
        gone = [f"-{item}" for item in old or () if item not in (new or ())]
        return " ".join([*came, *gone])
    return f"{_words(name, old)} → {_words(name, new)}"


def _fields(model: BaseModel) -> dict[str, Any]:
    """Name -> value without what is absent or empty, which is the same; parts of a field and
    options of a section stand beside the fields. Where a new secret goes is no matter of an object.
    """
    flat: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if _is_pairs(value):
            flat.update(value)
        elif isinstance(value, BaseModel) and not isinstance(value, SecretRef | SecretSink):
            flat.update(_fields(value))
        elif value not in (None, "", ()) and not isinstance(value, SecretSink):
            flat[name] = value
    return flat


def _usual(spec: Spec, name: str) -> Any:
    field = type(spec).model_fields.get(name)
    return field.default if field else None


def _is_pairs(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(item, tuple) and len(item) == 2 for item in value)
    )


def _is_list(value: Any) -> bool:
    return value is None or isinstance(value, tuple)


def _words(name: str, value: Any) -> str:
    if value is None or isinstance(value, SecretRef):
        return "(not set)" if value is None else str(value)
    if name in HIDDEN:
        return "(hidden)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "expires" and isinstance(value, int):
        return str(unix_to_toml(value)) if value else "never"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    text = str(value)
    return json.dumps(text[:LONGEST] + "…" * (len(text) > LONGEST), ensure_ascii=False)
