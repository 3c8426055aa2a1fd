"""Building blocks of the JSON Schemas of documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Schema = dict[str, Any]

ANY: Schema = {}


def text(description: str) -> Schema:
    """A string."""
    return {"type": "string", "description": description}


def maybe(one: Schema) -> Schema:
    """Or null."""
    described = {"description": one["description"]} if "description" in one else {}
    inner = {key: value for key, value in one.items() if key != "description"}
    return {"anyOf": [inner, {"type": "null"}], **described}


def number(description: str) -> Schema:
    """A whole number."""
    return {"type": "integer", "description": description}


def flag(description: str) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": description}


def list_(items: Schema, description: str) -> Schema:
    """A list of such."""
    return {"type": "array", "items": items, "description": description}


def map_(values: Schema, description: str) -> Schema:
    """An object whose names are data."""
    return {"type": "object", "additionalProperties": values, "description": description}


def one_of(values: Iterable[str], description: str) -> Schema:
    """One of some words."""
    return {"enum": [str(one) for one in values], "description": description}


def table(
    description: str, required: Mapping[str, Schema], optional: Mapping[str, Schema] = {}
) -> Schema:
    """An object with these fields; readers must ignore others."""
    return {
        "type": "object",
        "description": description,
        "properties": {**required, **optional},
        "required": sorted(required),
    }


def rows(names: str, description: str) -> Schema:
    """A list of tables with these fields."""
    return list_({"type": "object", "properties": dict.fromkeys(names.split(), ANY)}, description)
