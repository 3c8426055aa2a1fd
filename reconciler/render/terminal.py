"""Outlines for a terminal: aligned, wrapped, coloured only when asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.model.finding import Finding, Severity
from reconciler.render.collapse import alike
from reconciler.render.document import Line, Outline, Section, Tone
from reconciler.render.wrap import cut
from reconciler.text.humanize import count, hint_lines

_CODES = {
    Tone.PLAIN: "",
    Tone.STRONG: "1",
    Tone.FAINT: "2",
    Tone.GOOD: "32",
    Tone.CREATE: "32",
    Tone.UPDATE: "33",
    Tone.DELETE: "31",
    Tone.ERROR: "1;31",
    Tone.WARNING: "33",
}
_SEVERITIES = {
    Severity.ERROR: Tone.ERROR,
    Severity.WARNING: Tone.WARNING,
    Severity.NOTE: Tone.PLAIN,
}


def render(outline: Outline, *, color: bool = False, width: int = 80) -> str:
    """The whole document, ending with a line feed."""
    parts = [list(_head(outline))]
    parts += [list(_findings(outline.findings))] if outline.findings else []
    parts += [list(_section(section)) for section in outline.sections]
    parts += [list(outline.closing)] if outline.closing else []
    return "\n".join(lines(part, color=color, width=width) for part in parts)


def lines(content: Iterable[Line], *, color: bool = False, width: int = 80) -> str:
    """Some lines, each ending with a line feed."""
    return "".join(
        f"{text}\n" for line in content for text in _wrapped(line, color=color, width=width)
    )


def _head(outline: Outline) -> Iterable[Line]:
    yield Line(outline.title, outline.tone)
    wide = max((len(fact.name) for fact in outline.facts), default=0)
    for fact in outline.facts:
        yield Line(fact.value, Tone.PLAIN, 2, label=fact.name.ljust(wide + 2))


def _section(section: Section) -> Iterable[Line]:
    yield Line(section.title, Tone.STRONG)
    for number, block in enumerate(section.blocks):
        if section.spaced and number:
            yield Line("")
        yield from block


def _findings(findings: Sequence[Finding]) -> Iterable[Line]:
    """Grouped by severity, worst first."""
    first = True
    for severity in Severity:
        group = [finding for finding in findings if finding.severity is severity]
        if not group:
            continue
        if not first:
            yield Line("")
        first = False
        yield Line(count(len(group), str(severity)).capitalize(), _SEVERITIES[severity])
        for one in alike(group):
            for finding in one.shown:
                yield from finding_lines(finding)
            if one.more:
                yield Line(str(one), Tone.FAINT, 2)


def finding_lines(finding: Finding) -> Iterable[Line]:
    """Code and place, the message below, then what to do."""
    tone = _SEVERITIES[finding.severity]
    place = str(finding.source or finding.address or "")
    yield Line(place, tone, 2, label=f"{finding.code}  ")
    yield Line(finding.message, Tone.PLAIN, 6)
    for text in hint_lines(finding.hint):
        yield Line(text, Tone.FAINT, 6, whole=text.startswith("pveum "))


def _wrapped(line: Line, *, color: bool, width: int) -> Iterable[str]:
    mark = f"{line.mark} " if line.mark else ""
    code = _CODES[line.tone] if color else ""
    for label, text in cut(line, width - line.indent - len(mark)):
        shown = f"{label}{mark}{text}".rstrip()
        painted = f"\x1b[{code}m{shown}\x1b[0m" if code and shown else shown
        yield f"{' ' * line.indent}{painted}" if shown else ""
        mark = " " * len(mark)
