"""`fmt` changes how a file looks, never what it says, nor its comments."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.desired.toml.formatter import (
    atom_text,
    format_file,
    format_text,
    table_text,
    value_text,
)
from reconciler.errors import FilesInvalid
from tests.desired.toml_texts import documents

BEFORE = (
    """\


# the team's roles

# who may look
  [ role . "Viewer" ]
privileges=[ "VM.Audit",'Sys.Audit' ,]   # read only
purpose   =   "line one"
[user."a@pve"]
# a comment of its own

email='a@example.com'
password = {env="A"  }
comment = """
    + "'''"
    + """keep
  this  '''
groups = [
   "one", # kept as it is   \n   "two",
]
[[acl]]
paths = ["/vms/100","/vms/101","/vms/102","/vms/103", "/vms/104", "/vms/105", "/vms/106","/vms/107"]
limit = 0x1F


# the end"""
)

AFTER = (
    """\
# the team's roles

# who may look
[role.Viewer]
privileges = ["VM.Audit", "Sys.Audit"]   # read only
purpose = "line one"

[user."a@pve"]
# a comment of its own

email = "a@example.com"
password = { env = "A" }
comment = """
    + "'''"
    + """keep
  this  '''
groups = [
   "one", # kept as it is
   "two",
]

[[acl]]
paths = [
    "/vms/100",
    "/vms/101",
    "/vms/102",
    "/vms/103",
    "/vms/104",
    "/vms/105",
    "/vms/106",
    "/vms/107",
]
limit = 0x1F

# the end
"""
)


def test_a_file_gets_one_layout() -> None:
    assert format_text(BEFORE) == AFTER


def test_windows_line_ends_and_byte_order_marks_go() -> None:
    assert format_text("\ufeff" + BEFORE.replace("\n", "\r\n")) == AFTER


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "#a\n\n\n\n#b\n"])
def test_nearly_empty_files(text: str) -> None:
    assert format_text(format_text(text)) == format_text(text)
    assert format_text(text).count("#") == text.count("#")


@settings(max_examples=200)
@given(documents())
def test_formatting_keeps_the_meaning_and_is_done_once(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    formatted = format_text(text)
    assert tomllib.loads(formatted) == data
    assert format_text(formatted) == formatted
    for comment in ("# c", "# ]", "#[[x]]"):
        assert formatted.count(comment) == text.count(comment)


VALUES = st.recursive(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        st.dates(),
        st.datetimes(timezones=st.just(dt.UTC)),
        st.sampled_from(["x" * 99]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_written_values_read_back(value: Any) -> None:
    text = table_text(("a", "b.c"), {"key": value, "other key": [value]})
    assert tomllib.loads(text) == {"a": {"b.c": {"key": value, "other key": [value]}}}
    assert format_text(text) == text


def test_numbers_are_not_taken_for_booleans() -> None:
    assert [value_text(value) for value in (True, 1, 1.0, False, 0)] == [
        "true", "1", "1.0", "false", "0",
    ]  # fmt: skip


def test_a_file_with_mistakes_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[group.g]\ncomment = x\n")
    with pytest.raises(FilesInvalid) as caught:
        format_file(path)
    assert [str(f.source) for f in caught.value.findings] == ["a.toml:2:11"]
    assert path.read_text() == "[group.g]\ncomment = x\n"


def test_windows_line_ends_count_as_a_difference(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"[group.g]\r\n")
    assert format_file(path) == (b"[group.g]\r\n", b"[group.g]\n")


@pytest.mark.parametrize(
    "text", ["a\u202eb", "\u3164", "\x9b2J", "\U000e0100", "\u2028", "caf\u00e9"]
)
def test_what_nobody_sees_is_written_as_escapes(text: str) -> None:
    written = atom_text(text)
    assert tomllib.loads(f"x = {written}") == {"x": text}
    assert written.isprintable()
    assert written.isascii() is ("caf" not in text)
