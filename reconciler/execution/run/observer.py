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
from threading import Thread
from types import MappingProxyType
from typing import Any, Self

from reconciler.errors import Conflict, PvectlError, Unreachable
from reconciler.execution.journal.replay import point_of_no_return
from reconciler.execution.run.boundary import foreseen
from reconciler.execution.run.context import (
    RunContext,
    Snapshot,
    dependent_kinds,
    take_snapshot,
    touched_by,
)
from reconciler.execution.run.observation import (
    Observed,
    as_shown,
    describe,
    is_hidden,
    observe,
)
from reconciler.kinds.shared.reader import EVERYTHING, Wanted
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step
from reconciler.model.spec import Spec, State

AHEAD = 8, 500
"""How many steps a look prepares at least and at most."""


class Observer:
    """Takes snapshots for the steps `todo` of a run; a context manager."""

    def __init__(self, run: RunContext, todo: Sequence[int]) -> None:
        self._run = run
        self._steps = [run.steps[number] for number in todo]
        self._positions = {number: position for position, number in enumerate(todo)}
        self._next = 0
        self._began = run.clock.now()
        self._sight: Snapshot | None = None
        self._written: list[Step] = []
        """steps that were written since the look began, or while it did"""
        self._unverified: dict[Address, Change] = {}
        """the last change of each object that no look has confirmed"""
        self._looking: _Looking | None = None

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
            self._sight = self._sight._replace(state=overlaid(self._sight.state, [step]))

    def at_the_end(self) -> State:
        """A final snapshot of all objects, which verifies what none has confirmed yet."""
        everything = [change for step in self._run.steps for change in step.changes]
        return self._look(touched_by(everything)).state

    def _look(self, wanted: Wanted) -> Snapshot:
        self._written = []
        self._sight = self._run.read(wanted)
        self._verify(self._unverified, self._sight.state)
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

    def _has_no_way_back(self) -> bool:
        return bool(point_of_no_return(self._run.state, self._run.steps))

    def _scope(self) -> Wanted:
        """What the next steps within reach need, and those to be verified."""
        pace = self._pace()
        least, most = AHEAD
        reach = math.ceil(self._run.fresh / pace) if pace > 0 else most
        ahead = self._steps[self._next :][: min(max(reach, least), most)]
        return union([*map(needed_by, ahead), touched_by(self._unverified.values())])

    def _beside(self, send: Callable[[], Any]) -> Any:
        """Send a request of the current step, and start a snapshot when the last one is old."""
        if self._sight is not None and self._looking is None and self._is_due(self._sight):
            self._looking = _Looking(self._run, self._scope(), dict(self._unverified))
        return send()

    def _is_due(self, sight: Snapshot) -> bool:
        """Whether the snapshot has used up half its time and will not last to the end."""
        age, left = self._run.clock.now() - sight.began, len(self._steps) - self._next
        return age >= self._run.fresh / 2 and age + left * self._pace() > self._run.fresh

    def _pace(self) -> float:
        """Average seconds per step so far."""
        return (self._run.clock.now() - self._began) / max(self._next, 1)

    def _adopt(self, *, wait: bool) -> None:
        """Use the snapshot that was started, when it is complete."""
        looking = self._looking
        if looking is None or not (wait or looking.has_ended):
            return
        looking.join()
        self._looking = None
        if looking.failure is not None and not isinstance(looking.failure, Unreachable):
            raise looking.failure
        if looking.sight is None:  # the next look waits for the cluster
            return
        self._run.lease.note(looking.sight.answers, looking.sight.began)
        self._written = looking.written
        own = {change.address for step in looking.written for change in step.changes}
        seen = {a: change for a, change in looking.unverified.items() if a not in own}
        self._verify(seen, looking.sight.state)
        state = overlaid(looking.sight.state, looking.written)
        self._sight = looking.sight._replace(state=state)

    def _verify(self, changes: dict[Address, Change], state: State) -> None:
        """Check that what was written is there; a 200 from PVE alone proves nothing."""
        for address, change in tuple(changes.items()):
            verify(change, state)
            if self._unverified.get(address) is change:
                del self._unverified[address]


class _Looking:
    """A snapshot being taken in a thread of its own.

    `written`: the steps written since it began, so that it may or may not show them; `unverified`:
    what had been written before.
    """

    def __init__(self, run: RunContext, wanted: Wanted, unverified: dict[Address, Change]) -> None:
        self.sight: Snapshot | None = None
        self.failure: PvectlError | None = None
        self.written: list[Step] = []
        self.unverified = unverified
        self._run, self._wanted = run, wanted
        self._beside = run.lease.questions
        self._began = run.clock.now()
        self._thread = Thread(target=self._work, name="pvectl-look", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> None:
        self._thread.join()

    def _work(self) -> None:
        try:
            with foreseen():
                sight = take_snapshot(self._run.api, self._wanted, self._beside)
                self.sight = sight._replace(began=self._began)
        except PvectlError as failure:
            self.failure = failure


def needed_by(step: Step) -> Wanted:
    """What must be read before a step: its objects, and the dependents of those that are
    deleted.
    """
    gone = {change.address.kind for change in step.changes if change.after is None}
    return union([touched_by(step.changes), dependent_kinds(gone) if gone else NOTHING])


NOTHING: Wanted = MappingProxyType({})


def union(parts: Iterable[Wanted]) -> Wanted:
    """The union of several needs."""
    found: dict[str, frozenset[str]] = {}
    for part in parts:
        for kind, ids in part.items():
            both = found.get(kind, frozenset()) | ids
            found[kind] = EVERYTHING if both >= EVERYTHING else both
    return found


def overlaid(state: State, steps: Iterable[Step]) -> State:
    """A state to which these steps have been applied as well."""
    result: dict[Address, Spec] = dict(state)
    for step in steps:
        for change in step.changes:
            shown = as_shown(change.address, change.after)
            if shown is None:
                result.pop(change.address, None)
            else:
                result[change.address] = shown
    return result


def verify(change: Change, state: State) -> None:
    """Raise Conflict unless a change is visible in the cluster, as far as it can be observed."""
    seen = observe(change, state)
    if seen is Observed.AFTER or (seen is Observed.BEFORE and is_hidden(change)):
        return
    raise Conflict(
        f"a change was reverted or ignored: {describe(change, state)}",
        hint="something else changes the same object, or Proxmox VE ignored a value",
    )
