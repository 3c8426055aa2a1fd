"""Handle a run after which another one may have written: nothing is undone without confirmation."""

from __future__ import annotations

from reconciler.errors import Conflict, JournalUnfinished, PvectlError
from reconciler.execution.run.context import SETTLE, RunContext
from reconciler.execution.run.observation import Observed, observe
from reconciler.execution.run.outcome import report
from reconciler.execution.run.sender import close_open
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.run import ABANDONED, COMPLETED, Outcome, RunReport
from reconciler.model.run_state import OVERTAKEN


def ended_elsewhere(run: RunContext, *, chosen: bool) -> RunReport | None:
    """Close and report a run that another one has completed; None where something is left to do,
    and may be done.

    What a run that has sent nothing finds changed also counts as another run's work. Raises
    JournalUnfinished where a person must choose and has not `chosen`.
    """
    close_open(run)
    result = report(run, COMPLETED, patience=SETTLE)
    if result.complete:
        run.end(result)
        return result
    if not run.state.is_overtaken and not _is_as_planned(run):
        run.journal.write(OVERTAKEN)
    if run.state.is_overtaken and not chosen:
        raise undecided(result)
    return None


def abandon(run: RunContext) -> RunReport:
    """Close a run on request; the cluster stays as it is."""
    result = report(run, ABANDONED)
    run.end(result)
    return result


def _is_as_planned(run: RunContext) -> bool:
    """Whether each object is as it was before its first change."""
    first: dict[Address, Change] = {}
    for step in run.steps:
        for change in step.changes:
            first.setdefault(change.address, change)
    state = run.look(first.values()).state
    return all(observe(change, state) is Observed.BEFORE for change in first.values())


def undecided(found: RunReport) -> JournalUnfinished:
    """The error for a run after which another one wrote: what differs, and the choices."""
    differing = [str(a) for a, became in found.objects if became is not Outcome.DONE]
    ways = [
        f"not as this run declares it: {', '.join(differing) or 'nothing'}",
        "`pvectl status` shows the outcome of each object",
        "`pvectl resume --abandon` closes this run and leaves the cluster as it is; "
        "`pvectl plan` then shows what is left to do",
        "`pvectl resume --yes` applies what is left of this run",
    ]
    if not found.final:
        ways.append("`pvectl rollback` lists what this run did, and asks before undoing it")
    return JournalUnfinished(
        "another run may have written to this cluster since this one stopped; nothing was changed",
        hint="\n".join(ways),
    )


def is_for_a_person(run: RunContext, failure: PvectlError) -> bool:
    """Whether undoing could affect what others made or rely on: after another run wrote or the
    lease ended, and where objects were changed while this run was interrupted.
    """
    if run.state.is_overtaken or run.state.is_late:
        return True
    return run.state.is_resumed and isinstance(failure, Conflict)
