"""What an option table of Proxmox VE says of a value, as JSON Schema."""

from __future__ import annotations

from typing import Any

from reconciler.kinds.shared.options import is_property, toml_name
from reconciler.pve.option_descriptions import option_descriptions
from reconciler.pve.property_strings import PROPERTY_STRINGS
from reconciler.pve.release import Release
from reconciler.pve.schema import Param, ParameterTable
from reconciler.pve.storage_formats import CONTENT_TYPES, ISCSI_PROVIDERS
from reconciler.pve.value_releases import values_in

VARIABLE = {"type": "string", "pattern": r"\$\{[^}]+\}"}
"""`${name}`, wherever a value is expected."""

_ITEMS = {"pve-storage-content-list": CONTENT_TYPES}
_VALUES = {"iscsiprovider": ISCSI_PROVIDERS}


def add_options(
    definition: dict[str, Any], kind: str, table: ParameterTable, release: Release
) -> None:
    """Completes the properties of a table that are options: their meaning, values and limits.
    Options that the release does not know are left out."""
    described = option_descriptions(kind)
    for option, param in table.items():
        found = definition["properties"].get(toml_name(option))
        if found is None:
            continue
        if not release.knows(param.since):
            del definition["properties"][toml_name(option)]
            continue
        text = described[option].text
        text += f" (since Proxmox VE {param.since})" if param.since else ""
        own = found.get("description", "")
        if not own or param.secret:
            found["description"] = "; ".join(filter(None, (text, own)))
        _add_values(found, option, param, release)
    kinds = definition["properties"].get("type", {})
    if "enum" in kinds:
        kinds["enum"] = values_in("type", kinds["enum"], release)


def _add_values(found: dict[str, Any], option: str, param: Param, release: Release) -> None:
    allowed = param.enum or _VALUES.get(option, ())
    items = _ITEMS.get(param.format)
    if param.type == "integer":
        found.update(
            {
                key: value
                for key, value in (("minimum", param.minimum), ("maximum", param.maximum))
                if value is not None
            }
        )
        if param.enum:
            found["enum"] = [int(value) for value in param.enum]
    elif allowed:
        found.pop("type", None)
        found["anyOf"] = [{"enum": list(allowed)}, VARIABLE]
    elif items is not None:
        found["anyOf"] = [
            {
                "type": "array",
                "items": {"anyOf": [{"enum": values_in(option, items, release)}, VARIABLE]},
            },
            {"type": "string"},
        ]
    elif is_property(param) and "anyOf" in found:
        found["anyOf"][0] = _properties(param)
    elif param.type == "string" and found.get("type") == "string":
        if param.max_length is not None:
            found["maxLength"] = param.max_length
        if param.pattern:
            found["anyOf"] = [{"pattern": f"^(?:{param.pattern})$"}, VARIABLE]


def _properties(param: Param) -> dict[str, Any]:
    """A property string written as a table."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            toml_name(key): _property(part) for key, part in PROPERTY_STRINGS[param.format].items()
        },
    }


def _property(part: Param) -> dict[str, Any]:
    if part.enum:
        return {"enum": list(part.enum)}
    if part.type in ("boolean", "integer", "number"):
        least = {} if part.minimum is None else {"minimum": part.minimum}
        return {"type": part.type, **least}
    return {"type": ["string", "array"]} if part.pattern else {"type": "string"}
