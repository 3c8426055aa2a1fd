"""A failed command, in place of its result."""

from __future__ import annotations

import csv as table
import io
from typing import NamedTuple

from reconciler.model.finding import Finding, Severity
from reconciler.render import junit as tests
from reconciler.render import markdown as comment
from reconciler.render import metrics as prometheus
from reconciler.render import sarif as scanning
from reconciler.render import terminal
from reconciler.render.document import Document, Fact, Style, TextLine
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import hint_lines
from reconciler.text.sanitize import clean

FORMAT = 1


class Failure(NamedTuple):
    """`code`, `status`, `summary`, `hint` and `findings` are those of the error."""

    command: str
    code: str
    status: int
    summary: str
    hint: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """The findings, or the error itself if there are none."""
        itself = Finding(self.code, Severity.ERROR, self.summary, self.hint)
        return self.findings or (itself,)


def outline(failure: Failure) -> Document:
    """The error, then the mistakes."""
    hints = (TextLine(text, Style.STRONG) for text in hint_lines(failure.hint))
    return Document(
        title=f"{failure.command} failed: {failure.summary}",
        findings=tuple(sorted(failure.findings, key=Finding.sort_key)),
        closing=(TextLine(f"{failure.code}, exit status {failure.status}.", Style.ERROR), *hints),
        tone=Style.ERROR,
    )


def text(failure: Failure, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(failure), color=view.color, width=view.width)


def markdown(failure: Failure, view: View) -> str:
    """For a comment on a pull request."""
    del view
    return comment.render(outline(failure))


def json(failure: Failure, view: View) -> str:
    """For programs."""
    del view
    content = {
        "command": failure.command,
        "error": failure.code,
        "exit_status": failure.status,
        "message": failure.summary,
        "hint": failure.hint,
        "findings": [finding.to_json() for finding in failure.findings],
    }
    return document("failure", FORMAT, content)


def metrics(failure: Failure, view: View) -> str:
    """Metrics for a missing result."""
    return prometheus.outcome(failure.command, failure.status, view, failed=True)


def sarif(failure: Failure, view: View) -> str:
    """The mistakes at their places."""
    return scanning.findings(failure.all_findings, view)


def junit(failure: Failure, view: View) -> str:
    """A failed test per mistake."""
    return tests.findings(failure.all_findings, view)


def csv(failure: Failure, view: View) -> str:
    """A row per mistake."""
    del view
    rows = io.StringIO()
    writer = table.writer(rows, lineterminator="\n")
    writer.writerow(("error", "message"))
    writer.writerows((one.code, clean(one.message)) for one in failure.all_findings)
    return rows.getvalue()


def html(failure: Failure, view: View) -> str:
    """A page in place of the plan or the review. All foreign strings are sanitized and escaped."""
    from reconciler.render.page import environment, policy, resource, trusted

    del view
    style = resource("page/base.css")
    template = environment().get_template("page/failure.html")
    return template.render(
        policy=policy(style),
        style=trusted(style),
        failure=failure,
        facts=(Fact("code", failure.code), Fact("exit status", str(failure.status))),
        skip_to="",
        found=sorted(failure.findings, key=Finding.sort_key),
    )
