"""Read TOML files with the position of every table, key and element."""

from __future__ import annotations

import errno
import os
import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from reconciler.desired.size_limits import (
    LARGEST,
    MOST_SLIPS,
    TOO_DEEP,
    TOO_LONG,
    deepest_bracket,
    long_number,
    offence,
    too_large,
)
from reconciler.desired.toml.positions import PositionNode, TomlStatement, expand, statements, tree
from reconciler.model.finding import Finding, Severity, Source

Key = str | int


@dataclass(slots=True)
class TomlDocument:
    """One file: its values, and the positions of all of them.

    `complete` is False when a part could not be read; the findings say which. `each`: as in Source,
    where the document is a part of a file that is expanded for one value.
    """

    file: str
    text: str
    data: dict[str, Any]
    root: PositionNode
    complete: bool = True
    each: str = ""
    _lines: list[int] | None = None

    def child(self, node: PositionNode, key: Key) -> PositionNode:
        """The position of a key or element below `node`; `node` itself where it is unknown."""
        if node.value >= 0 or node.lines:
            expand(self.text, node)
        return node.children.get(key, node)

    def node(self, node: PositionNode, *path: Key) -> PositionNode:
        """The position at the end of `path`, as far as the path exists."""
        for key in path:
            inner = self.child(node, key)
            if inner is node:
                break
            node = inner
        return node

    def source(self, node: PositionNode) -> Source:
        """File, line and column of a position."""
        lines = self._line_ends()
        line = bisect_left(lines, node.at)
        start = lines[line - 1] + 1 if line else 0
        return Source(self.file, line + 1, node.at - start + 1, self.each)

    def _line_ends(self) -> list[int]:
        if self._lines is None:
            self._lines = [match.start() for match in re.finditer("\n", self.text)]
        return self._lines

    def part(
        self, node: PositionNode, data: dict[str, Any], each: str, without: Iterable[Key] = ()
    ) -> TomlDocument:
        """The table at `node` as a document, with `data` as its values and places that may be
        changed without changing those of this one."""
        root = node.copy(frozenset(without))
        return TomlDocument(
            self.file, self.text, data, root, self.complete, each, self._line_ends()
        )


def read(path: Path, file: str) -> tuple[TomlDocument, list[Finding]]:
    """Read one file; syntax errors are returned as findings.

    A table with a syntax error is left out and the others are kept, so that one mistake does not
    hide the rest. `file` is the name in findings.
    """
    try:
        raw = _bytes(path)
    except OSError as error:
        found = Finding(
            "FILE_UNREADABLE",
            Severity.ERROR,
            f"{file} cannot be read: {error.strerror}",
            source=Source(file),
        )
        return TomlDocument(file, "", {}, PositionNode(0), complete=False), [found]
    return decode(raw, file)


def decode(raw: bytes, file: str) -> tuple[TomlDocument, list[Finding]]:
    """As `read`, from the content of a file."""
    if len(raw) > LARGEST:
        message = f"the file has more than {LARGEST // 1024 // 1024} MiB"
        found = too_large(message, "Proxmox VE accepts 1 MiB; is it a state file?", Source(file))
        return TomlDocument(file, "", {}, PositionNode(0), complete=False), [found]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return TomlDocument(file, "", {}, PositionNode(0), complete=False), [
            _not_utf8(raw, error, file)
        ]
    return parse(text, file)


def _bytes(path: Path) -> bytes:
    """The content up to the size limit. Raises OSError unless it is a regular file: a pipe or a
    device may never end.
    """
    if not path.is_file():
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        raise OSError(errno.EINVAL, "it is not a regular file")
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def parse(text: str, file: str) -> tuple[TomlDocument, list[Finding]]:
    """As `read`, from a string."""
    text = text.replace("\r\n", "\n")
    findings: list[Finding] = []
    rest = text
    while True:
        try:
            data = tomllib.loads(rest)
            break
        except tomllib.TOMLDecodeError as error:
            finding, at = _syntax(rest, str(error), file)
            findings.append(finding)
            rest = _without_table(rest, at) if len(findings) < MOST_SLIPS else ""
        except RecursionError:
            return _nothing(rest, file, deepest_bracket(rest), TOO_DEEP, findings)
        except ValueError:  # Python's own limit for digits
            return _nothing(rest, file, long_number(rest), TOO_LONG, findings)
    found = offence(data)
    if found is not None and found[1] == TOO_DEEP:
        return _nothing(rest, file, deepest_bracket(rest), TOO_DEEP, findings)
    document = TomlDocument(file, rest, data, tree(rest), complete=not findings)
    if found is not None:
        place = document.node(document.root, *found[0])
        return _nothing(rest, file, place.at, found[1], findings)
    return document, findings


def _nothing(
    text: str, file: str, at: int, why: str, findings: list[Finding]
) -> tuple[TomlDocument, list[Finding]]:
    """An empty file with one finding, where something exceeds a limit."""
    source = TomlDocument(file, text, {}, PositionNode(0)).source(PositionNode(at))
    found = too_large(why, "Proxmox VE has no such values; remove it", source)
    return TomlDocument(file, "", {}, PositionNode(0), complete=False), [*findings, found]


