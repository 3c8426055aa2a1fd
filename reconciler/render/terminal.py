"""Documents for a terminal: aligned, wrapped, coloured only on request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.model.finding import Finding, Severity
from reconciler.render.collapse import alike
from reconciler.render.document import Document, Section, Style, TextLine
from reconciler.render.wrap import cut
from reconciler.text.humanize import count, hint_lines

_CODES = {
    Style.PLAIN: "",
    Style.STRONG: "1",
    Style.FAINT: "2",
    Style.GOOD: "32",
    Style.CREATE: "32",
    Style.UPDATE: "33",
    Style.DELETE: "31",
    Style.ERROR: "1;31",
    Style.WARNING: "33",
}
_SEVERITIES = {
    Severity.ERROR: Style.ERROR,
    Severity.WARNING: Style.WARNING,
    Severity.NOTE: Style.PLAIN,
}


def render(outline: Document, *, color: bool = False, width: int = 80) -> str:
    """The whole document, ending with a newline."""
    parts = [list(_head(outline))]
    parts += [list(_findings(outline.urgent))] if outline.urgent else []
    parts += [list(_section(section)) for section in outline.lead]
    parts += [list(_findings(outline.findings))] if outline.findings else []
    parts += [list(_section(section)) for section in outline.sections]
    parts += [list(outline.closing)] if outline.closing else []
    return "\n".join(lines(part, color=color, width=width) for part in parts)


def lines(content: Iterable[TextLine], *, color: bool = False, width: int = 80) -> str:
    """Some lines, each ending with a newline."""
    return "".join(
        f"{text}\n" for line in content for text in _wrapped(line, color=color, width=width)
    )


def _head(outline: Document) -> Iterable[TextLine]:
    yield TextLine(outline.title, outline.tone)
    wide = max((len(fact.name) for fact in outline.facts), default=0)
    for fact in outline.facts:
        yield TextLine(fact.value, Style.PLAIN, 2, label=fact.name.ljust(wide + 2))


def _section(section: Section) -> Iterable[TextLine]:
    yield TextLine(section.title, Style.STRONG)
    for number, block in enumerate(section.blocks):
        if section.spaced and number:
            yield TextLine("")
        yield from block


def _findings(findings: Sequence[Finding]) -> Iterable[TextLine]:
    """Grouped by severity, worst first."""
    first = True
    for severity in Severity:
        group = [finding for finding in findings if finding.severity is severity]
        if not group:
            continue
        if not first:
            yield TextLine("")
        first = False
        yield TextLine(count(len(group), str(severity)).capitalize(), _SEVERITIES[severity])
        for one in alike(group):
            for finding in one.shown:
                yield from finding_lines(finding)
            if one.more:
                yield TextLine(str(one), Style.FAINT, 2)


def finding_lines(finding: Finding) -> Iterable[TextLine]:
    """Code and place, the message below, then the hint."""
    tone = _SEVERITIES[finding.severity]
    place = str(finding.source or finding.address or "")
    yield TextLine(place, tone, 2, label=f"{finding.code}  ")
    yield TextLine(finding.message, Style.PLAIN, 6)
    for text in hint_lines(finding.hint):
        yield TextLine(text, Style.FAINT, 6, whole=text.startswith("pveum "))


def _wrapped(line: TextLine, *, color: bool, width: int) -> Iterable[str]:
    mark = f"{line.mark} " if line.mark else ""
    code = _CODES[line.tone] if color else ""
    for label, text in cut(line, width - line.indent - len(mark)):
        shown = f"{label}{mark}{text}".rstrip()
        painted = f"\x1b[{code}m{shown}\x1b[0m" if code and shown else shown
        yield f"{' ' * line.indent}{painted}" if shown else ""
        mark = " " * len(mark)
