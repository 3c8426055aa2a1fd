"""The end of a run: the outcome of each object, failures, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.errors import Conflict, Interrupted, PvectlError
from reconciler.model.address import Address
from reconciler.model.change import Undo
from reconciler.model.plan import Step
from reconciler.model.run import (
    ABANDONED,
    COMPLETED,
    DONE,
    ROLLED_BACK,
    STOPPED,
    STUCK,
    Outcome,
    RunReport,
)
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Fact, Section, Style, TextLine
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import hint_lines

FORMAT = 1

MOST = 20
"""Number of objects per outcome that are named after a successful run."""

NOT_ASKED = "The cluster could not be read: outcomes are as recorded in the journal."


_TONES = {
    Outcome.DONE: Style.GOOD,
    Outcome.UNDONE: Style.UPDATE,
    Outcome.UNTOUCHED: Style.FAINT,
    Outcome.UNKNOWN: Style.ERROR,
}
"""The outcomes of an object, in display order."""


def losses(steps: Iterable[Step]) -> Mapping[Address, Sequence[str]]:
    """Remarks for `View`: the objects that a rollback restores in part or not at all."""
    said = {Undo.LOSSY: "LOSSY: only partly restored", Undo.NONE: "cannot be restored"}
    return {
        change.address: (said[step.undo],)
        for step in steps
        if step.undo in said
        for change in step.changes
    }


def outline(report: RunReport, view: View) -> Document:
    """Failures first, then the objects by outcome."""
    sections = []
    if report.failure is not None:
        sections.append(Section("What stopped it", (_error(report.failure),), unit="error"))
    if report.trouble:
        blocks = tuple(map(_error, report.trouble))
        sections.append(Section("What could not be rolled back", blocks, unit="error"))
    for outcome, tone in _TONES.items():
        found = [address for address, became in report.objects if became == outcome]
        if found:
            blocks = tuple(
                _object(address, tone, _remarks(report, address, view)) for address in found
            )
            well = report.restored or (report.complete and report.failure is None)
            if well or outcome is Outcome.UNTOUCHED:
                blocks = _cut(blocks)
            sections.append(Section(f"{outcome.capitalize()}: {len(found):,}", blocks, "object"))
    title, tone = _title(report)
    closing = [TextLine(_next(report))]
    if not report.verified:
        closing.insert(0, TextLine(NOT_ASKED, Style.WARNING))
    facts = (Fact("signed by", report.signer),) if report.signer else ()
    return Document(
        title=title, tone=tone, facts=facts, sections=tuple(sections), closing=tuple(closing)
    )


def _cut(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The first few, and all with a remark: a successful run needs no long list."""
    if len(blocks) <= MOST + 1:
        return blocks
    shown = (*blocks[:MOST], *(block for block in blocks[MOST:] if len(block) > 1))
    more = f"… and {len(blocks) - len(shown):,} more; `--format json` lists all"
    return (*shown, (TextLine(more, Style.FAINT, 2),)) if len(shown) < len(blocks) else blocks


def _error(error: PvectlError) -> Block:
    hints = (TextLine(text, Style.PLAIN, 4) for text in hint_lines(error.hint))
    step = [TextLine(error.step, Style.STRONG, 2)] if error.step else []
    return (*step, TextLine(error.summary, Style.ERROR, 2), *hints)


def _remarks(report: RunReport, address: Address, view: View) -> Sequence[str]:
    lost = view.remarks.get(address, ())
    became = dict(report.objects)[address]
    said = [report.secrets[address]] if address in report.secrets else []
    return [*(lost if became in {Outcome.UNDONE, Outcome.UNKNOWN} else ()), *said]


def _object(address: Address, tone: Style, remarks: Sequence[str]) -> Block:
    return (
        TextLine(str(address), tone, 2),
        *(TextLine(text, Style.WARNING, 6, "!") for text in remarks),
    )


_NOT_RESTORED = ("Not everything was restored: manual action is needed.", Style.ERROR)
_CLOSED = {
    COMPLETED: ("Completed by another run: all changes verified.", Style.GOOD),
    ABANDONED: ("Closed: the cluster was not changed.", Style.WARNING),
}
"""Titles of runs that did not go on."""


def _applied(objects: int) -> str:
    if objects == 1:
        return "Apply complete: 1 object verified."
    return f"Apply complete: all {objects:,} objects verified."


def _title(report: RunReport) -> tuple[str, Style]:
    if report.complete and report.failure is None:
        return _CLOSED.get(report.outcome, (_applied(len(report.objects)), Style.GOOD))
    if report.restored and report.outcome not in _CLOSED:
        first = "Apply failed" if report.failure else "Rolled back"
        return f"{first}: everything is restored, verified.", Style.WARNING
    if report.outcome == STUCK or (report.outcome == STOPPED and report.final):
        first = "Stopped" if isinstance(report.failure, Interrupted) else "Apply failed"
        return f"{first} past the point of no return.", Style.ERROR
    if report.outcome == DONE:
        return "Applied, but some objects differ from the declared state.", Style.ERROR
    if report.outcome == STOPPED:
        return f"Stopped before the {'rollback' if report.back else 'run'} ended.", Style.ERROR
    return _CLOSED.get(report.outcome, _NOT_RESTORED)


_NEXT = {
    ABANDONED: "Run `pvectl plan` to see what differs from the declared state.",
    STUCK: "It cannot be rolled back any more: fix the cause, then run `pvectl resume`.",
    STOPPED: "Fix the cause, then run `pvectl resume` to finish or `pvectl rollback` to undo.",
    DONE: "Objects were changed concurrently: run `pvectl plan` to see what differs.",
}


def _next(report: RunReport) -> str:
    if report.complete and report.failure is None:
        return "Run `pvectl plan` to confirm there is nothing left to change."
    if report.restored and report.outcome not in _CLOSED:
        again = "Fix the cause, then run `pvectl plan` and `pvectl apply` again."
        return again if report.failure else "There is nothing left to do."
    if report.outcome == STUCK and isinstance(report.failure, Interrupted):
        return "It cannot be rolled back any more: run `pvectl resume`."
    if report.outcome == STOPPED and report.back:
        return "Fix the cause, then run `pvectl resume` to finish the rollback."
    if report.outcome == ROLLED_BACK and report.verified and _left_alone(report.trouble):
        return "Concurrent changes were kept: run `pvectl plan` to see what differs."
    return _NEXT.get(
        STUCK if report.outcome == STOPPED and report.final else report.outcome,
        "Check the objects that are done or unknown. Run `pvectl rollback` to try again, "
        "`pvectl plan` to see what differs from the declared state.",
    )


def _left_alone(trouble: Sequence[PvectlError]) -> bool:
    """Whether the run is closed: there is nothing to retry."""
    return all(isinstance(error, Conflict) for error in trouble)


def text(report: RunReport, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(report, view), color=view.color, width=view.width)


def markdown(report: RunReport, view: View) -> str:
    """For a comment on a pull request."""
    return comment.render(outline(report, view))


def json(report: RunReport, view: View) -> str:
    """For programs; `next` says what to do."""
    del view
    content = {
        **report.to_json(),
        "complete": report.complete,
        "restored": report.restored,
        "next": _next(report),
    }
    return document("report", FORMAT, content)
