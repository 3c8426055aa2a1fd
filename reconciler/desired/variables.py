"""Replace `${name}` in state files by the variables of the target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.desired.size_limits import FILLED_IN, too_large, weight
from reconciler.desired.toml.document import Document
from reconciler.desired.toml.positions import PositionNode
from reconciler.model.finding import Finding, Severity
from reconciler.text.suggest import did_you_mean

_VARIABLE = re.compile(r"\$(\$)?\{([^{}]*)\}")


def substitute(document: Document, variables: Mapping[str, object]) -> list[Finding]:
    """Replace every `${name}` in the strings and names of a file.

    A string that is only `${name}` becomes the variable itself, including numbers and lists; inside
    a list, a list is spliced in. `$${` is a literal `${`. Unknown names are findings.
    """
    if "${" not in document.text:
        return []
    work = _Work(document, variables)
    document.data = work.table(document.root, document.data)
    return work.findings


class _Work:
    def __init__(self, document: Document, variables: Mapping[str, object]) -> None:
        self.document = document
        self.variables = variables
        self.findings: list[Finding] = []
        self.weights: dict[str, int] = {}
        self.left = FILLED_IN

    def table(self, node: PositionNode, data: dict[str, Any]) -> dict[str, Any]:
        places = {key: self.document.child(node, key) for key in data}
        replaced: dict[str, Any] = {}
        for key, value in data.items():
            name = str(self.text(places[key], key)) if "${" in key else key
            if name in replaced:
                message = f"'{name}' appears twice here once its variables are filled in"
                self._error("DUPLICATE", places[key], message, "keep one of them")
            replaced[name] = self.value(places[key], value)
            node.children[name] = places[key]
        return replaced

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
        whole = _VARIABLE.fullmatch(text)
        if whole and not whole[1]:
            return self.lookup(node, whole[2], text)
        return _VARIABLE.sub(lambda match: self._part(node, match), text)

    def _part(self, node: PositionNode, match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        found = self.lookup(node, match[2], match[0])
        if isinstance(found, (list, dict)):
            message = f"the variable '{match[2]}' is a list or table and cannot be part of a string"
            self._error("WRONG_TYPE", node, message, f'write "{match[0]}" alone')
            return match[0]
        return str(found).lower() if isinstance(found, bool) else str(found)

    def lookup(self, node: PositionNode, name: str, otherwise: str) -> Any:
        if name in self.variables:
            return self.variables[name] if self._fits(node, name) else otherwise
        hint = did_you_mean(name, self.variables)
        if not hint and self.variables:
            hint = f"known variables: {', '.join(sorted(self.variables))}"
        hint = hint or "set it in pvectl.toml: [target] vars = { " + (name or "name") + " = ... }"
        self._error("UNKNOWN_VARIABLE", node, f"unknown variable '{name}'", hint)
        return otherwise

    def _fits(self, node: PositionNode, name: str) -> bool:
        """Whether a variable fits within the limit; exceeding it is reported once."""
        if name not in self.weights:
            self.weights[name] = weight(self.variables[name])
        if self.left < 0:
            return False
        self.left -= self.weights[name]
        if self.left < 0:
            message = f"the variables of this file fill in more than {FILLED_IN // 1024} KiB"
            hint = "use it less often, or shorten its value"
            self.findings.append(too_large(message, hint, self.document.source(node)))
        return self.left >= 0

    def _error(self, code: str, node: PositionNode, message: str, hint: str) -> None:
        source = self.document.source(node)
        self.findings.append(Finding(code, Severity.ERROR, message, hint, source=source))
