"""A run after which another one may have written: it undoes nothing by itself."""

from __future__ import annotations

from reconciler.errors import Conflict, JournalUnfinished, PvectlError
from reconciler.execution.journal.journal import Journal
from reconciler.execution.journal.replay import OVERTAKEN, is_late, is_overtaken, is_resumed
from reconciler.execution.run.context import SETTLE, RunContext
from reconciler.execution.run.observation import Observed, observe
from reconciler.execution.run.outcome import ABANDONED, COMPLETED, Outcome, RunReport, report
from reconciler.execution.run.sender import close_open
from reconciler.model.address import Address
from reconciler.model.change import Change


def ended_elsewhere(run: RunContext, *, chosen: bool) -> RunReport | None:
    """The report of a run that another one has completed, and that is closed with that; None where
    something is left to do, and may be done.

    What a run that has sent nothing finds other than planned counts as another run's work, too.
    Raises JournalUnfinished where a person has to choose and has not `chosen`.
    """
    close_open(run)
    result = report(run, COMPLETED, patience=SETTLE)
    if result.complete:
        close(run.journal, result)
        return result
    if not is_overtaken(run.journal.events) and not _is_as_planned(run):
        run.journal.write(OVERTAKEN)
    if is_overtaken(run.journal.events) and not chosen:
        raise undecided(result)
    return None


def abandon(run: RunContext) -> RunReport:
    """Close a run because a person says so; the cluster stays as it is."""
    result = report(run, ABANDONED)
    close(run.journal, result)
    return result


def close(journal: Journal, result: RunReport) -> None:
    """End a run with what became of its objects."""
    journal.write("end", outcome=result.outcome, objects=result.objects_json())


def _is_as_planned(run: RunContext) -> bool:
    """Whether each object is as it was before its first change."""
    first: dict[Address, Change] = {}
    for step in run.steps:
        for change in step.changes:
            first.setdefault(change.address, change)
    state = run.look(first.values()).state
    return all(observe(change, state) is Observed.BEFORE for change in first.values())


def undecided(found: RunReport) -> JournalUnfinished:
    """What a person is told of a run that another one came after: what differs, and the choices."""
    differing = [str(a) for a, became in found.objects if became is not Outcome.DONE]
    ways = [
        f"not as this run wants it: {', '.join(differing) or 'nothing'}",
        "pvectl status shows what became of each object",
        "pvectl resume --abandon closes this run and leaves the cluster as it is; "
        "pvectl plan then shows what is left to do",
        "pvectl resume --yes goes on with what is left of this run",
    ]
    if not found.final:
        ways.append("pvectl rollback lists what this run did, and asks before it undoes that")
    return JournalUnfinished(
        "another run may have written to this cluster since this one stopped; nothing was changed",
        hint="\n".join(ways),
    )


def is_for_a_person(run: RunContext, failure: PvectlError) -> bool:
    """Whether undoing could hit what others made or rely on: after another run came between, or the
    lease had ended, and where somebody was at work while this run was interrupted."""
    events = run.journal.events
    if is_overtaken(events) or is_late(events):
        return True
    return is_resumed(events) and isinstance(failure, Conflict)
