"""Find the position of keys, tables and array elements in a TOML text.

The text must be valid TOML with `` line ends: `tomllib` judges, this only finds places. So it
may skip what it does not need to understand; the values themselves come from `tomllib`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

_STRING = r"""
    "{3}(?:[^"\\]|\\.|"{1,2}(?!"))*+"{3,5}
  | '{3}(?:[^']|'{1,2}(?!'))*+'{3,5}
  | "(?:[^"\\\n]|\\.)*+"
  | '[^'\n]*+'
"""
_BARE = r"[^\s\[\]{}\"'#,=]++(?:[ ][0-9][^\s\[\]{}\"'#,=]*+)?"
"""A number, boolean or date; the time of a date may follow after one space."""
_FLAT = rf"\[(?:[^\[\]{{}}\"'#]++|{_STRING})*+\]"
"""An array without arrays, tables and comments in it."""

_SPACE = re.compile(r"(?:[ \t\n]++|\#[^\n]*+)*+")
SEPARATOR = re.compile(r"(?:[ \t\n,]++|\#[^\n]*+)*+")
STRING = re.compile(_STRING, re.VERBOSE | re.DOTALL)
ATOM = re.compile(rf"{_STRING}|{_BARE}", re.VERBOSE | re.DOTALL)
_SIMPLE = re.compile(rf"{_STRING}|{_FLAT}|{_BARE}", re.VERBOSE | re.DOTALL)
_RUN = re.compile(
    rf"(?:[A-Za-z0-9_-]++[ \t]*+=[ \t]*+(?:{_STRING}|{_FLAT}|{_BARE})[ \t]*+"
    r"(?:\#[^\n]*+)?(?:\n[ \t\n]*+|\Z))++",
    re.VERBOSE | re.DOTALL,
)
"""Lines with a plain key and a plain value: most of every file."""
_KEY = re.compile(
    r"""[ \t]*(?:([A-Za-z0-9_-]+)|("(?:[^"\\\n]|\\.)*+")|('[^'\n]*+'))[ \t]*+(\.)?""", re.VERBOSE
)
_ASSIGN = re.compile(r"[ \t]*=[ \t]*")


class KeyPart(NamedTuple):
    """One name of a dotted key, and the offset of its first character."""

    name: str
    at: int


class TomlStatement(NamedTuple):
    """`[a.b]` (brackets = 1), `[[a.b]]` (2) or `a.b = value` (0).

    `start` and `end` enclose it without whitespace and comments; `value` is where the value of
    an assignment starts.
    """

    brackets: int
    key: tuple[KeyPart, ...]
    start: int
    end: int
    value: int = -1


class PositionNode:
    """The position of one key or element: `at` is its offset in the text.

    `explicit` tells that it has a header or an assignment of its own, where `[a.b]` only implies
    `a`. `value` and `lines` are parts of the text that `expand` has yet to parse.
    """

    __slots__ = ("at", "children", "explicit", "lines", "listed", "value")

    def __init__(self, at: int, *, value: int = -1) -> None:
        self.at = at
        self.value = value
        self.explicit = False
        self.listed = False
        self.lines: list[tuple[int, int]] = []
        self.children: dict[str | int, PositionNode] = {}

    def child(self, name: str | int, at: int) -> PositionNode:
        """The child of that name, created at `at` where there is none."""
        node = self.children.get(name)
        if node is None:
            node = self.children[name] = PositionNode(at)
        return node

    def copy(self, without: frozenset[str | int] = frozenset()) -> PositionNode:
        """The same places once more; of its own keys those of `without` are left out."""
        twin = PositionNode(self.at, value=self.value)
        twin.explicit, twin.listed, twin.lines = self.explicit, self.listed, list(self.lines)
        twin.children = {
            name: node.copy() for name, node in self.children.items() if name not in without
        }
        return twin

    def inner(self) -> PositionNode:
        """The node that the keys of a header belong to: the last one of a `[[table]]`, else the
        node itself.
        """
        return self.children[len(self.children) - 1] if self.listed else self


def statements(text: str, start: int = 0, end: int | None = None) -> Iterator[TomlStatement]:
    """All statements in order; stops where the text stops being TOML."""
    at = _skip(text, start)
    while at < (len(text) if end is None else end):
        statement = _statement(text, at)
        if statement is None:
            return
        yield statement
        at = _skip(text, statement.end)


