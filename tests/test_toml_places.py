"""Every key, table and element of a TOML file is found where it stands."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.desired.scan import Node, expand, statements, tree

BARE = st.text("abcXYZ019_-", min_size=1, max_size=4)
TRICKY = st.sampled_from(["a.b", "", "x@pve", "#no", "[t]", 'q"q', "ü", "a b", "back\\slash", "="])
NAMES = st.one_of(BARE, TRICKY)
BLANK = st.sampled_from(["", " ", "\t", "  "])
COMMENT = st.sampled_from(["", "# c", '# "', "# ]", "# '''", "#[[x]]"])
ATOMS = st.sampled_from(
    [
        "1", "-2.5", "true", "1979-05-27", "1979-05-27 07:32:00", "07:32:00", "inf", "0xDEAD_beef",
        '""', '"a"', "''", "'it'", '"[x]"', '"# no"', '"\\""', '"\\\\"', "'\\'", '"a = {"',
        '"""a"""', '""""quoted""""', '"""\n[no.table]\nk = 1\n"""', "'''\n]]\n'''", "''''x'''''",
        '"""\\\n   joined"""', '"""a\\"""b"""',
    ]
)  # fmt: skip


def quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@st.composite
def keys(draw: st.DrawFn) -> str:
    name = draw(NAMES)
    if name and all(c in "abcdefghijklmnopqrstuvwxyzXYZ0123456789_-" for c in name):
        styles = [name, quoted(name), f"'{name}'"]
    elif "'" not in name:
        styles = [quoted(name), f"'{name}'"]
    else:
        styles = [quoted(name)]
    return draw(st.sampled_from(styles))


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    between = st.sampled_from(["", " ", "\n", "\n  # ], [\n", "\t"])
    parts = draw(st.lists(inner, max_size=3))
    text = "["
    for number, part in enumerate(parts):
        text += draw(between) + part + draw(between)
        text += "," if number + 1 < len(parts) or draw(st.booleans()) else ""
    return text + draw(between) + "]"


@st.composite
def inline_tables(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    pairs = [f"{draw(keys())}{draw(BLANK)}= {draw(inner)}" for _ in range(draw(st.integers(0, 3)))]
    return "{" + draw(BLANK) + ", ".join(pairs) + draw(BLANK) + "}"


VALUES = st.recursive(ATOMS, lambda v: st.one_of(arrays(v), inline_tables(v)), max_leaves=6)


@st.composite
def documents(draw: st.DrawFn) -> str:
    lines = []
    for _ in range(draw(st.integers(0, 10))):
        dots = st.sampled_from([".", " . ", ".\t"])
        path = draw(dots).join(draw(st.lists(keys(), min_size=1, max_size=3)))
        match draw(st.sampled_from("tak#")):
            case "t":
                line = f"[{draw(BLANK)}{path}{draw(BLANK)}]"
            case "a":
                line = f"[[{path}]]"
            case "k":
                line = f"{path}{draw(BLANK)}={draw(BLANK)}{draw(VALUES)}"
            case _:
                line = ""
        lines.append(draw(BLANK) + line + draw(BLANK) + draw(COMMENT))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


def key_at(text: str, at: int) -> str:
    """The one key that starts there, as tomllib reads it."""
    match = re.match(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""", text[at:])
    assert match, text[at : at + 10]
    (name,) = tomllib.loads(f"{match[0]} = 1")
    return name


def check_places(text: str, node: Node, data: Any) -> None:
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


@settings(max_examples=400)
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
