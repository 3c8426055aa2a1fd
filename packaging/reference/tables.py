"""The pages about state files, settings, findings and exit statuses."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.cli.explain.code_pages import pages as code_pages
from reconciler.desired.directives.reader import DIRECTIVES
from reconciler.desired.schema.reference import Key, facts, keys
from reconciler.desired.schema.state_schema import schema, settings_schema
from reconciler.errors import MEANINGS, PRECEDENCE
from reconciler.kinds import all_kinds, summary
from reconciler.kinds.kind import Kind
from reconciler.kinds.shared.omitted_keys import WhenOmitted
from reconciler.render.json_schemas import SCHEMAS, schema_of

MADE = "<!-- Made by `make reference`; change the code instead. -->\n"


def page(title: str, *parts: str) -> str:
    """A page with its parts, one blank line between them."""
    return "\n\n".join([f"# {title}", MADE.strip(), *parts]) + "\n"


def wrapped(text: str, further: str = "") -> str:
    """Text of one paragraph, at most 100 columns wide; `further` begins each line but the first."""
    return textwrap.fill(
        text, 100, subsequent_indent=further, break_on_hyphens=False, break_long_words=False
    )


def item(text: str) -> str:
    """One item of a list."""
    return wrapped(f"- {text}", further="  ")


def pages(examples: Path) -> dict[str, str]:
    """Path below docs/reference -> its text."""
    kinds = {f"kinds/{name}.md": _kind(name, kind, examples) for name, kind in all_kinds().items()}
    return {
        "README.md": _contents(),
        **kinds,
        "other-tables.md": _directives(),
        "settings.md": _settings(),
        "json-documents.md": _documents(),
        "codes.md": _codes(),
        "exit-statuses.md": _statuses(),
    }


def _contents() -> str:
    rows = [
        f"| [`{kind.toml.place}`](kinds/{name}.md) | {summary(kind)} |"
        for name, kind in all_kinds().items()
    ]
    return page(
        "Reference",
        wrapped(
            "Generated from the code of this version. `pvectl kinds KIND`, "
            "`pvectl COMMAND --help` and `pvectl explain CODE` show the same in a terminal."
        ),
        "| table | what it declares |\n| --- | --- |\n" + "\n".join(rows),
        "- [Other tables of a state file](other-tables.md): `[[expect]]`, `[[removed]]`, ...\n"
        "- [Settings](settings.md): pvectl.toml, key by key\n"
        "- [Commands](commands.md)\n"
        "- [JSON documents](json-documents.md): what `--format json` gives\n"
        "- [Codes](codes.md): every finding, error and symptom\n"
        "- [Exit statuses](exit-statuses.md)",
    )


def _kind(name: str, kind: Kind[Any], examples: Path) -> str:
    every = list(keys(kind))
    required = [key for key in every if key.not_given is WhenOmitted.REQUIRED]
    others = [key for key in every if key.not_given is not WhenOmitted.REQUIRED]
    paths = ", ".join(f"`GET /{'/'.join(one.path)}`" for one in kind.reads.requests)
    example = (examples / f"{name}.toml").read_text(encoding="utf-8")
    return page(
        f"`{kind.toml.place}`",
        wrapped(summary(kind)),
        wrapped(f"Addresses begin with `{name}.`; read with {paths}."),
        f"```toml\n{example}```",
        *(["## Required keys", *map(_key, required)] if required else []),
        *(["## Other keys" if required else "## Keys", *map(_key, others)] if others else []),
    )


def _key(key: Key) -> str:
    told = "; ".join(f"*{title}* {text}" for title, text in _shown(key) if text)
    return "\n\n".join([f"### {key.name}", sentence(key.meaning), wrapped(f"{told}.")])


def sentence(text: str) -> str:
    """Text of one line in a schema as a sentence."""
    start = text[:1].upper() if re.match(r"[a-z]+[ ,;]", text) else text[:1]
    return wrapped(f"{start}{text[1:].rstrip('.')}.") if text else ""


def _shown(key: Key) -> Iterator[tuple[str, str]]:
    code = {"values", "default", "API"}
    for title, text in facts(key):
        quoted = ", ".join(f"`{one}`" for one in text.split(", ")) if text else ""
        yield title, quoted if title in code else text


def _directives() -> str:
    wanted = schema()["$defs"]
    parts: list[str] = []
    for name, model in DIRECTIVES.items():
        parts += [f"## [[{name}]]", wrapped(model.__doc__ or "")]
        parts += list(_properties(wanted[model.__name__], wanted))
    return page("Other tables of a state file", *parts)


def _settings() -> str:
    wanted = settings_schema()
    definitions = wanted["$defs"]
    parts = [
        wrapped(
            "[Settings](../settings.md) explains what each of them is for, and lists the "
            "environment variables."
        )
    ]
    for name, own in wanted["properties"].items():
        several = own.get("type") == "array"
        parts += [f"## [[{name}]]" if several else f"## [{name}]", sentence(own["description"])]
        table = _definition(own["items"] if several else own, definitions)
        parts += list(_properties(table, definitions)) if table else []
    return page("Settings in pvectl.toml", *parts)


def _definition(own: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table that a property holds, or that each of its tables is."""
    for one in (own, *own.get("anyOf", ()), own.get("additionalProperties", {})):
        inner = (one, *one.get("anyOf", ())) if isinstance(one, dict) else ()
        for branch in inner:
            name = str(branch.get("$ref", "")).rpartition("/")[2]
            if "properties" in definitions.get(name, {}):
                found: Mapping[str, Any] = definitions[name]
                return found
    return {}


