"""Foreign text made safe to show: nothing in it can steer a terminal or hide."""

from __future__ import annotations


def clean(text: str) -> str:
    r"""One line of text in which every character is seen.

    Control characters, ANSI escapes, line ends, direction marks, invisible characters and blanks
    that are not the ordinary one are written as escapes: `\n`, `\x1b`, `\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
