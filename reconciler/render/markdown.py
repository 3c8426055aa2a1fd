"""Documents as GitHub comments: no quoted string can format the text or notify users."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reconciler.model.finding import Finding, Severity
from reconciler.render.collapse import alike
from reconciler.render.document import Block, Document, Section
from reconciler.render.wrap import cut
from reconciler.text.humanize import count, hint_lines
from reconciler.text.sanitize import clean

LIMIT = 65_536
"""GitHub refuses a longer comment. Counted in bytes here, which is never too few."""

FOLD = 30
"""A section of more lines than this is folded."""

_SHARE = LIMIT // 3
"""Budget of the findings, so that the steps keep the rest."""

_RESERVE = 300
"""Bytes around a section: its heading, its fence, the count of what was left out."""

WIDTH = 100
"""Columns of a block of code before a reader has to scroll."""

_ACTIVE = re.compile(r"[&<>|`*_\[\]~\\$]|:(?=//)|(?i:(?<=www)\.)")
_ICONS = {Severity.ERROR: "🛑", Severity.WARNING: "⚠️", Severity.NOTE: "ℹ️"}  # noqa: RUF001 - an emoji


def render(outline: Document) -> str:
    """The whole document in at most `LIMIT` bytes; what does not fit is counted."""
    head = [f"### {prose(outline.title)}", *_facts(outline)]
    closing = "\n\n".join(said(line.text) for line in outline.closing).splitlines()
    room = LIMIT - _size(head) - _size(closing) - _RESERVE
    urgent = list(_findings(outline.urgent, min(room, _SHARE)))
    room -= _size(urgent)
    parts = [head, urgent]
    for section in outline.lead:
        part = _section(section, room - _SHARE)
        room -= _size(part)
        parts.append(part)
    findings = list(_findings(outline.findings, min(room, _SHARE)))
    room -= _size(findings)
    parts.append(findings)
    for section in outline.sections:
        part = _section(section, room - _RESERVE)
        room -= _size(part)
        parts.append(part)
    parts.append(closing)
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def prose(text: str) -> str:
    """Running text: nothing in it is read as Markdown, HTML, a link or a mention.

    GitHub takes `@name` and `#1` for a mention and an issue only if they are one text node.
    """
    return re.sub(f"[@#]|{_ACTIVE.pattern}", _separated, clean(text))


def code(text: str) -> str:
    """The same as code, where GitHub looks for neither names nor numbers of issues."""
    return f"<code>{_ACTIVE.sub(_entity, clean(text))}</code>" if text else ""


def said(text: str) -> str:
    """Running text with code between backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return prose(text)
    return "".join(code(part) if at % 2 else prose(part) for at, part in enumerate(parts))


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"


def _separated(found: re.Match[str]) -> str:
    return f"<span>{found[0]}</span>" if found[0] in "@#" else _entity(found)


def cells(*texts: str) -> str:
    """A row of a table; its cells are already escaped."""
    return f"| {' | '.join(texts)} |"


def fence(content: Sequence[str], language: str = "") -> list[str]:
    """A code block with a fence that none of its lines can close."""
    longest = max((len(run) for line in content for run in re.findall("`+", line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return [f"{ticks}{language}", *content, ticks]


def _size(content: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in content) + 1


def _facts(outline: Document) -> Iterable[str]:
    if outline.facts:
        yield ""
        yield cells("", "")
        yield cells("---", "---")
        for fact in outline.facts:
            yield cells(prose(fact.name), code(fact.value))


def _findings(findings: Sequence[Finding], room: int) -> Iterable[str]:
    if not findings:
        return
    room -= _RESERVE
    left = len(findings)
    for row, number in _rows(findings):
        room -= _size([row])
        if room < 0:
            yield ""
            yield f"… and {count(left, 'more finding')}."
            return
        yield row
        left -= number


def finding_rows(findings: Sequence[Finding]) -> Iterable[str]:
    """A table of findings; nothing without any."""
    return (row for row, _ in _rows(findings)) if findings else ()


def _rows(findings: Sequence[Finding]) -> Iterable[tuple[str, int]]:
    """Each row with the number of findings that it represents."""
    yield cells("", "Code", "Finding", "Where"), 0
    yield cells("---", "---", "---", "---"), 0
    for one in alike(findings):
        yield from ((_row(finding), 1) for finding in one.shown)
        if one.more:
            yield cells("", "", said(str(one)), ""), one.more


def _row(finding: Finding) -> str:
    text = "<br>".join(
        [said(finding.message), *(f"→ {said(line)}" for line in hint_lines(finding.hint))]
    )
    where = finding.source or finding.address
    icon = _ICONS[finding.severity]
    return cells(icon, code(finding.code), text, code(str(where)) if where else "")


def _section(section: Section, room: int) -> list[str]:
    shown: list[str] = []
    used = 0
    for number, block in enumerate(section.blocks):
        content = [*([""] if section.spaced and number else []), *_diff(block)]
        used += _size(content)
        if used > room:
            left = len(section.blocks) - number
            return _folded(section, shown, f"… and {count(left, f'more {section.unit}')}.")
        shown += content
    return _folded(section, shown, "")


def _folded(section: Section, shown: Sequence[str], more: str) -> list[str]:
    block = fence(shown, "diff") if shown else []
    tail = ["", more] if more else []
    if len(shown) <= FOLD:
        return [f"#### {prose(section.title)}", "", *block, *tail]
    summary = f"<details><summary><b>{prose(section.title)}</b> ({len(section.blocks):,})</summary>"
    return [summary, "", *block, "", "</details>", *tail]


def _diff(block: Block) -> Iterable[str]:
    """A line of a diff block: GitHub colours it by its first character."""
    for line in block:
        mark = {"~": "!"}.get(line.mark, line.mark) or " "
        indent = " " * max(line.indent - 2, 0)
        for label, text in cut(line, WIDTH):
            yield f"{mark} {indent}{label}{text}".rstrip()
