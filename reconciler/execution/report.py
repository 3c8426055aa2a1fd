"""What became of every object of a plan, read from the cluster and the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.errors import PvectlError, Unreachable
from reconciler.execution.journal import Event
from reconciler.execution.judge import Seen, judge, shown
from reconciler.execution.run import Run
from reconciler.execution.trail import announced, is_taken_back, is_through, touched
from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step
from reconciler.model.state import State

DONE, ROLLED_BACK, STUCK, STOPPED = "done", "rolled back", "stuck", "stopped"
"""How a run ends: at its aim, where it began, past the point of no return, or in the middle."""


class Outcome(StrEnum):
    """What became of one object."""

    DONE = "done"
    UNDONE = "undone"
    UNTOUCHED = "untouched"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Report:
    """`outcome` in a word; `objects` in the order of the plan, each with what became of it.

    `failure` is what stopped the run, `trouble` what stood in the way of the way back, `losses`
    what the way back could not bring back, by object.
    """

    outcome: str
    objects: tuple[tuple[Address, Outcome], ...]
    failure: PvectlError | None = None
    trouble: tuple[PvectlError, ...] = ()
    losses: Mapping[Address, str] = field(default_factory=dict)

    @property
    def restored(self) -> bool:
        """Whether everything is verified to be as it was before the run."""
        return not self.trouble and all(
            outcome in (Outcome.UNDONE, Outcome.UNTOUCHED) for _, outcome in self.objects
        )

    @property
    def complete(self) -> bool:
        """Whether everything is verified to be as declared."""
        return all(outcome is Outcome.DONE for _, outcome in self.objects)

    def objects_json(self) -> dict[str, str]:
        return {str(address): str(outcome) for address, outcome in self.objects}

    def to_json(self) -> dict[str, Any]:
        """Without secrets, as every error is."""
        return {
            "outcome": self.outcome,
            "objects": self.objects_json(),
            "failure": None if self.failure is None else self.failure.summary,
            "trouble": [error.summary for error in self.trouble],
            "losses": {str(address): text for address, text in self.losses.items()},
        }


@dataclass(slots=True)
class _Fate:
    """An object of a plan: how it was, how it is to be, and how far it got.

    `refused`: changes of which PVE may have done half although it refused them.
    """

    before: Change
    after: Change
    refused: list[Change] = field(default_factory=list)
    touched: bool = False
    through: bool = True
    undo: Undo = Undo.FULL


def report(
    run: Run,
    outcome: str,
    failure: PvectlError | None = None,
    trouble: Sequence[PvectlError] = (),
    *,
    patience: float = 0.0,
) -> Report:
    """Read everything once more and say what became of it; `patience` as for `Run.look`."""

    def see(changes: Sequence[Change]) -> State:
        return run.look(changes, patience).state

    return account(run.journal.events, run.steps, see, outcome, failure, trouble)


def account(
    events: Sequence[Event],
    steps: Sequence[Step],
    see: Callable[[Sequence[Change]], State],
    outcome: str,
    failure: PvectlError | None = None,
    trouble: Sequence[PvectlError] = (),
) -> Report:
    """What became of the objects of `steps`; where `see` raises Unreachable nothing is known."""
    fates = _fates(events, steps)
    try:
        state = see([change for step in steps for change in step.changes])
    except Unreachable:
        unknown = tuple((address, Outcome.UNKNOWN) for address in fates)
        return Report(outcome, unknown, failure, tuple(trouble))
    objects = tuple(
        (address, _became(fate, state, back=outcome == ROLLED_BACK))
        for address, fate in fates.items()
    )
    return Report(outcome, objects, failure, tuple(trouble), _losses(fates, dict(objects)))


def _fates(events: Sequence[Event], steps: Sequence[Step]) -> dict[Address, _Fate]:
    moved, tried = touched(events), announced(events)
    fates: dict[Address, _Fate] = {}
    for number, step in enumerate(steps):
        through = is_through(events, number) and not is_taken_back(events, number)
        for change in step.changes:
            fate = fates.setdefault(change.address, _Fate(change, change))
            fate.after, fate.through = change, through
            if number in moved:
                fate.touched = True
                fate.undo = max(fate.undo, kind_of(change.address).undo(change), key=_rank)
            elif number in tried:
                fate.refused.append(change)
    return fates


def _rank(undo: Undo) -> int:
    return undo.rank


def _became(fate: _Fate, state: State, *, back: bool) -> Outcome:
    """Where both ends look alike (a new password) the journal decides."""
    address = fate.before.address
    live = state.get(address)
    was, is_to_be = shown(address, fate.before.before), shown(address, fate.after.after)
    if was == is_to_be and live == was:
        if fate.through and not back:
            return Outcome.DONE
        if not fate.touched:
            return Outcome.UNTOUCHED
        return Outcome.UNDONE if back else Outcome.UNKNOWN
    if live == is_to_be and (fate.touched or not back):
        return Outcome.DONE
    if not fate.touched:
        half = any(judge(change, state) is Seen.HALFWAY for change in fate.refused)
        return Outcome.UNKNOWN if half else Outcome.UNTOUCHED
    return Outcome.UNDONE if live == was else Outcome.UNKNOWN


def _losses(
    fates: Mapping[Address, _Fate], became: Mapping[Address, Outcome]
) -> dict[Address, str]:
    said = {
        Undo.LOSSY: "LOSSY: a secret that was set before cannot be given back",
        Undo.NONE: "NONE: it cannot be brought back",
    }
    return {
        address: said[fate.undo]
        for address, fate in fates.items()
        if fate.undo in said and became[address] in (Outcome.UNDONE, Outcome.UNKNOWN)
    }
