"""Generate a JSON Schema of the state files and the settings, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from reconciler.desired.directives.reader import DIRECTIVES
from reconciler.desired.directives.rule_table import RuleTable
from reconciler.desired.files import SETTINGS_FILE
from reconciler.desired.schema.option_schema import add_options
from reconciler.desired.settings.target_table import TargetTable
from reconciler.desired.templates.includes import EACH, INCLUDE
from reconciler.kinds import all_kinds, summary
from reconciler.kinds.kind import Kind
from reconciler.kinds.shared.omitted_keys import WhenOmitted, rules
from reconciler.model.notice import Notify
from reconciler.model.policy import Policy
from reconciler.model.trust import Trust
from reconciler.pve.release import NEWEST, Release

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = {"type": "string", "pattern": r"\$\{[^{}]+\}"}
_TEMPLATE = "InTemplate"
_REF = "#/$defs/{model}"


class _Schema(GenerateJsonSchema):
    """The schema without what does not help an editor: titles of fields, and null, which TOML
    lacks.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        found = super().default_schema(schema)
        for word in ("ge", "gt") if "anyOf" in found else ():
            found.pop(word, None)
        if found.get("default", "") is None:
            del found["default"]
        return found


def schema(release: Release = NEWEST) -> dict[str, Any]:
    """The schema of a state file for this release; one table, or a list, per top-level key."""
    kinds = all_kinds()
    models: list[type[BaseModel]] = [kind.toml.table for kind in kinds.values()]
    definitions, names = _definitions([*models, *DIRECTIVES.values()])
    for kind in kinds.values():
        definition = definitions[names[kind.toml.table]]
        if kind.spec.option_table:
            add_options(definition, kind.name, kind.spec.option_table, release)
        _with_rules(definition, kind.toml.table)
    properties: dict[str, Any] = {}
    for kind in kinds.values():
        for inner in kinds.values():
            if inner.toml.place.inside == kind.name:
                table = definitions[names[kind.toml.table]]
                table.setdefault("properties", {})[inner.toml.place.key] = _place(inner, names)
        if not kind.toml.place.inside:
            properties[kind.toml.place.key] = _place(kind, names)
    for name, model in DIRECTIVES.items():
        properties[name] = {
            "type": "array",
            "items": {"$ref": _ref(names[model])},
            "description": model.__doc__,
        }
    _with_privileges(definitions, release)
    definitions |= _in_templates(definitions)
    for definition in definitions.values():
        for name, one in definition.get("properties", {}).items():
            definition["properties"][name] = _or_variable(one)
    properties[INCLUDE] = {
        "type": "array",
        "items": {"type": "string", "pattern": r"\.toml$"},
        "description": "further files to read; paths are relative to this file",
    }
    properties[EACH] = {
        "type": "array",
        "items": {"$ref": _ref("Each")},
        "description": "templates: tables that are declared for each value of a list",
    }
    definitions["Each"] = _each(properties)
    return _document("State files of pvectl", properties, definitions)


