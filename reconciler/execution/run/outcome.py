"""What became of every object of a plan, read from the cluster and the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.errors import PvectlError, Unreachable
from reconciler.execution.journal.journal import Event
from reconciler.execution.journal.replay import (
    announced,
    final,
    going_back,
    is_delivered,
    is_open,
    is_taken_back,
    is_through,
    touched,
    was_refused,
)
from reconciler.execution.run.boundary import foreseen
from reconciler.execution.run.context import RunContext
from reconciler.execution.run.observation import Observed, left, observe
from reconciler.execution.secrets.routing import is_second, token_of
from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step
from reconciler.model.spec import State

DONE, ROLLED_BACK, STUCK, STOPPED = "done", "rolled back", "stuck", "stopped"
"""How a run ends: at its aim, where it began, past the point of no return, or in the middle."""

COMPLETED, ABANDONED = "completed by another run", "abandoned"
"""How a run ends that does not go on: all that it wanted is in force, or a person closed it."""


class Outcome(StrEnum):
    """What became of one object."""

    DONE = "done"
    UNDONE = "undone"
    UNTOUCHED = "untouched"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RunReport:
    """`outcome` in a word; `objects` in the order of the plan, each with what became of it.

    `failure` is what stopped the run, `trouble` what stood in the way of the way back, `losses`
    what the way back could not bring back, by object. `verified`: read from the cluster; else
    it is what the journal tells. `back`: the run is on the way back; `final`: the change past which
    there is only the way forward. `secrets` says of tokens that their secret has not arrived, or
    that it is not the first one.
    """

    outcome: str
    objects: tuple[tuple[Address, Outcome], ...]
    failure: PvectlError | None = None
    trouble: tuple[PvectlError, ...] = ()
    losses: Mapping[Address, str] = field(default_factory=dict)
    verified: bool = True
    back: bool = False
    final: str = ""
    secrets: Mapping[Address, str] = field(default_factory=dict)

    @property
    def restored(self) -> bool:
        """Whether everything is verified to be as it was before the run."""
        known = self.verified and not self.trouble
        return known and all(
            outcome in (Outcome.UNDONE, Outcome.UNTOUCHED) for _, outcome in self.objects
        )

    @property
    def complete(self) -> bool:
        """Whether everything is verified to be as declared."""
        return self.verified and all(outcome is Outcome.DONE for _, outcome in self.objects)

    def objects_json(self) -> dict[str, str]:
        return {str(address): str(outcome) for address, outcome in self.objects}

    def to_json(self) -> dict[str, Any]:
        """Without secrets, as every error is."""
        return {
            "outcome": self.outcome,
            "verified": self.verified,
            "objects": self.objects_json(),
            "failure": None if self.failure is None else self.failure.summary,
            "trouble": [error.summary for error in self.trouble],
            "losses": {str(address): text for address, text in self.losses.items()},
            "secrets": {str(address): text for address, text in self.secrets.items()},
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
    run: RunContext,
    outcome: str,
    failure: PvectlError | None = None,
    trouble: Sequence[PvectlError] = (),
    *,
    patience: float = 0.0,
) -> RunReport:
    """Read everything once more and say what became of it; `patience` as for `Run.look`.

    A cluster that did not answer until the run stopped is not asked again: what the journal tells
    is reported, unverified. So it is where reading fails for any other reason, which is `trouble`.
    """

    def see(changes: Sequence[Change]) -> State:
        return run.look(changes, patience).state

    events = run.journal.events
    gone = outcome == STOPPED and any(isinstance(e, Unreachable) for e in (failure, *trouble))
    try:
        with foreseen():
            if not gone:
                return report_from_cluster(events, run.steps, see, outcome, failure, trouble)
    except Unreachable:
        pass
    except PvectlError as error:
        trouble = [*trouble, error]
    return report_from_journal(events, run.steps, outcome, failure, trouble)


def report_from_cluster(
    events: Sequence[Event],
    steps: Sequence[Step],
    see: Callable[[Sequence[Change]], State],
    outcome: str,
    failure: PvectlError | None = None,
    trouble: Sequence[PvectlError] = (),
) -> RunReport:
    """What became of the objects of `steps`; raises what `see` raises."""
    fates = _fates(events, steps)
    state = see([change for step in steps for change in step.changes])
    objects = {
        address: _became(fate, state, back=outcome == ROLLED_BACK)
        for address, fate in fates.items()
    }
    return _report(events, steps, outcome, objects, failure, trouble, verified=True)


def report_from_journal(
    events: Sequence[Event],
    steps: Sequence[Step],
    outcome: str,
    failure: PvectlError | None = None,
    trouble: Sequence[PvectlError] = (),
) -> RunReport:
    """What became of the objects as the journal alone tells: unknown is only what was under way."""
    own: dict[int, list[Event]] = {}
    for event in events:
        own.setdefault(event.step, []).append(event)
    found: dict[Address, set[Outcome]] = {}
    for number, step in enumerate(steps):
        for change in step.changes:
            became = _told(own.get(number, []), number, change)
            found.setdefault(change.address, set()).add(became)
    objects = {address: _together(each) for address, each in found.items()}
    return _report(events, steps, outcome, objects, failure, trouble, verified=False)


def _told(events: Sequence[Event], step: int, change: Change) -> Outcome:
    """By the events of one step."""
    tried = step in touched(events)
    if is_taken_back(events, step):
        return Outcome.UNDONE if tried else Outcome.UNTOUCHED
    half = was_refused(events, step) and any(kind_of(change.address).halfway(change))
    if is_open(events, step):
        return Outcome.UNKNOWN
    if is_through(events, step):
        return Outcome.DONE
    return Outcome.UNKNOWN if tried or half else Outcome.UNTOUCHED


def _together(steps: set[Outcome]) -> Outcome:
    """What became of an object over all steps that carry a change of it."""
    if steps == {Outcome.UNDONE, Outcome.UNTOUCHED}:
        return Outcome.UNDONE
    return next(iter(steps)) if len(steps) == 1 else Outcome.UNKNOWN


def _report(
    events: Sequence[Event],
    steps: Sequence[Step],
    outcome: str,
    objects: Mapping[Address, Outcome],
    failure: PvectlError | None,
    trouble: Sequence[PvectlError],
    *,
    verified: bool,
) -> RunReport:
    return RunReport(
        outcome,
        tuple(objects.items()),
        failure,
        tuple(trouble),
        _losses(_fates(events, steps), objects),
        verified,
        going_back(events),
        final(events, steps),
        _not_here(events, steps)
        if outcome in (COMPLETED, ABANDONED)
        else _secrets(events, steps, objects),
    )


NOT_DELIVERED = (
    "its secret is not delivered, or not known to be: `pvectl resume` makes and delivers a new one"
)
NOT_DELIVERED_HERE = (
    "its secret did not arrive through this run; where no other one delivered it: "
    "`pvectl rotate '{}'`"
)
RENEWED = "a new secret was made and delivered; one delivered before no longer works"


def _secrets(
    events: Sequence[Event], steps: Sequence[Step], objects: Mapping[Address, Outcome]
) -> dict[Address, str]:
    """What is to be said of the secrets of tokens, unless these are taken back."""
    tried = frozenset() if going_back(events) else touched(events)
    said: dict[Address, str] = {}
    for number in sorted(tried):
        token = token_of(steps[number]) if steps[number].sink is not None else None
        if token is None or objects[token] not in (Outcome.DONE, Outcome.UNKNOWN):
            continue
        if not is_delivered(events, number):
            said[token] = NOT_DELIVERED
        elif is_second(events, number):
            said[token] = RENEWED
    return said


def _not_here(events: Sequence[Event], steps: Sequence[Step]) -> dict[Address, str]:
    """Tokens that this run may have made, of a run that will not deliver their secrets any more."""
    own = [(steps[number], number) for number in sorted(announced(events))]
    return {
        token: NOT_DELIVERED_HERE.format(token.id)
        for step, number in own
        if step.sink is not None
        and not is_delivered(events, number)
        and (token := token_of(step)) is not None
    }


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
    was = left(fate.before, fate.before.before, live)
    is_to_be = left(fate.after, fate.after.after, live)
    if was == is_to_be and live == was:
        if fate.through and not back:
            return Outcome.DONE
        if not fate.touched:
            return Outcome.UNTOUCHED
        return Outcome.UNDONE if back else Outcome.UNKNOWN
    if live == is_to_be and (fate.touched or not back):
        return Outcome.DONE
    if not fate.touched:
        half = any(observe(change, state) is Observed.HALFWAY for change in fate.refused)
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
