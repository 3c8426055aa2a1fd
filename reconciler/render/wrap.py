"""One line of an outline, made safe and cut to a width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from reconciler.render.document import TextLine
from reconciler.text.sanitize import clean

_NARROWEST = 24
"""Columns that a text gets at least, however far it is indented."""


class Cut(NamedTuple):
    """A part of a line: `label` and `text` for the first part, blanks and text for the others."""

    label: str
    text: str


def cut(line: TextLine, width: int) -> Iterator[Cut]:
    """The parts of a line when label and text have `width` columns; long words stay whole."""
    text, label = clean(line.text), clean(line.label)
    room = max(width - len(label), _NARROWEST)
    parts = [text]
    if len(text) > room and not line.whole:
        parts = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    for part in parts:
        yield Cut(label, part)
        label = " " * len(label)
