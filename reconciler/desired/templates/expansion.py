"""State files as plain documents: includes read, `[[each]]` expanded, variables filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.desired.files import DISK, Files, state_files
from reconciler.desired.reach import Reach
from reconciler.desired.size_limits import MOST_VALUES, Room, too_large, weight
from reconciler.desired.templates.includes import EACH, INCLUDE, Includes
from reconciler.desired.templates.variables import substitute
from reconciler.desired.toml.document import Key, TomlDocument
from reconciler.desired.toml.positions import PositionNode
from reconciler.desired.validation import type_name, wrong_type
from reconciler.model.finding import Finding, Severity, Source
from reconciler.real_path import real_path
from reconciler.text.sanitize import clean
from reconciler.text.suggest import did_you_mean

LONGEST_SHOWN = 40
"""Characters of a value that places show."""

FORM = 'team = ["red", "blue"]'


class VariablePlace(NamedTuple):
    """Where a variable is given."""

    document: TomlDocument
    node: PositionNode

    def within(self, *path: Key) -> VariablePlace:
        """The place of a part of it."""
        return VariablePlace(self.document, self.document.node(self.node, *path))

    @property
    def source(self) -> Source:
        return self.document.source(self.node)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The variables at the position of a table. `inner`: inside of a template. `read`: the files
    that are included here already; `within`: those that are being read, from the outermost on."""

    values: Mapping[str, object]
    places: Mapping[str, VariablePlace]
    inner: bool = False
    read: set[Path] = field(default_factory=set)
    within: tuple[Path, ...] = ()


