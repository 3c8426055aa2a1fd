"""One line of a document, sanitized and wrapped to a width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from reconciler.render.document import TextLine
from reconciler.text.sanitize import clean

_NARROWEST = 24
"""Minimum width of text, however far it is indented."""


_COMMAND = re.compile(r"`pvectl [^`]*`")
_GLUE = "\x00"
"""Replaces a space at which a line must not break; sanitised text never contains it."""


class Cut(NamedTuple):
    """A part of a line: `label` and `text` for the first part, padding and text for the others."""

    label: str
    text: str


def cut(line: TextLine, width: int) -> Iterator[Cut]:
    """Wrap label and text to `width` columns; long words and commands are not broken."""
    text, label = clean(line.text), clean(line.label)
    room = max(width - len(label), _NARROWEST)
    parts = [text]
    if len(text) > room and not line.whole:
        glued = _COMMAND.sub(lambda found: found[0].replace(" ", _GLUE), text)
        cuts = textwrap.wrap(glued, room, break_long_words=False, break_on_hyphens=False)
        parts = [part.replace(_GLUE, " ") for part in cuts] or [""]
    for part in parts:
        yield Cut(label, part)
        label = " " * len(label)
