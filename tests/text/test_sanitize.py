"""Nothing hides in a text that is shown."""

from __future__ import annotations

import unicodedata

import pytest

from reconciler.text.sanitize import clean

INVISIBLE = ["\u3164", "\uffa0", "\u115f", "\u1160", "\u2800", "\ufe0f", "\ufe00", "\U000e0100"]
INVISIBLE += ["\u034f", "\u17b4", "\u180b", "\u180e", "\u200b", "\u2060", "\ufeff", "\u00ad"]


@pytest.mark.parametrize("char", INVISIBLE, ids=lambda char: f"{ord(char):04x}")
def test_an_invisible_letter_is_written_as_an_escape(char: str) -> None:
    assert clean(f"root{char}@pam") == f"root{char.encode('unicode_escape').decode()}@pam"


@pytest.mark.parametrize(
    "text", ["Zoë", "Ångström", "日本語", "Привет", "한국어", "a b", "😀", "é"]
)
def test_what_is_seen_stays(text: str) -> None:
    assert clean(text) == text


def test_no_character_of_the_classes_of_invisible_ones_passes() -> None:
    hidden = {"Cc", "Cf", "Zl", "Zp", "Cs"}
    passed = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) in hidden]
    assert not [char for char in passed if clean(char) == char]
