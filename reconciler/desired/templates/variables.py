"""Replace `${name}` in state files by variables of the target and values of `[[each]]`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.desired.size_limits import Room, weight
from reconciler.desired.toml.document import TomlDocument
from reconciler.desired.toml.positions import PositionNode
from reconciler.model.finding import Finding, Severity
from reconciler.text.suggest import did_you_mean

VARIABLE = re.compile(r"\$(\$)?\{([^{}]*)\}")


def substitute(
    document: TomlDocument, variables: Mapping[str, object], room: Room | None = None
) -> list[Finding]:
    """Replace every `${name}` in the strings and names of a file.

    A string that is only `${name}` becomes the variable itself, including numbers and lists; inside
    a list, a list is spliced in. `${name.key}` is one value of a table. `$${` is a literal `${`.
    Unknown names are findings. `room`: how much may be filled in; default: as in one file.
    """
    if "${" not in document.text:
        return []
    work = _Work(document, variables, room or Room.of_variables())
    document.data = work.table(document.root, document.data)
    return work.findings


class _Work:
    def __init__(self, document: TomlDocument, variables: Mapping[str, object], room: Room) -> None:
        self.document = document
        self.variables = variables
        self.findings: list[Finding] = []
        self.weights: dict[str, int] = {}
        self.room = room

    def table(self, node: PositionNode, data: dict[str, Any]) -> dict[str, Any]:
        places = {key: self.document.child(node, key) for key in data}
        replaced: dict[str, Any] = {}
        for key, value in data.items():
            name = self.name(places[key], key) if "${" in key else key
            if name in replaced:
                message = f"'{name}' appears twice here once its variables are filled in"
                self._error("DUPLICATE", places[key], message, "keep one of them")
            replaced[name] = self.value(places[key], value)
            node.children[name] = places[key]
        return replaced

    def name(self, node: PositionNode, key: str) -> str:
        """The name of a table or key; a number is one, a list or record is none."""
        return VARIABLE.sub(lambda match: self._part(node, match), key)

    def value(self, node: PositionNode, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(node, value) if "${" in value else value
        if isinstance(value, dict):
            return self.table(node, value)
        return self.elements(node, value) if isinstance(value, list) else value

    def elements(self, node: PositionNode, data: list[Any]) -> list[Any]:
        replaced: list[Any] = []
        places: list[PositionNode] = []
        for number, value in enumerate(data):
            place = self.document.child(node, number)
            found = self.value(place, value)
            spread = found if isinstance(value, str) and isinstance(found, list) else [found]
            replaced += spread
            places += [place] * len(spread)
        node.children.update(enumerate(places))
        return replaced

    def text(self, node: PositionNode, text: str) -> Any:
        whole = VARIABLE.fullmatch(text)
        if whole and not whole[1]:
            return self.lookup(node, whole[2], text)
        return VARIABLE.sub(lambda match: self._part(node, match), text)

    def _part(self, node: PositionNode, match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        name = match[2]
        found = self.lookup(node, name, match[0])
        if isinstance(found, (list, dict)):
            message = f"the variable '{name}' is a list or table and cannot be part of a string"
            hint = f'write "{match[0]}" alone'
            if isinstance(found, dict) and found:
                hint = f"name one of its values: {', '.join(f'${{{name}.{key}}}' for key in found)}"
            self._error("WRONG_TYPE", node, message, hint)
            return match[0]
        return str(found).lower() if isinstance(found, bool) else str(found)

    def lookup(self, node: PositionNode, name: str, otherwise: str) -> Any:
        first, *keys = name.split(".")
        found: Any = self.variables
        for known in (first, *keys):
            if not isinstance(found, Mapping) or known not in found:
                self._unknown(node, name)
                return otherwise
            found = found[known]
        return found if self._fits(node, name, found) else otherwise

    def _unknown(self, node: PositionNode, name: str) -> None:
        known = sorted(names_of(self.variables))
        hint = did_you_mean(name, known)
        if not hint and known:
            hint = f"known variables: {', '.join(known)}"
        hint = hint or "set it in pvectl.toml: [target] vars = { " + (name or "name") + " = ... }"
        self._error("UNKNOWN_VARIABLE", node, f"unknown variable '{name}'", hint)

    def _fits(self, node: PositionNode, name: str, value: Any) -> bool:
        """Whether a variable fits within the limit; exceeding it is reported once."""
        if name not in self.weights:
            self.weights[name] = weight(value)
        if not self.room.is_exceeded:
            found = self.room.take(self.weights[name], self.document.source(node))
            self.findings += [found] if found else []
        return not self.room.is_exceeded

    def _error(self, code: str, node: PositionNode, message: str, hint: str) -> None:
        source = self.document.source(node)
        self.findings.append(Finding(code, Severity.ERROR, message, hint, source=source))


def names_of(variables: Mapping[str, object]) -> Iterator[str]:
    """What `${...}` may contain: variables, and the keys of those that are records."""
    for name, value in variables.items():
        if isinstance(value, Mapping):
            yield from (f"{name}.{key}" for key in value)
        else:
            yield name
