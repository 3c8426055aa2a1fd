"""The way back over a journal, decided by reading the cluster."""

from __future__ import annotations

from reconciler.errors import JournalFailed, Locked, PvectlError
from reconciler.execution.judge import Seen, judge
from reconciler.execution.report import Report, report
from reconciler.execution.run import SETTLE, Direction, Run, settle, write
from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo


def roll_back(run: Run, failure: PvectlError | None = None) -> Report:
    """Take back what this run did, last step first, and verify that everything is as before.

    What somebody else changed meanwhile stays untouched; what cannot be taken back is listed.
    Raises JournalFailed, Locked.
    """
    announced = {e.step for e in run.journal.events if e.name == "intent"}
    trouble: list[PvectlError] = []
    for number in sorted(announced, reverse=True):
        try:
            _take_back(run, number)
        except (JournalFailed, Locked):
            raise
        except PvectlError as error:
            trouble.append(error)
            run.say(number, f"cannot be taken back: {error.summary}")
    result = report(run, "rolled back", failure, trouble)
    unfinished = not result.restored
    run.journal.write(
        "end", outcome=result.outcome, unfinished=unfinished, objects=result.objects_json()
    )
    return result


def _take_back(run: Run, number: int) -> None:
    step = run.steps[number]
    _wait_for_the_last(run, number)
    state = run.look([step])
    back: list[Change] = []
    for change in reversed(step.changes):
        seen = judge(change, state)
        if seen is Seen.AFTER and kind_of(change.address).undo(change) is not Undo.NONE:
            back.append(change.inverse())
        elif seen is Seen.HALFWAY:
            back.append(change.inverse()._replace(before=state[change.address]))
    if back:
        run.say(number, f"taking back: {', '.join(str(c.address) for c in back)}")
        write(run, number, Direction.BACK, back)
    _withdraw(run, number, {change.address for change in back})


def _wait_for_the_last(run: Run, number: int) -> None:
    """A request whose outcome was never recorded may still come into force: wait it out."""
    own = [event for event in run.journal.events if event.step == number]
    if own and own[-1].name == "intent":
        sent = float(own[-1].data["time"])
        if run.clock.now() < sent + SETTLE:
            forward = own[-1].data["direction"] == Direction.FORWARD
            changes = run.steps[number].changes
            settle(run, number, changes if forward else [c.inverse() for c in changes], sent)


def _withdraw(run: Run, number: int, gone: set[Address]) -> None:
    """The secret of a token that is no more is of no use to anybody."""
    step = run.steps[number]
    if step.sink is None or not any(
        e.name == "delivered" and e.step == number for e in run.journal.events
    ):
        return
    for change in step.changes:
        if change.address in gone:
            run.secrets.withdraw(step.sink, change.address.id)
