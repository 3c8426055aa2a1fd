"""Write TOML in pvectl's layout: new files from values, and existing files reformatted.

`format_text` changes only whitespace, quotes and line breaks; order and comments are kept.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from reconciler.desired.toml.document import read
from reconciler.desired.toml.positions import (
    ATOM,
    SEPARATOR,
    STRING,
    TomlStatement,
    statements,
    value_end,
)
from reconciler.errors import FilesInvalid
from reconciler.text.sanitize import is_unseen

WIDTH = 100
_INDENT = "    "
_ONE_LINE = -10_000
_LAST_OF_FOUR = 0xFFFF
"""The last character that TOML writes with four digits."""
"""As a number of columns before a list: never breaks it, as inside of inline tables."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN_LITERAL = re.compile(r"'[^'\"\\]*'")


@lru_cache(maxsize=65536, typed=True)
def atom_text(value: Any) -> str:
    """A text, number, boolean or date as TOML; invisible characters are written as escapes,
    so that a file holds nothing that its reader does not see."""
    import tomli_w

    text = tomli_w.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")
    return text if text.isascii() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    if not is_unseen(char):
        return char
    return f"\\u{ord(char):04X}" if ord(char) <= _LAST_OF_FOUR else f"\\U{ord(char):08X}"


def key_text(name: str) -> str:
    """One part of a key, quoted where it must be."""
    return name if _BARE_KEY.fullmatch(name) else atom_text(name)


def value_text(value: Any, before: int = 0) -> str:
    """A value as TOML; a list that does not fit after `before` columns gets one line each."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key_text(k)} = {value_text(v, _ONE_LINE)}" for k, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (list, tuple)):
        return _wrapped([value_text(item, _ONE_LINE) for item in value], before)
    return atom_text(value)


def table_text(path: tuple[str, ...], table: Mapping[str, Any], *, array: bool = False) -> str:
    """`[path]` with its keys, or `[[path]]`."""
    name = ".".join(map(key_text, path))
    lines = [f"[[{name}]]" if array else f"[{name}]"]
    for key, value in table.items():
        start = f"{key_text(key)} = "
        lines.append(start + value_text(value, len(start)))
    return "\n".join(lines) + "\n"


def format_file(path: Path) -> tuple[bytes, bytes]:
    """The content of the file, and the formatted content; raises FilesInvalid when it is not
    TOML.
    """
    document, findings = read(path, path.name)
    if findings:
        raise FilesInvalid(
            f"{path.name} cannot be formatted",
            hint="fix it first; `pvectl validate` shows all mistakes",
            findings=findings,
        )
    return path.read_bytes(), format_text(document.text).encode()


def format_text(text: str) -> str:
    """The same TOML in pvectl's layout; `text` must be valid.

    Formatting is idempotent.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    data = tomllib.loads(text)
    formatted = "\n".join(_laid_out(_lines(text)))
    formatted += "\n" if formatted else ""
    # A file that would come out different is left as it is.
    return formatted if tomllib.loads(formatted) == data else text


def _lines(text: str) -> Iterator[str]:
    """The lines regardless of blank ones; a statement with its comment is one."""
    end = 0
    line = ""
    for statement in statements(text):
        yield from _between(line, text[end : statement.start])
        line = _statement(text, statement)
        end = statement.end
    yield from _between(line, text[end:])


def _between(line: str, gap: str) -> Iterator[str]:
    """A statement's line with the comment behind it, then the comments and blank lines after."""
    rest, newline, following = gap.partition("\n")
    comment = rest.strip()
    if line:
        blanks = len(rest) - len(rest.lstrip(" "))
        yield f"{line}{' ' * max(blanks, 2)}{comment}" if comment else line
    elif comment:
        yield comment
    elif newline:
        yield ""
    yield from (part.strip() for part in following.split("\n")[:-1])
    last = following.rpartition("\n")[2].strip()
    if last:
        yield last


def _laid_out(lines: Iterator[str]) -> Iterator[str]:
    """One blank line before tables; no double ones, none at the start or the end."""
    comments: list[str] = []
    started = blank = False
    for line in lines:
        if line.startswith("#"):
            comments.append(line)
            continue
        header = line.startswith("[")
        if started and (blank or header) and (comments or line):
            yield ""
            blank = False
        if comments or line:
            started = True
        if not line:
            # A comment that a blank line follows belongs to nothing below.
            yield from comments
            blank = True
        else:
            yield from comments
            yield line
            blank = False
        comments = []
    if comments and started and blank:
        yield ""
    yield from comments


def _statement(text: str, statement: TomlStatement, before: int = 0) -> str:
    name = ".".join(key_text(part.name) for part in statement.key)
    if statement.brackets:
        return "[" * statement.brackets + name + "]" * statement.brackets
    raw = text[statement.value : statement.end]
    if '"""' in raw or "'''" in raw:
        return f"{name} = {raw}"
    if "#" in STRING.sub("", raw):
        return f"{name} = " + "\n".join(line.rstrip() for line in raw.split("\n"))
    start = f"{name} = "
    return start + _value(text, statement.value, before + len(start))


def _value(text: str, at: int, before: int) -> str:
    """The value that starts at `at`, without changing how its atoms are written."""
    opening = text[at]
    if opening not in "[{":
        match = ATOM.match(text, at)
        atom = match[0] if match else ""
        return f'"{atom[1:-1]}"' if _PLAIN_LITERAL.fullmatch(atom) else atom
    parts = []
    end = value_end(text, at) - 1
    at = _after_separator(text, at + 1)
    while at < end:
        if opening == "[":
            parts.append(_value(text, at, _ONE_LINE))
            at = value_end(text, at)
        else:
            inner = next(statements(text[at:end]))
            parts.append(_statement(text[at:end], inner, _ONE_LINE))
            at += inner.end
        at = _after_separator(text, at)
    if opening == "[":
        return _wrapped(parts, before)
    return f"{{ {', '.join(parts)} }}" if parts else "{}"


def _after_separator(text: str, at: int) -> int:
    match = SEPARATOR.match(text, at)
    return match.end() if match else at


def _wrapped(parts: list[str], before: int) -> str:
    line = f"[{', '.join(parts)}]"
    if before + len(line) <= WIDTH or not parts:
        return line
    return "[\n" + "".join(f"{_INDENT}{part},\n" for part in parts) + "]"