@dataclass(slots=True)
class Expansion:
    """One reading of a state folder; `tables`: the top-level keys, and whether each is a list.

    `findings` and `includes` are complete once `documents` came to its end.
    """

    folder: Path
    tables: Mapping[str, bool]
    reach: Reach | None = None
    files: Files = DISK
    findings: list[Finding] = field(default_factory=list)
    room: Room = field(default_factory=Room.of_templates)
    number: int = 0
    includes: Includes = field(init=False)

    def __post_init__(self) -> None:
        self.includes = Includes(self.folder, self.reach, self.files)

    def documents(
        self, variables: Mapping[str, object], places: Mapping[str, VariablePlace]
    ) -> Iterator[TomlDocument]:
        """Every file, and every template once for each of its values, without `include`, `[[each]]`
        and `${...}`. `places`: of variables, as far as they are known."""
        scope = _Scope(variables, places)
        for path in state_files(self.folder, self.files):
            document = self.includes.state_file(path)
            if document is not None:
                yield from self._expand(
                    document, replace(scope, within=(real_path(self.folder) / path.name,))
                )
        self.findings += self.includes.findings

    def _expand(self, document: TomlDocument, scope: _Scope) -> Iterator[TomlDocument]:
        data = document.data
        plain = {key: data[key] for key in data if key not in {EACH, INCLUDE}}
        own = document
        if len(plain) < len(data):
            own = document.part(document.root, plain, document.each, {EACH, INCLUDE})
        self.findings += substitute(own, scope.values, self.room if scope.inner else None)
        yield own
        if INCLUDE in data:
            yield from self._included(document, data[INCLUDE], scope)
        if EACH in data:
            yield from self._each(document, data[EACH], scope)

    def _included(
        self, document: TomlDocument, names: Any, scope: _Scope
    ) -> Iterator[TomlDocument]:
        for path, found in self.includes.named(document, names, scope.within):
            if path in scope.read:
                continue
            scope.read.add(path)
            again = found.part(found.root, found.data, document.each)
            if scope.inner and not self._has_room(weight(found.data), document.source(found.root)):
                return
            yield from self._expand(again, replace(scope, within=(*scope.within, path)))

    def _each(self, document: TomlDocument, tables: Any, scope: _Scope) -> Iterator[TomlDocument]:
        node = document.child(document.root, EACH)
        if not isinstance(tables, list):
            found = wrong_type(document, node, f"'{EACH}'", "a list of tables, [[each]]", tables)
            self.findings.append(found._replace(hint=f"write [[each]], and below it {FORM}"))
            return
        for number, table in enumerate(tables):
            place = document.child(node, number)
            if not isinstance(table, dict):
                self.findings.append(wrong_type(document, place, "[[each]]", "a table", table))
                continue
            name = self._variable(document, place, table, scope)
            if name:
                yield from self._instances(document, place, name, table, scope)

    def _instances(
        self,
        document: TomlDocument,
        node: PositionNode,
        name: str,
        table: dict[str, Any],
        scope: _Scope,
    ) -> Iterator[TomlDocument]:
        """The template once for each value."""
        template = {key: value for key, value in table.items() if key != name}
        size = weight(template)
        for value, place in self._values(document, node, name, table[name], scope):
            source = document.source(node)
            self.number += 1
            if self.number == MOST_VALUES + 1:
                message = f"[[each]] is expanded more than {MOST_VALUES:,} times from here on"
                hint = "shorten the list; was a nested list meant?"
                self.findings.append(too_large(message, hint, source))
            if self.number > MOST_VALUES or not self._has_room(size, source):
                return
            outer = f"{document.each}, " if document.each else ""
            words = f"{outer}{_shown(name, value)} ({place.source._replace(each='')})"
            yield from self._expand(
                document.part(node, template, words, {name}),
                replace(
                    scope,
                    values={**scope.values, name: value},
                    places={**scope.places, name: place},
                    inner=True,
                    read=set(),
                ),
            )

    def _has_room(self, size: int, source: Source) -> bool:
        if not self.room.is_exceeded:
            found = self.room.take(size, source)
            self.findings += [found] if found else []
        return not self.room.is_exceeded

    def _variable(
        self, document: TomlDocument, node: PositionNode, table: dict[str, Any], scope: _Scope
    ) -> str:
        """The name of the list of one `[[each]]`; "" where that is wrong."""
        names = [name for name in table if name not in self._known]
        problem = self._table_problem(table, names) or _list_problem(table, names, scope)
        if problem is None:
            return names[0]
        key, message, hint = problem
        source = document.source(document.child(node, key) if key else node)
        self.findings.append(Finding("EACH", Severity.ERROR, message, hint, source=source))
        return ""

    @property
    def _known(self) -> set[str]:
        return {*self.tables, EACH, INCLUDE}

    def _table_problem(
        self, table: dict[str, Any], names: list[str]
    ) -> tuple[str, str, str] | None:
        """A list that has the name of a table, or a table with an unknown name: key, message,
        hint."""
        unknown = next((name for name in names if isinstance(table[name], dict)), "")
        if not unknown and len(names) > 1:
            lists = [name for name in names if isinstance(table[name], list)]
            if len(lists) == 1:
                other = next(name for name in names if name not in lists)
                hint = "put it into a table below, or make it a key of the values: records"
                return other, f"'{other}' is neither a table nor the list of [[each]]", hint
            tables = [name for name in lists if _are_records(table[name])]
            likely = tables if 0 < len(tables) < len(names) else names
            near = (name for name in likely if did_you_mean(name, self._known))
            unknown = next(near, tables[0] if likely is tables else "")
        if unknown:
            hint = did_you_mean(unknown, self._known) or f"a list is written {FORM}"
            return unknown, f"unknown table '{unknown}'", hint
        taken = next((name for name in table if self._is_taken(name, table[name])), "")
        if not taken:
            return None
        message = f"'{taken}' is a table and cannot be the list of [[each]]"
        return taken, message, f"give the list another name, as in {taken}_name = [...]"

    def _is_taken(self, name: str, value: Any) -> bool:
        """Whether the list of an `[[each]]` has the name of a table."""
        if name not in self.tables or isinstance(value, dict):
            return False
        return not (self.tables[name] and isinstance(value, list) and _are_records(value))

    def _values(
        self, document: TomlDocument, node: PositionNode, name: str, given: Any, scope: _Scope
    ) -> Iterator[tuple[Any, VariablePlace]]:
        """The values of a list, each with its place; a list may come from a variable."""
        part = document.part(document.child(node, name), {name: given}, document.each)
        whole = given.removeprefix("${").removesuffix("}") if isinstance(given, str) else ""
        root = PositionNode(part.root.at)
        root.children[name] = part.root
        part.root = root
        before = len(self.findings)
        self.findings += substitute(part, scope.values, self.room if scope.inner else None)
        values = part.data[name]
        if len(self.findings) > before:
            return
        if not isinstance(values, list):
            found = wrong_type(part, root.children[name], f"'{name}'", f"a list, {FORM}", values)
            self.findings.append(found)
            return
        first, *keys = whole.split(".")
        origin = scope.places[first].within(*keys) if first in scope.places else None
        for number, value in enumerate(values):
            place = origin or VariablePlace(part, root.children[name])
            if isinstance(value, list):
                what = f"element {number + 1} of '{name}' must be a value or a record"
                message = f"{what}, not {type_name(value)}"
                source = place.within(number).source
                self.findings.append(Finding("WRONG_TYPE", Severity.ERROR, message, source=source))
            else:
                yield value, place.within(number)


def _list_problem(
    table: dict[str, Any], names: list[str], scope: _Scope
) -> tuple[str, str, str] | None:
    """What is wrong with the list of an `[[each]]`: key, message, hint."""
    if not names:
        return "", "[[each]] has no list", f"name the values, as in {FORM}"
    if len(names) > 1:
        message = f"[[each]] has several lists: {', '.join(names)}"
        hint = "keep one; write a list of records, or put the other list into [[each.each]]"
        return names[1], message, hint
    (name,) = names
    if not name.isidentifier():
        return name, f"'{name}' is not a valid variable name", "use letters, digits and _"
    if name in scope.values:
        place = f" ({scope.places[name].source})" if name in scope.places else ""
        return name, f"'{name}' is already a variable{place}", "give the list another name"
    if len(table) == 1:
        hint = f'put them inside it, as in [each.group."${{{name}}}"]'
        return "", "[[each]] has no tables to expand", hint
    return None


def _are_records(values: list[Any]) -> bool:
    return all(isinstance(one, dict) for one in values)


def _shown(name: str, value: Any) -> str:
    """`team = red`; of a record its first value, `team.name = red`."""
    if isinstance(value, dict):
        simple = ((k, v) for k, v in value.items() if not isinstance(v, list | dict))
        key, value = next(simple, ("", "{}"))
        name = f"{name}.{key}" if key else name
    text = clean(str(value).lower() if isinstance(value, bool) else str(value))
    short = text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
    return f"{name} = {short}"
