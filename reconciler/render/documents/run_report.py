"""The end of a run: what became of every object, what went wrong, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from reconciler.errors import Conflict, Interrupted, PvectlError
from reconciler.model.address import Address
from reconciler.model.change import Undo
from reconciler.model.plan import Step
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Section, Style, TextLine
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import hint_lines

FORMAT = 1

MOST = 20
"""Objects of one outcome that are named where a run ended as it should."""

NOT_ASKED = "The cluster could not be asked: what became of the objects is what the journal says."


class Ended(Protocol):
    """A run that came to an end, as execution reports it."""

    @property
    def outcome(self) -> str: ...

    @property
    def objects(self) -> Sequence[tuple[Address, str]]: ...

    @property
    def failure(self) -> PvectlError | None: ...

    @property
    def trouble(self) -> Sequence[PvectlError]: ...

    @property
    def restored(self) -> bool: ...

    @property
    def complete(self) -> bool: ...

    @property
    def verified(self) -> bool: ...

    @property
    def back(self) -> bool: ...

    @property
    def final(self) -> str: ...

    @property
    def secrets(self) -> Mapping[Address, str]: ...

    def to_json(self) -> dict[str, Any]: ...


_TONES = {
    "done": Style.GOOD,
    "undone": Style.UPDATE,
    "untouched": Style.FAINT,
    "unknown": Style.ERROR,
}
"""The outcomes of an object, in the order in which they are listed."""


def losses(steps: Iterable[Step]) -> Mapping[Address, Sequence[str]]:
    """Remarks for `View`: the objects that a rollback brings back in part or not at all."""
    said = {Undo.LOSSY: "LOSSY: only a part of it came back", Undo.NONE: "cannot be brought back"}
    return {
        change.address: (said[step.undo],)
        for step in steps
        if step.undo in said
        for change in step.changes
    }


def outline(report: Ended, view: View) -> Document:
    """Trouble first, then the objects by what became of them."""
    sections = []
    if report.failure is not None:
        sections.append(Section("What stopped it", (_error(report.failure),), unit="error"))
    if report.trouble:
        blocks = tuple(map(_error, report.trouble))
        sections.append(Section("What could not be taken back", blocks, unit="error"))
    for outcome, tone in _TONES.items():
        found = [address for address, became in report.objects if became == outcome]
        if found:
            blocks = tuple(
                _object(address, tone, _remarks(report, address, view)) for address in found
            )
            well = report.restored or (report.complete and report.failure is None)
            if well or outcome == "untouched":
                blocks = _cut(blocks)
            sections.append(Section(f"{outcome.capitalize()}: {len(found):,}", blocks, "object"))
    title, tone = _title(report)
    closing = [TextLine(_next(report))]
    if not report.verified:
        closing.insert(0, TextLine(NOT_ASKED, Style.WARNING))
    return Document(title=title, tone=tone, sections=tuple(sections), closing=tuple(closing))


def _cut(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The first few, and all that carry a remark: where all is well nobody reads thousands."""
    if len(blocks) <= MOST + 1:
        return blocks
    shown = (*blocks[:MOST], *(block for block in blocks[MOST:] if len(block) > 1))
    more = f"… and {len(blocks) - len(shown):,} more; `--format json` has all"
    return (*shown, (TextLine(more, Style.FAINT, 2),)) if len(shown) < len(blocks) else blocks


def _error(error: PvectlError) -> Block:
    hints = (TextLine(text, Style.PLAIN, 4) for text in hint_lines(error.hint))
    return (TextLine(error.summary, Style.ERROR, 2), *hints)


def _remarks(report: Ended, address: Address, view: View) -> Sequence[str]:
    lost = view.remarks.get(address, ())
    became = dict(report.objects)[address]
    said = [report.secrets[address]] if address in report.secrets else []
    return [*(lost if became in {"undone", "unknown"} else ()), *said]


def _object(address: Address, tone: Style, remarks: Sequence[str]) -> Block:
    return (
        TextLine(str(address), tone, 2),
        *(TextLine(text, Style.WARNING, 6, "!") for text in remarks),
    )


_APPLIED = ("Applied: every change is in force, verified.", Style.GOOD)
_NEEDS_A_PERSON = ("Not everything is as it was before: a person is needed.", Style.ERROR)
_CLOSED = {
    "completed by another run": (
        "Completed by another run: every change is in force, verified.",
        Style.GOOD,
    ),
    "abandoned": ("Closed: the cluster was left as it is.", Style.WARNING),
}
"""Titles of runs that did not go on."""


def _title(report: Ended) -> tuple[str, Style]:
    if report.complete and report.failure is None:
        return _CLOSED.get(report.outcome, _APPLIED)
    if report.restored and report.outcome not in _CLOSED:
        first = "Apply failed" if report.failure else "Rolled back"
        return f"{first}: everything is as it was before, verified.", Style.WARNING
    if report.outcome == "stuck" or (report.outcome == "stopped" and report.final):
        first = "Stopped" if isinstance(report.failure, Interrupted) else "Apply failed"
        return f"{first} past the point of no return.", Style.ERROR
    if report.outcome == "done":
        return "Applied, but not every change is in force.", Style.ERROR
    if report.outcome == "stopped":
        return f"Stopped in the middle{' of the way back' * report.back}.", Style.ERROR
    return _CLOSED.get(report.outcome, _NEEDS_A_PERSON)


_NEXT = {
    "abandoned": "`pvectl plan` shows what differs from the declared state.",
    "stuck": "Correct the cause, then `pvectl resume`: there is only the way forward.",
    "stopped": "Correct the cause; `pvectl resume` finishes it, `pvectl rollback` takes it back.",
    "done": "Somebody else changed objects meanwhile: `pvectl plan` shows what differs.",
}


def _next(report: Ended) -> str:
    if report.complete and report.failure is None:
        return "`pvectl plan` shows what is left, if anything."
    if report.restored and report.outcome not in _CLOSED:
        again = "Correct the cause, then plan and apply again."
        return again if report.failure else "Nothing is left to do."
    if report.outcome == "stuck" and isinstance(report.failure, Interrupted):
        return "`pvectl resume` finishes it: there is only the way forward."
    if report.outcome == "stopped" and report.back:
        return "Correct the cause; `pvectl resume` finishes the way back."
    if report.outcome == "rolled back" and report.verified and _left_alone(report.trouble):
        return "What somebody else changed was left alone; `pvectl plan` shows what differs."
    return _NEXT.get(
        "stuck" if report.outcome == "stopped" and report.final else report.outcome,
        "Look at the objects that are done or unknown. `pvectl rollback` tries again, "
        "`pvectl plan` shows what differs from the declared state.",
    )


def _left_alone(trouble: Sequence[PvectlError]) -> bool:
    """Whether nothing is left to be tried again: the run is closed."""
    return all(isinstance(error, Conflict) for error in trouble)


def text(report: Ended, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(report, view), color=view.color, width=view.width)


def markdown(report: Ended, view: View) -> str:
    """For a comment on a pull request."""
    return comment.render(outline(report, view))


def json(report: Ended, view: View) -> str:
    """For programs; `next` says what to do."""
    del view
    content = {
        **report.to_json(),
        "complete": report.complete,
        "restored": report.restored,
        "next": _next(report),
    }
    return document("report", FORMAT, content)
