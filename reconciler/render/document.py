"""The content of a document, common to terminal and Markdown output.

Strings in a document are raw; the renderers sanitize them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from reconciler.model.finding import Finding, Severity
from reconciler.text.humanize import counts


class Style(StrEnum):
    """The meaning of a line, shown as a colour or an icon."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    GOOD = "good"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    ERROR = "error"
    WARNING = "warning"


class TextLine(NamedTuple):
    """`mark` precedes the text: `+`, `~`, `-`, `!`.

    `label` also precedes the text, including its padding. Wrapped text is aligned with its own
    beginning. `indent` counts columns. A `whole` line is never wrapped, so that it
    can be copied into a shell or a file.
    """

    text: str
    tone: Style = Style.PLAIN
    indent: int = 0
    mark: str = ""
    label: str = ""
    whole: bool = False


Block = tuple[TextLine, ...]
"""Lines that stay together."""


class Fact(NamedTuple):
    """One line of the head of a document."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Section:
    """`unit` names one block, for counting the blocks that are not shown.

    `spaced`: an empty line between blocks.
    """

    title: str
    blocks: tuple[Block, ...]
    unit: str = "line"
    spaced: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A document: title, head, what stops it (`urgent`), what comes first (`lead`), findings,
    sections, what to do next."""

    title: str
    facts: tuple[Fact, ...] = ()
    urgent: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    sections: tuple[Section, ...] = ()
    lead: tuple[Section, ...] = ()
    closing: tuple[TextLine, ...] = ()
    tone: Style = Style.STRONG


def labelled(
    pairs: Iterable[tuple[str, str]], indent: int, tone: Style = Style.PLAIN
) -> list[TextLine]:
    """One line per pair, the texts aligned."""
    rows = list(pairs)
    width = max((len(label) for label, _ in rows), default=0)
    return [TextLine(text, tone, indent, label=label.ljust(width + 2)) for label, text in rows]


def copied(lines: Iterable[str], indent: int) -> Block:
    """Lines to copy into a file or a shell."""
    return tuple(TextLine(text, Style.PLAIN, indent, whole=True) for text in lines)


def section(title: str, lines: Sequence[str | tuple[str, str]], unit: str = "line") -> Section:
    """A section of plain lines, and of lines with a mark: (`+`, `~`, `-` or `!`, text)."""
    made = (marked_line(*line) if isinstance(line, tuple) else _plain(line) for line in lines)
    return Section(title, tuple((line,) for line in made), unit)


_TONES = {"+": Style.CREATE, "~": Style.UPDATE, "-": Style.DELETE, "!": Style.WARNING}


def marked_line(mark: str, text: str) -> TextLine:
    """`mark`: `+`, `~`, `-` or `!`, which also gives the line its tone."""
    return TextLine(text, _TONES[mark], 2, mark)


def _plain(text: str) -> TextLine:
    return TextLine(text, Style.PLAIN, 2)


def severities(findings: Sequence[Finding]) -> str:
    """`1 error, 2 warnings`; `none` without findings."""
    numbers = [
        (sum(finding.severity is severity for finding in findings), str(severity))
        for severity in Severity
    ]
    return counts(numbers) or "none"
