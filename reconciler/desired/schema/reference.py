"""Every key of every table, as the reference and `pvectl kinds NAME` show it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from reconciler.desired.schema.state_schema import schema
from reconciler.kinds.kind import Kind
from reconciler.kinds.shared.omitted_keys import WhenOmitted, rules
from reconciler.kinds.shared.options import toml_name
from reconciler.pve.backup_options import VZDUMP_DEFAULTS
from reconciler.pve.option_descriptions import OptionDescription, option_descriptions
from reconciler.pve.realm_options import REALM_TRUE_BY_DEFAULT, REALM_TYPES
from reconciler.pve.storage_options import STORAGE_SECTIONS, STORAGE_TRUE_BY_DEFAULT

_OPTIONS = {"keep": "prune-backups", "guests": "vmid"}
"""Keys that are called otherwise than the option which they set, where it is one."""
_TYPES = {"storage": STORAGE_SECTIONS, "realm": REALM_TYPES}
_DEFAULTS = {
    "storage": dict.fromkeys(STORAGE_TRUE_BY_DEFAULT, True),
    "realm": dict.fromkeys(REALM_TRUE_BY_DEFAULT, True),
    "backup": VZDUMP_DEFAULTS,
}


class Key(NamedTuple):
    """One key of a table. `type`: as TOML has it, such as "list of strings". `values`: what it may
    be, as literals; `limits`: in words, such as "0 to 8". `default`: as TOML, "" where there is
    none. `parameter` and `label`: its name in the API and in the web interface, "" where it has
    none. `since`: the first release that knows it, "" for every known one. `types`: the types
    of storage or realm that have it; empty where all have, or there are none."""

    name: str
    type: str
    meaning: str
    not_given: WhenOmitted
    default: str = ""
    values: tuple[str, ...] = ()
    limits: str = ""
    parameter: str = ""
    label: str = ""
    since: str = ""
    types: tuple[str, ...] = ()


def keys(kind: Kind[Any]) -> Iterator[Key]:
    """The keys of a kind: the required ones first, then by name. Where no file and no cluster says
    anything, the default is that of Proxmox VE."""
    wanted = schema()["$defs"]
    properties = wanted[kind.toml.table.__name__]["properties"]
    known = option_descriptions(kind.name)
    options = {toml_name(option): option for option in known} | {
        key: option for key, option in _OPTIONS.items() if option in known
    }
    found = rules(kind.toml.table)
    for name in sorted(found, key=lambda key: (found[key].rule is not WhenOmitted.REQUIRED, key)):
        own = properties[name]
        option = options.get(name, "")
        described = known.get(option, OptionDescription())
        yield Key(
            name=name,
            type=_type(own, wanted),
            meaning=_meaning(own),
            not_given=found[name].rule,
            default=_default(own, _DEFAULTS.get(kind.name, {}).get(option)),
            values=tuple(_values(own)),
            limits=_limits(own),
            parameter=described.parameter or option,
            label=described.label,
            since=kind.spec.option_table[option].since if option in kind.spec.option_table else "",
            types=_types(kind.name, option),
        )


def _types(kind: str, option: str) -> tuple[str, ...]:
    every = _TYPES.get(kind, {})
    found = tuple(name for name, section in every.items() if option in section)
    return () if len(found) == len(every) else found or ("none",)


def facts(key: Key) -> Iterator[tuple[str, str]]:
    """What there is to say of a key besides its meaning: title -> text."""
    yield "type", key.type
    if key.values:
        yield "values", ", ".join(key.values)
    yield "limits", key.limits
    yield "default", key.default
    if key.not_given in (WhenOmitted.LEFT, WhenOmitted.WATCHED, WhenOmitted.DEFAULT):
        yield "if omitted", str(key.not_given)
    yield "types", ", ".join(key.types)
    yield "since", f"Proxmox VE {key.since}" if key.since else ""
    yield "API", key.parameter
    yield "web interface", key.label


def _meaning(own: Mapping[str, Any]) -> str:
    text: str = own.get("description", "")
    return text.partition("; if omitted: ")[0].partition(" (since Proxmox VE")[0]


def _default(own: Mapping[str, Any], usual: object) -> str:
    value = own.get("default", usual)
    if value == "keep-all=1":
        return "{ all = true }"
    is_none = value == 0 and ("anyOf" in own or own.get("type") == "string")
    if value in (None, "", []) or is_none:
        return ""
    return json.dumps(bool(value) if own.get("type") == "boolean" else value)


def _branches(own: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(own.get("anyOf", [own]))


def _type(own: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """In words; a variable `${...}` is possible in every string and is not mentioned."""
    if "$ref" in own:
        name = own["$ref"].rpartition("/")[2]
        return {"SecretRef": "secret", "SecretSink": "sink", "KeepTable": "retention"}.get(
            name, "table"
        )
    words = []
    for branch in _branches(own):
        if "format" in branch:
            words.append("date")
        elif branch.get("type") == "array":
            words.append(f"list of {_type(branch['items'], wanted)}s")
        elif branch.get("type") == "object":
            words.append("table")
        elif branch.get("type") == "integer" and "date" in words:
            continue
        else:
            named = branch.get("type", "string")
            words.append(str(named[0] if isinstance(named, list) else named))
    return " or ".join(dict.fromkeys(words))


def _values(own: Mapping[str, Any]) -> Iterator[str]:
    for branch in _branches(own):
        for one in (branch, branch.get("items", {})):
            for inner in _branches(one):
                for value in inner.get("enum", ()):
                    yield json.dumps(value)


def _limits(own: Mapping[str, Any]) -> str:
    inner = own.get("items", own)
    least, most = inner.get("minimum"), inner.get("maximum")
    if least is not None and most is not None:
        return f"{least} to {most}"
    if least is not None:
        return f"at least {least}"
    longest = own.get("maxLength")
    return f"at most {longest} characters" if longest else ""
