"""Share snapshots between steps: each verifies the steps before it and prepares those after it.

What a step touches has been read within `RunContext.fresh` seconds before it is written. Half of
that time after a snapshot the next one starts in a thread of its own, while requests are sent: a
read costs Proxmox VE as much as a write where user.cfg is large. What this run wrote since a
snapshot began is laid over it, so that the run does not take its own changes for another's; such
objects are verified by a later snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from reconciler.errors import Conflict, RequestRefused, Unreachable
from reconciler.execution.journal.replay import point_of_no_return
from reconciler.execution.run.context import RunContext
from reconciler.execution.run.look import (
    MOST,
    Look,
    Snapshot,
    Sparing,
    needed_by,
    touched_by,
    union,
)
from reconciler.execution.run.observation import (
    Observed,
    as_shown,
    describe,
    is_hidden,
    observe,
)
from reconciler.kinds.shared.reader import Wanted
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step
from reconciler.model.spec import Spec, State

LEAST = 8
"""How many steps a look prepares at least."""


class Observer:
    """Takes snapshots for the steps `todo` of a run; a context manager."""

    def __init__(self, run: RunContext, todo: Sequence[int]) -> None:
        self._run = run
        self._steps = [run.steps[number] for number in todo]
        self._positions = {number: position for position, number in enumerate(todo)}
        self._next = 0
        self._began = run.clock.now()
        self._sight: Snapshot | None = None
        self._state: dict[Address, Spec] = {}
        """what `_sight` shows, with the steps written since laid over it"""
        self._written: list[Step] = []
        """steps that were written since the look began, or while it did"""
        self._unverified: dict[Address, Change] = {}
        """the last change of each object that no look has confirmed"""
        self._took = 0.0
        """seconds that the last look beside the writes took"""
        self._looking: Look | None = run.first if self._unwritten() else None

    def __enter__(self) -> Self:
        self._run.around = self._beside
        return self

    def __exit__(self, *_: object) -> None:
        self._run.around = lambda send: send()
        if self._looking is not None:
            self._looking.join()

    def before(self, number: int) -> Snapshot:
        """The state of the objects of a step that is about to be written.

        Raises Conflict where an earlier step had no effect, or did not last, and what
        `RunContext.look` raises.
        """
        self._next = self._positions[number]
        step = self._steps[self._next]
        self._adopt(wait=not self._serves(self._sight, step))
        if self._sight is not None and self._serves(self._sight, step):
            return self._sight
        return self._look(self._scope())

    def wrote(self, step: Step) -> None:
        """Record that a step has been completely written."""
        for change in step.changes:
            self._unverified[change.address] = change
        self._written.append(step)
        if self._looking is not None:
            self._looking.written.append(step)
        if self._sight is not None:
            lay_over(self._state, [step])

    def at_the_end(self) -> State:
        """A final snapshot of all objects, which verifies what none has confirmed yet."""
        everything = [change for step in self._run.steps for change in step.changes]
        return self._look(touched_by(everything)).state

    def _look(self, wanted: Wanted) -> Snapshot:
        sight = self._run.read(wanted)
        self._verify(self._unverified, sight.state)
        return self._go_by(sight, [])

    def _go_by(self, sight: Snapshot, written: list[Step]) -> Snapshot:
        """Decide the next steps on a look, with what was `written` since it began laid over it."""
        self._written = written
        self._state = dict(sight.state)
        lay_over(self._state, written)
        self._sight = sight._replace(state=self._state)
        return self._sight

    def _serves(self, sight: Snapshot | None, step: Step) -> bool:
        """Whether a snapshot is enough to decide a step.

        Not where the digest of its file has changed since, nor before an irreversible step while
        earlier steps are unverified.
        """
        if sight is None or not self._run.is_fresh(sight) or not sight.covers(needed_by(step)):
            return False
        dirty = any(step.lock == other.lock for other in self._written)
        if dirty and any(map(sight.digest, step.changes)):
            return False
        return not self._unverified or step.undo is not Undo.NONE or self._has_no_way_back()

    def _unwritten(self) -> bool:
        """Whether nothing of this run has been sent yet, so that a look of before it counts."""
        return not self._run.state.has_announced

    def _has_no_way_back(self) -> bool:
        return bool(point_of_no_return(self._run.state, self._run.steps))

    def _scope(self) -> Wanted:
        """What the next steps within reach need, and those to be verified."""
        pace = self._pace()
        reach = math.ceil(self._run.fresh / pace) if pace > 0 else MOST
        ahead = self._steps[self._next :][: min(max(reach, LEAST), MOST)]
        return union([*map(needed_by, ahead), touched_by(self._unverified.values())])

    def _beside(self, send: Callable[[], Any]) -> Any:
        """Send a request of the current step, and start a snapshot when the last one is old."""
        if self._sight is not None and self._looking is None and self._is_due(self._sight):
            self._looking = self._begin(self._scope())
        return send()

    def _begin(self, wanted: Wanted) -> Look:
        run = self._run
        questions, unverified = run.lease.questions, dict(self._unverified)
        api = Sparing(run.api) if self._took < run.fresh / 4 else run.api
        return Look(api, run.clock, wanted, questions, unverified)

    def _is_due(self, sight: Snapshot) -> bool:
        """Whether the snapshot has used up half its time and will not last to the end."""
        age, left = self._run.clock.now() - sight.began, len(self._steps) - self._next
        return age >= self._run.fresh / 2 and age + left * self._pace() > self._run.fresh

    def _pace(self) -> float:
        """Average seconds per step so far."""
        return (self._run.clock.now() - self._began) / max(self._next, 1)

    def _adopt(self, *, wait: bool) -> None:
        """Use the snapshot that was started, when it is complete.

        One that was refused may have met an object between its list and its details, just when a
        step deleted it: the next one, with nothing sent beside it, tells.
        """
        looking = self._looking
        if looking is None or not (wait or looking.has_ended):
            return
        looking.join()
        self._looking = None
        passing = isinstance(looking.failure, Unreachable | RequestRefused)
        if looking.failure is not None and not passing:
            raise looking.failure
        if looking.sight is None:  # the next look waits for the cluster
            return
        self._took = looking.took
        self._run.lease.note(looking.sight.answers, looking.sight.began)
        own = {change.address for step in looking.written for change in step.changes}
        seen = {a: change for a, change in looking.unverified.items() if a not in own}
        self._verify(seen, looking.sight.state)
        self._go_by(looking.sight, looking.written)

    def _verify(self, changes: dict[Address, Change], state: State) -> None:
        """Check that what was written is there; a 200 from PVE alone proves nothing."""
        for address, change in tuple(changes.items()):
            verify(change, state)
            if self._unverified.get(address) is change:
                del self._unverified[address]


def lay_over(state: dict[Address, Spec], steps: Iterable[Step]) -> None:
    """Bring these steps into force in a state."""
    for step in steps:
        for change in step.changes:
            shown = as_shown(change.address, change.after)
            if shown is None:
                state.pop(change.address, None)
            else:
                state[change.address] = shown


def verify(change: Change, state: State) -> None:
    """Raise Conflict unless a change is visible in the cluster, as far as it can be observed."""
    seen = observe(change, state)
    if seen is Observed.AFTER or (seen is Observed.BEFORE and is_hidden(change)):
        return
    raise Conflict(
        f"a change was reverted or ignored: {describe(change, state)}",
        hint="something else changes the same object, or Proxmox VE ignored a value",
    )
