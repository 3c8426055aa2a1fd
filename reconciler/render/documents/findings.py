"""Findings as compilers print them, and errors with what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.errors import PvectlError
from reconciler.model.finding import Finding, Severity
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Document, Style, TextLine, severities
from reconciler.render.view import View
from reconciler.text.humanize import hint_lines

_TONES = {
    Severity.ERROR: Style.ERROR,
    Severity.WARNING: Style.WARNING,
    Severity.NOTE: Style.PLAIN,
}
_UNWRAPPED = 1_000_000
"""One finding per line, as editors expect."""


def text(findings: Sequence[Finding], view: View) -> str:
    """`file:line:column: error CODE message` in the order of the files, hints below, a summary."""
    content = [*_lines(findings), TextLine(_summary(findings), Style.STRONG)]
    return terminal.lines(content, color=view.color, width=_UNWRAPPED)


def markdown(findings: Sequence[Finding], view: View) -> str:
    """For a comment on a pull request."""
    del view
    ordered = tuple(sorted(findings, key=Finding.sort_key))
    return comment.render(Document(title=f"Findings: {severities(ordered)}", findings=ordered))


def error_text(error: PvectlError, *, color: bool = False) -> str:
    """The error, its findings, and what to do next."""
    content = [
        *_lines(error.findings),
        TextLine(f"error {error.code}: {error.summary}", Style.ERROR),
        *(TextLine(text, Style.PLAIN, 2) for text in hint_lines(error.hint)),
    ]
    return terminal.lines(content, color=color, width=_UNWRAPPED)


def _lines(findings: Iterable[Finding]) -> Iterable[TextLine]:
    for finding in sorted(findings, key=_by_place):
        place = f"{finding.source}: " if finding.source else ""
        subject = f"{place}{finding.severity} {finding.code} {finding.message}"
        yield TextLine(subject, _TONES[finding.severity])
        for hint in hint_lines(finding.hint):
            yield TextLine(hint, Style.PLAIN, 4)


def _by_place(finding: Finding) -> tuple[object, ...]:
    source = finding.source
    place = (source.file, source.line, source.column) if source else ("", 0, 0)
    return (*place, *finding.sort_key())


def _summary(findings: Sequence[Finding]) -> str:
    return f"{severities(findings)}." if findings else "No findings."