def _statement(text: str, start: int) -> TomlStatement | None:
    at, brackets = start, 0
    while text.startswith("[", at) and brackets < 2:
        brackets += 1
        at += 1
    key, at = _key(text, at)
    if not key:
        return None
    if brackets:
        return TomlStatement(brackets, key, start, at + brackets)
    assign = _ASSIGN.match(text, at)
    if not assign:
        return None
    return TomlStatement(0, key, start, value_end(text, assign.end()), assign.end())


def tree(text: str) -> PositionNode:
    """The positions of all tables; `expand` finds those of their keys and values."""
    root = PositionNode(0)
    table = root
    at = _skip(text, 0)
    while at < len(text):
        run = _RUN.match(text, at)
        if run:
            table.lines.append(run.span())
            at = _skip(text, run.end())
            continue
        statement = _statement(text, at)
        if statement is None:
            break
        if statement.brackets:
            table = _open(root, statement)
        else:
            _assign(table, statement)
        at = _skip(text, statement.end)
    return root


def _open(root: PositionNode, statement: TomlStatement) -> PositionNode:
    """The table that a header opens."""
    node = root
    *path, last = statement.key
    for part in path:
        node = node.child(part.name, part.at).inner()
    node = node.child(last.name, last.at)
    if statement.brackets == 2:
        node.listed = True
        node = node.child(len(node.children), last.at)
    elif not node.explicit:
        node.at = last.at
    node.explicit = True
    return node


def _assign(table: PositionNode, statement: TomlStatement) -> None:
    node = table
    for part in statement.key:
        node = node.child(part.name, part.at)
    node.explicit = True
    node.value = statement.value


def expand(text: str, node: PositionNode) -> None:
    """Add the keys of a table, or the content of an inline array or table, as children."""
    lines, node.lines = node.lines, []
    for start, end in lines:
        for statement in statements(text, start, end):
            _assign(node, statement)
    at, node.value = node.value, -1
    if at >= 0:
        _inline(text, at, node)


def value_end(text: str, at: int) -> int:
    """The offset just after the value that starts at `at`."""
    simple = _SIMPLE.match(text, at)
    return simple.end() if simple else _inline(text, at, PositionNode(at))


def _inline(text: str, at: int, node: PositionNode) -> int:
    opening = text[at : at + 1]
    if opening == "[":
        return _array(text, at + 1, node)
    if opening == "{":
        return _table(text, at + 1, node)
    atom = ATOM.match(text, at)
    return atom.end() if atom else len(text)


def _array(text: str, at: int, node: PositionNode) -> int:
    at = _skip(text, at, SEPARATOR)
    while at < len(text) and text[at] != "]":
        at = _inline(text, at, node.child(len(node.children), at))
        at = _skip(text, at, SEPARATOR)
    return at + 1


def _table(text: str, at: int, node: PositionNode) -> int:
    at = _skip(text, at, SEPARATOR)
    while at < len(text) and text[at] != "}":
        key, at = _key(text, at)
        assign = _ASSIGN.match(text, at)
        if not key or not assign:
            return len(text)
        inner = node
        for part in key:
            inner = inner.child(part.name, part.at)
        inner.explicit = True
        at = _skip(text, _inline(text, assign.end(), inner), SEPARATOR)
    return at + 1


def _key(text: str, at: int) -> tuple[tuple[KeyPart, ...], int]:
    """A dotted key and the offset after it; no parts where there is none."""
    parts: list[KeyPart] = []
    while match := _KEY.match(text, at):
        bare, basic, literal, dot = match.groups()
        if bare is not None:
            parts.append(KeyPart(bare, match.start(1)))
        elif literal is not None:
            parts.append(KeyPart(literal[1:-1], match.start(3)))
        else:
            parts.append(KeyPart(_unescape(basic), match.start(2)))
        at = match.end()
        if dot is None:
            break
    return tuple(parts), at


def _unescape(basic: str) -> str:
    """The key; an escape that TOML does not know is kept as written."""
    if "\\" not in basic:
        return basic[1:-1]
    try:
        name: str = tomllib.loads(f"name = {basic}")["name"]
    except tomllib.TOMLDecodeError:
        return basic[1:-1]
    return name


def _skip(text: str, at: int, what: re.Pattern[str] = _SPACE) -> int:
    match = what.match(text, at)
    return match.end() if match else at
