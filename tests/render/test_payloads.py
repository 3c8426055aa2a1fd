"""Every payload against every output: what is shown stays text, in each document and format."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt

from reconciler.render import FORMATS
from reconciler.render.json_schemas import SCHEMAS, schema_of
from reconciler.render.view import View
from tests.render.payloads import MARKER, PAYLOADS, Documents, documents, poisoned

CELLS = [(name, format_) for name, formats in FORMATS.items() for format_ in formats]
VIEW = View(now=1764000000)
HARMLESS = "harmless"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    return documents(tmp_path_factory.mktemp("payloads"))


def test_every_document_is_among_them_and_holds_the_marker(shown: Documents) -> None:
    assert sorted(shown) == sorted(FORMATS)
    silent = {
        name for name, found in shown.items() if not any(MARKER in repr(one) for one in found)
    }
    assert silent <= {"page"}  # our own text, which no cluster and no file reaches
    assert any(MARKER in repr(one.access) for one in shown["plan"])


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize(("name", "format_"), CELLS)
def test_no_payload_is_more_than_text(
    name: str, format_: str, payload: str, shown: Documents
) -> None:
    render = FORMATS[name][format_]
    assert format_ in CHECKS, f"CHECKS below lacks what a payload must not do in {format_}"
    for one in shown[name]:
        harmless, found = (
            render(poisoned(one.content, text), replace(VIEW, access=poisoned(one.access, text)))
            for text in (HARMLESS, PAYLOADS[payload])
        )
        CHECKS[format_](found, harmless)


def undescribed(found: Any, schema: Any) -> set[str]:
    """Fields, at any depth, of objects whose fields the schema names."""
    if isinstance(found, list):
        inner = schema.get("items", {})
        return set().union(*(undescribed(one, inner) for one in found))
    if not isinstance(found, dict) or "properties" not in schema:
        return set()
    named = schema["properties"]
    below = (undescribed(value, named[name]) for name, value in found.items() if name in named)
    return (found.keys() - named.keys()).union(*below)


def test_json_documents_are_as_their_schema_says(shown: Documents) -> None:
    """And every field that stands in one is described."""
    met = set()
    for name, contents in shown.items():
        for one in contents if "json" in FORMATS[name] else ():
            found = json.loads(FORMATS[name]["json"](one.content, VIEW))
            schema = schema_of(found["kind"])
            Draft202012Validator.check_schema(schema)
            errors = Draft202012Validator(schema).iter_errors(found)
            assert [error.message for error in errors] == []
            assert (found["kind"], undescribed(found, schema)) == (found["kind"], set())
            met.add(found["kind"])
    assert met == SCHEMAS.keys() - {"fleet"}  # of several commands, seen in tests/cli/test_fleet.py


def _text(found: str, harmless: str) -> None:
    del harmless
    assert all(line.isprintable() for line in found.split("\n"))
    assert not re.search("[\u3164\uffa0\u115f\u2800]", found)
    assert not re.search(r"^(::|##vso)", found, re.MULTILINE)


READER = MarkdownIt("commonmark").enable("table")


OURS = re.compile(r"</?(code|span|details|summary|b)>|<br>")
BLOCKS = ("fence", "heading_open", "table_open", "tr_open", "list_item_open")


def _markdown(found: str, harmless: str) -> None:
    """The same blocks, our own tags and no others, no link or picture, and nobody is called."""
    assert all(line.isprintable() for line in found.split("\n"))
    assert _blocks(found) == _blocks(harmless)
    for token in READER.parse(found):
        aside = ""
        for part in token.children or ():
            assert part.type not in {"link_open", "image"}
            if part.type == "html_inline":
                assert OURS.fullmatch(part.content)
                aside = part.content if part.content in {"<code>", "<span>"} else ""
            elif part.type == "text" and aside != "<code>":
                assert not re.search(r"(?<!\w)[@#]\w", part.content)


def _blocks(text: str) -> Counter[str]:
    """What a reader sees; a long section is folded, its heading the summary."""
    counted: Counter[str] = Counter()
    for token in READER.parse(text):
        if token.type == "html_block":
            inside = re.sub(
                r"<details><summary><b>[^<]*</b> \([\d,]+\)</summary>", "", token.content
            )
            assert inside.strip() in {"", "</details>"}
            counted["heading_open"] += inside != token.content
        elif token.type in BLOCKS:
            counted[token.type] += 1
    return counted


def _json(found: str, harmless: str) -> None:
    assert found.isascii()
    assert _keys(json.loads(found)) == _keys(json.loads(harmless))


def _keys(value: Any) -> Any:
    """The shape of a document; names of objects are keys in some."""
    if isinstance(value, dict):
        return sorted((key, _keys(one)) for key, one in value.items() if key.isidentifier())
    return [_keys(one) for one in value] if isinstance(value, list) else type(value)


def _xml(found: str, harmless: str) -> None:
    def shape(text: str) -> list[tuple[str, list[str]]]:
        return [(one.tag, sorted(one.attrib)) for one in ET.fromstring(text).iter()]  # noqa: S314

    assert shape(found) == shape(harmless)


def _metrics(found: str, harmless: str) -> None:
    line = re.compile(r'# .*|\w+(\{(\w+="([^"\\\n]|\\[\\n"])*",?)*\})? -?[\d.e+]+')
    assert all(line.fullmatch(one) for one in found.splitlines())
    assert len(found.split("\n")) == len(harmless.split("\n"))


def _nagios(found: str, harmless: str) -> None:
    """The same state, and one `|`: no text becomes performance data or another line."""
    _text(found, harmless)
    first = re.compile(r"PVECTL \S+ (OK|WARNING|CRITICAL|UNKNOWN) - [^|]*( \| ([a-z_-]+=\d+ ?)+)?")
    lines, others = found.split("\n"), harmless.split("\n")
    match, other = first.fullmatch(lines[0]), first.fullmatch(others[0])
    assert match is not None
    assert other is not None
    assert (match[1], match[2], len(lines)) == (other[1], other[2], len(others))
    assert not any("|" in line for line in lines[1:])


def _csv(found: str, harmless: str) -> None:
    def rows(text: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO(text, newline="")))

    assert [len(row) for row in rows(found)] == [len(row) for row in rows(harmless)]
    for row in rows(found):
        for cell in row:
            assert cell.isprintable()
            assert not cell.lstrip().startswith(("=", "+", "-", "@"))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(sorted(name for name, _ in attrs))))


def _html(found: str, harmless: str) -> None:
    def tags(text: str) -> list[tuple[str, tuple[str, ...]]]:
        parser = _Tags()
        parser.feed(text)
        return parser.found

    assert tags(found) == tags(harmless)
    assert "<img" not in found


def _mermaid(found: str, harmless: str) -> None:
    """As many lines of the same shape; inside quotes only what Mermaid reads as text."""
    assert len(found.splitlines()) == len(harmless.splitlines())
    for line in found.splitlines():
        outside, quoted = re.subn(r'"[A-Za-z0-9 ._/@!,+()#;-]*"', "", line)
        assert re.fullmatch(r"[A-Za-z0-9 \[\]|>.-]*", outside), (line, quoted)


def _dot(found: str, harmless: str) -> None:
    assert all(line.isprintable() for line in found.splitlines())
    assert len(found.splitlines()) == len(harmless.splitlines())

    def shapes(text: str) -> Counter[str]:
        outside = (re.sub(r'"(?:[^"\\]|\\.)*"', "", line) for line in text.splitlines())
        return Counter(re.sub(r"\bn\d+", "n", line) for line in outside)

    assert shapes(found) == shapes(harmless)


CHECKS: dict[str, Callable[[str, str], None]] = {
    "text": _text,
    "markdown": _markdown,
    "json": _json,
    "sarif": _json,
    "codequality": _json,
    "junit": _xml,
    "metrics": _metrics,
    "nagios": _nagios,
    "csv": _csv,
    "html": _html,
    "mermaid": _mermaid,
    "dot": _dot,
    "github-matrix": _json,
    "gitlab-matrix": _json,
    "svg": _xml,
}
