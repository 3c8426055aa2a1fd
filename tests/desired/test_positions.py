"""Every key, table and element of a TOML file is found where it stands."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.desired.toml.document import parse
from reconciler.desired.toml.positions import PositionNode, expand, statements, tree
from tests.desired.toml_texts import documents


def key_at(text: str, at: int) -> str:
    """The one key that starts there, as tomllib reads it."""
    match = re.match(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""", text[at:])
    assert match, text[at : at + 10]
    (name,) = tomllib.loads(f"{match[0]} = 1")
    return name


def check_places(text: str, node: PositionNode, data: Any) -> None:
    """Every child of `node` is one of `data`, stands where its text stands, and none is missing."""
    expand(text, node)
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    assert set(node.children) == set(keys)
    for key in keys:
        child, value = node.children[key], data[key]
        if isinstance(key, str):
            assert key_at(text, child.at) == key
        elif not node.listed:
            opening = text[child.at]
            assert (opening == "[") == isinstance(value, list)
            assert (opening == "{") == isinstance(value, dict)
            assert (opening in "\"'") == isinstance(value, str)
        check_places(text, child, value)


@settings(max_examples=200)
@given(documents())
def test_places_agree_with_tomllib(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    check_places(text, tree(text), data)


@given(documents())
def test_values_end_where_they_end(text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    for statement in statements(text):
        if not statement.brackets:
            tomllib.loads(f"value = {text[statement.value : statement.end]}\nnext = 1")
        found = text[statement.start : statement.end]
        assert found == found.strip()


@settings(max_examples=300)
@given(documents(), st.data())
def test_broken_files_give_findings_with_places_and_keep_what_is_right(
    text: str, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, max(len(text) - 1, 0)), max_size=3))
    for at in cuts:
        text = (
            text[:at]
            + data.draw(st.sampled_from(["", '"', "]", "\n", "=", "[[x"]))
            + text[at + 1 :]
        )
    document, findings = parse(text, "a.toml")
    try:
        assert document.data == tomllib.loads(text)
        assert findings == []
    except tomllib.TOMLDecodeError:
        assert findings
        assert not document.complete
    lines = text.split("\n")
    for finding in findings:
        assert finding.source is not None
        line = lines[finding.source.line - 1]
        assert 1 <= finding.source.column <= len(line) + 1
    check_places(document.text, document.root, document.data)
