"""State files as one plain file, with templates, includes and variables expanded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.desired.toml.document import TomlDocument
from reconciler.desired.toml.formatter import table_text
from reconciler.desired.toml.positions import PositionNode
from reconciler.kinds import all_kinds
from reconciler.kinds.kind import Kind
from reconciler.text.sanitize import clean


def plain_text(documents: Iterable[TomlDocument]) -> str:
    """The tables of documents without mistakes as one TOML file, each part below a comment that
    names its file and value. Loading it declares the same."""
    parts = (_part(document) for document in documents)
    return "\n".join(part for part in parts if part)


def _part(document: TomlDocument) -> str:
    tables = "\n".join(_tables(document))
    value = f" for {document.each}" if document.each else ""
    return f"# {clean(document.file)}{clean(value)}\n\n{tables}" if tables else ""


def _tables(document: TomlDocument) -> Iterator[str]:
    kinds = {kind.toml.place.key: kind for kind in all_kinds().values()}
    for key, data in document.data.items():
        node = document.child(document.root, key)
        kind = kinds.get(key)
        if kind is None or kind.toml.place.array:
            yield from (_text((key,), one, array=True) for one in data)
        else:
            yield from _named(document, node, (key,), kind, data)


def _named(
    document: TomlDocument,
    node: PositionNode,
    path: tuple[str, ...],
    kind: Kind[Any],
    tables: Mapping[str, Any],
) -> Iterator[str]:
    """`[path.NAME]` of every table, each followed by those inside of it."""
    inside = {
        one.toml.place.key: one
        for one in all_kinds().values()
        if one.toml.place.inside == kind.name
    }
    for name, table in tables.items():
        place = document.child(node, name)
        own = {key: value for key, value in table.items() if key not in inside}
        if own or place.explicit:
            yield _text((*path, name), own)
        for key in inside.keys() & table.keys():
            inner = document.child(place, key)
            yield from _named(document, inner, (*path, name, key), inside[key], table[key])


def _text(path: tuple[str, ...], table: Mapping[str, Any], *, array: bool = False) -> str:
    return table_text(tuple(map(_escaped, path)), _escaped(table), array=array)


def _escaped(value: Any) -> Any:
    """With `$${` for each `${`, so that it is no longer a variable."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {_escaped(key): _escaped(one) for key, one in value.items()}
    return [_escaped(one) for one in value] if isinstance(value, list) else value