def _not_utf8(raw: bytes, error: UnicodeDecodeError, file: str) -> Finding:
    start = raw.rfind(b"\n", 0, error.start) + 1
    column = len(raw[start : error.start].decode("utf-8", "replace")) + 1
    source = Source(file, raw.count(b"\n", 0, error.start) + 1, column)
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    what = "UTF-16" if utf16 else f"not UTF-8 (byte 0x{raw[error.start]:02x} is not part of it)"
    return Finding(
        "NOT_UTF8",
        Severity.ERROR,
        f"the file is {what}",
        "save it as UTF-8, the only encoding of TOML",
        source=source,
    )


_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HEADER = re.compile(
    r"^[ \t]*\[{1,2}[ \t]*[\w\"'][^\[\]\n,]*\]{1,2}[ \t]*(?:#[^\n]*)?$", re.MULTILINE
)
_OPEN = ("Unclosed", "Unterminated", 'Expected \'"""\'', "Expected \"'''\"")
_PLAIN = {
    "Illegal character '\\n'": (
        "the string is not closed on its line",
        'add the missing quote; enclose a multi-line string in """',
    ),
    "Unterminated string": ("the string is never closed", "add the missing quotes"),
    "Unclosed array": (
        "the list is not closed, or a comma is missing in it",
        "look for a missing ] or comma",
    ),
    "Unclosed inline table": (
        "the inline table is not closed, or a comma is missing in it",
        "look for a missing } or comma; it must end on the line where it starts",
    ),
    "Unescaped '\\' in a string": (
        "a literal backslash",
        "write \\\\, or use single quotes around the string",
    ),
    "Invalid value": (
        "not a valid value",
        "strings need quotes, true and false are lower case, dates look like 2027-01-31",
    ),
    "Expected '=' after a key in a key/value pair": (
        "'=' is missing after the key",
        "a line is [table], [[table]] or key = value; keys like a@b or a.b are quoted",
    ),
    "Expected ']' at the end of a table declaration": (
        "']' is missing at the end of the table's name",
        'quote names with characters other than letters, digits, - and _: ["a@b"]',
    ),
    "Expected newline or end of document after a statement": (
        "unexpected text after the value",
        "look for a missing quote or comma; each key needs its own line",
    ),
    "Invalid statement": ("neither a table, a key nor a comment", ""),
}
"""What tomllib says -> what people understand, and what to do."""


def _syntax(text: str, error: str, file: str) -> tuple[Finding, int]:
    """The finding for a syntax error, and where the statement with it begins."""
    place = _PLACE.search(error)
    message = error[: place.start()] if place else error
    at = len(text)
    if place and place[1]:
        starts = [0, *(match.end() for match in re.finditer("\n", text))]
        at = min(starts[int(place[1]) - 1] + int(place[2]) - 1, len(text))
    before = _until(text, at)
    if re.match(r"Cannot (declare|overwrite|redefine|mutate)", message):
        return _twice(text, before, file), before[-1].start
    begin = at
    if before and (before[-1].end >= at or message.startswith(_OPEN)):
        begin = before[-1].start
    if before and message.startswith(_OPEN):
        at = max(before[-1].value, begin)
    plain, hint = _PLAIN.get(message, (message[:1].lower() + message[1:], ""))
    source = TomlDocument(file, text, {}, PositionNode(0)).source(PositionNode(at))
    return Finding("TOML_SYNTAX", Severity.ERROR, plain, hint, source=source), begin


def _until(text: str, at: int) -> list[TomlStatement]:
    """The statements that begin at or before `at`."""
    return list(takewhile(lambda statement: statement.start <= at, statements(text)))


def _twice(text: str, before: list[TomlStatement], file: str) -> Finding:
    """The finding where the last of the statements repeats a key or a table; names both places."""
    document = TomlDocument(file, text, {}, PositionNode(0))
    offender = before[-1]
    first = _first(text[: offender.start], before)
    name = ".".join(part.name for part in offender.key)
    message = f"'{name}' is set twice in one table"
    if offender.brackets:
        message = f"the table [{name}] appears twice in this file"
    hint = "keep one of them"
    if first is not None:
        hint = f"it is already on line {document.source(first).line}; keep one of them"
    source = document.source(PositionNode(offender.key[-1].at))
    return Finding("DUPLICATE", Severity.ERROR, message, hint, source=source)


def _first(text: str, before: list[TomlStatement]) -> PositionNode | None:
    """The position of what the last statement repeats; `text` ends where that begins."""
    *earlier, offender = before
    path = [part.name for part in offender.key]
    header = next((s for s in reversed(earlier) if s.brackets), None)
    if not offender.brackets and header is not None:
        path = [part.name for part in header.key] + path
    document = TomlDocument("", text, {}, tree(text))
    node = document.root
    for name in path:
        inner = document.child(node.inner(), name)
        if inner is node.inner():
            break
        node = inner
    return None if node is document.root else node


def _without_table(text: str, begin: int) -> str:
    """The text with the table around `begin` blanked; all other lines keep their numbers."""
    start, end = 0, len(text)
    for header in _HEADER.finditer(text):
        if header.start() > begin:
            end = header.start()
            break
        start = header.start()
    blanked = text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]
    return "" if blanked == text else blanked