def _each(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A template: the tables of a state file, and a list under a name of its own."""
    return {
        "type": "object",
        "description": "tables for each value of a list, which they use as ${name}",
        "properties": {
            name: one if name in {EACH, INCLUDE} else _renamed(one)
            for name, one in properties.items()
        },
        "additionalProperties": {
            "anyOf": [{"type": "array"}, _VARIABLE],
            "description": "the list of values or records",
        },
        "minProperties": 2,
    }


def _in_templates(definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions once more, with `${name}` wherever one of some strings is meant. Editors
    tell the alternatives of a value that is outside of templates more plainly without it."""
    return {f"{name}{_TEMPLATE}": _with_variables(one) for name, one in definitions.items()}


def _with_variables(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_variables(one) for one in node]
    if not isinstance(node, dict):
        return node
    node = {key: _with_variables(value) for key, value in _renamed_here(node).items()}
    if node.get("type") == "string" and node.keys() & {"enum", "pattern", "format"}:
        about = {key: node.pop(key) for key in ("description", "default") if key in node}
        return {"anyOf": [node, _VARIABLE], **about}
    return node


def _renamed_here(node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    return {**node, "$ref": f"{reference}{_TEMPLATE}"} if isinstance(reference, str) else node


def _renamed(node: Any) -> Any:
    """The same with references to what templates may hold."""
    if isinstance(node, list):
        return [_renamed(one) for one in node]
    if isinstance(node, dict):
        return {key: _renamed(value) for key, value in _renamed_here(node).items()}
    return node


def _or_variable(one: dict[str, Any]) -> dict[str, Any]:
    """`${name}` instead of a list, number or boolean."""
    if "items" in one:
        one = {**one, "items": _or_variable(one["items"])}
    if one.get("type") in {"array", "integer", "number", "boolean"} and "enum" not in one:
        return {**one, "type": [one["type"], "string"], "pattern": _VARIABLE["pattern"]}
    return one


def _with_rules(definition: dict[str, Any], model: type[BaseModel]) -> None:
    """Add to the description of each key what happens when it is omitted."""
    for key, one in rules(model).items():
        described = definition["properties"].get(key)
        if described is not None and one.rule not in (WhenOmitted.REQUIRED, WhenOmitted.FILE):
            text = described.get("description", "")
            described["description"] = f"{text}; if omitted: {one.rule}".removeprefix("; ")


def _with_privileges(node: Any, release: Release) -> None:
    """Use the privileges of the release wherever one is expected."""
    if isinstance(node, list):
        for one in node:
            _with_privileges(one, release)
    elif isinstance(node, dict):
        if node.get("enum") == sorted(NEWEST.privileges):
            node["enum"] = sorted(release.privileges)
        for one in node.values():
            _with_privileges(one, release)


def settings_schema() -> dict[str, Any]:
    """The schema of pvectl.toml, and of the file of --settings, which is the only one with
    [trust], [notify] and [[rule]].
    """
    definitions, names = _definitions([Policy, TargetTable, Trust, Notify, RuleTable])
    policy = definitions.pop(names[Policy])
    target = {"$ref": _ref(names[TargetTable])}
    several = {"type": "object", "additionalProperties": target}
    manage = policy["properties"]["manage"]
    manage["propertyNames"] = {"enum": sorted(all_kinds())}
    manage["additionalProperties"] = {
        "anyOf": [manage["additionalProperties"], {"$ref": _ref("Mode")}]
    }
    limits = definitions["Limits"]["properties"]["delete"]
    limits["anyOf"] = [{"type": "integer", "minimum": 0}, {"$ref": limits.pop("$ref")}]
    properties = {
        "target": {
            "anyOf": [target, several],
            "description": "the cluster, or several by name: [target.NAME]",
        },
        "trust": {
            "$ref": _ref(names[Trust]),
            "description": "what state files may reach outside; in a file of --settings only",
        },
        "notify": {
            "$ref": _ref(names[Notify]),
            "description": "notifications; only in a file of --settings",
        },
        "rule": {
            "type": "array",
            "items": {"$ref": _ref(names[RuleTable])},
            "description": "rules that everything must keep; in a file of --settings only",
        },
        **policy["properties"],
    }
    return _document(SETTINGS_FILE, properties, definitions)


def _definitions(
    models: list[type[BaseModel]],
) -> tuple[dict[str, Any], Mapping[type[BaseModel], str]]:
    refs, document = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=_REF,
        schema_generator=_Schema,
    )
    names = {model: refs[model, "validation"]["$ref"].rpartition("/")[2] for model in models}
    return document["$defs"], names


def _place(kind: Kind[Any], names: Mapping[type[BaseModel], str]) -> dict[str, Any]:
    table = {"$ref": _ref(names[kind.toml.table])}
    described = {"description": summary(kind)}
    if kind.toml.place.array:
        return {"type": "array", "items": table, **described}
    return {"type": "object", "additionalProperties": table, **described}


def _ref(name: str) -> str:
    return _REF.format(model=name)


def _document(
    title: str, properties: dict[str, Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    return {
        "$schema": _DIALECT,
        "title": title,
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "additionalProperties": False,
        "$defs": dict(sorted(definitions.items())),
    }