def _properties(table: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    required = table.get("required", ())
    for name, own in table["properties"].items():
        lines = [f"### {name}", "", sentence(str(own.get("description", ""))), ""]
        inner = _definition(own, definitions)
        for key, below in inner.get("properties", {}).items():
            lines += _inner(key, below, definitions)
        lines.append(item(f"type: {_type(own, definitions)}"))
        if name in required:
            lines.append("- required")
        elif not (inner or own.get("default") in (None, "", [], {}) or _is_unset(own)):
            lines.append(f"- default: `{json.dumps(own['default'])}`")
        yield "\n".join(lines)


def _is_unset(own: Mapping[str, Any]) -> bool:
    """A period of 0: none is given."""
    return own.get("type") == "string" and own.get("default") == 0


def _inner(
    key: str, own: Mapping[str, Any], definitions: Mapping[str, Any], depth: int = 0
) -> Iterator[str]:
    """A key of a table inside of a table, and those further inside."""
    about = str(own.get("description", "")).strip()
    indent = "  " * depth
    yield indent + wrapped(f"- `{key}`: {about or 'a table'}", further=f"  {indent}")
    for name, below in _definition(own, definitions).get("properties", {}).items():
        yield from _inner(name, below, definitions, depth + 1)


def _type(own: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    name = str(own.get("$ref", "")).rpartition("/")[2]
    if name:
        values = definitions[name].get("enum")
        return (
            "one of " + ", ".join(f"`{json.dumps(one)}`" for one in values) if values else "table"
        )
    if "anyOf" in own:
        found = [_type(one, definitions) for one in own["anyOf"]]
        return " or ".join(dict.fromkeys(found))
    if own.get("type") == "array":
        return _list_of(_type(own["items"], definitions))
    if "enum" in own:
        names = ", ".join(f"`{json.dumps(one)}`" for one in own["enum"])
        return "privilege" if "VM.Audit" in own["enum"] else f"one of {names}"
    kind = str(own.get("format") or own.get("type", "any"))
    return "table" if kind == "object" else kind


def _list_of(one: str) -> str:
    if one.startswith("one of "):
        return f"list, each {one}"
    return (
        f"list of lists of {one.removeprefix('list of ')}"
        if "list of " in one
        else f"list of {one}s"
    )


def _documents() -> str:
    parts = [
        wrapped(
            "What `--format json` gives, one document on a line. `kind` says which it is; `format` "
            "rises when a field goes or changes its meaning. Fields may be added at any time. "
            "`pvectl schema --document NAME` prints the JSON Schema of each."
        )
    ]
    for name in SCHEMAS:
        found = schema_of(name)
        rows = [
            f"| `{field}` | {_kind_of(own)} | {_about(own)} |"
            for field, own in found["properties"].items()
        ]
        parts += [f"## {name}", sentence(found["description"])]
        parts.append("| field | type | what it is |\n| --- | --- | --- |\n" + "\n".join(rows))
    return page("JSON documents", *parts)


def _kind_of(own: Mapping[str, Any]) -> str:
    if "anyOf" in own:
        return " or ".join(_kind_of(one) for one in own["anyOf"])
    if own.get("type") == "array":
        return f"list of {_kind_of(own['items'])}s"
    return str(own.get("type", "text" if "const" in own else "any"))


def _about(own: Mapping[str, Any]) -> str:
    inner = own.get("items", own)
    inner = next((one for one in own.get("anyOf", ()) if "properties" in one), inner)
    fields = ", ".join(f"`{name}`" for name in inner.get("properties", ()))
    return str(own.get("description", "")) + (f": {fields}" if fields else "")


def _codes() -> str:
    parts = [wrapped("What `pvectl explain CODE` shows. Exit statuses have a page of their own.")]
    for code, one in code_pages().items():
        if code.isdecimal():
            continue
        parts += [f"## {code}", wrapped(f"*{one.kind}*"), *map(wrapped, one.meaning)]
        parts += [wrapped(text) for text in one.action]
    return page("Codes", *parts)


def _statuses() -> str:
    rows = [f"| {int(status)} | {text} |" for status, text in MEANINGS.items()]
    order = ", ".join(str(int(status)) for status in PRECEDENCE)
    return page(
        "Exit statuses",
        "| status | what it means |\n| --- | --- |\n" + "\n".join(rows),
        wrapped(f"Never a count. Where several apply, the first of these is given: {order}."),
    )


if __name__ == "__main__":
    sys.exit("run `python packaging/reference`")
