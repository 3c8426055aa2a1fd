"""Make foreign text safe to display: nothing in it can control a terminal or hide."""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Printable according to Python, but invisible: the rest of Unicode's Default_Ignorable_Code_Point
(DerivedCoreProperties.txt: fillers, variation selectors, joiners), and the Braille blank."""


def clean(text: str) -> str:
    r"""One line of text in which every character is visible.

    Control characters, ANSI escapes, line ends, direction marks, invisible characters and spaces
    that are not the ordinary one are written as escapes: `\n`, `\x1b`, `\u202e`.
    """
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escaped(char) for char in text)
    return text if text.isascii() else _INVISIBLE.sub(lambda found: _escaped(found[0]), text)


def is_unseen(char: str) -> bool:
    """Whether a character is written as an escape by `clean`."""
    return not char.isprintable() or _INVISIBLE.match(char) is not None


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
