"""A look at the cluster in a thread of its own, and what it has to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Thread
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from reconciler.errors import PvectlError
from reconciler.execution.run.boundary import foreseen
from reconciler.kinds import all_kinds, kind_of
from reconciler.kinds.kind import Answers
from reconciler.kinds.shared.reader import EVERYTHING, Wanted, read_state
from reconciler.model.address import Address
from reconciler.model.api import Api, ForwardingApi
from reconciler.model.change import Change
from reconciler.model.plan import Step
from reconciler.model.request import Request
from reconciler.model.spec import State

MOST = 500
"""How many steps a look prepares at most."""

AT_ONCE = 2
"""How many requests of a look beside the writes are under way at once."""

NOTHING: Wanted = MappingProxyType({})
NO_CHANGES: Mapping[Address, Change] = MappingProxyType({})


class Clock(Protocol):
    """The time, so that tests can have their own."""

    def now(self) -> float:
        """Unix seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Snapshot(NamedTuple):
    """One look at the cluster: the objects, and the answers that they come from.

    `began`: Unix seconds; all of it was read after that. `read`: kind -> the ids for which more
    than the lists was read.
    """

    state: State
    answers: Answers
    began: float = 0.0
    read: Wanted = MappingProxyType({})

    def covers(self, wanted: Wanted) -> bool:
        """Whether all of that was read."""
        return all(
            kind in self.read and (self.read[kind] == EVERYTHING or ids <= self.read[kind])
            for kind, ids in wanted.items()
        )

    def digest(self, change: Change) -> str:
        """PVE's digest of the file that holds an object, "" where there is none."""
        return kind_of(change.address).reads.digest(self.answers, change.address.id)


def touched_by(changes: Iterable[Change]) -> Wanted:
    """What has to be read of the objects that these changes touch."""
    wanted: dict[str, set[str]] = {}
    for change in changes:
        wanted.setdefault(change.address.kind, set()).add(change.address.id)
    return {kind: frozenset(found) for kind, found in sorted(wanted.items())}


def take_snapshot(api: Api, wanted: Wanted, beside: Iterable[Request] = ()) -> Snapshot:
    """The live objects of these kinds, once, and the answers to the requests `beside`."""
    return Snapshot(*read_state(api, wanted, wanted, beside), read=wanted)


def dependent_kinds(kinds: Iterable[str]) -> Wanted:
    """What has to be read to know all objects that name objects of these kinds."""
    named = set(kinds)
    return {name: EVERYTHING for name, kind in all_kinds().items() if kind.links.refers_to & named}


class Sparing(ForwardingApi):
    """Reads a few at a time, for a look that must not hold up what is sent beside it."""

    def get(self, requests: Sequence[Request]) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(requests), AT_ONCE):
            found += self._api.get(requests[start : start + AT_ONCE])
        return found


class Look:
    """A look under way.

    `beside`: other requests whose answers are wanted. `unverified`: what had been written before it
    began; `written`: the steps that were written since, so that it may show them or not. At its end
    either `sight` or `failure` is there.
    """

    def __init__(
        self,
        api: Api,
        clock: Clock,
        wanted: Wanted,
        beside: Iterable[Request] = (),
        unverified: Mapping[Address, Change] = NO_CHANGES,
    ) -> None:
        self.sight: Snapshot | None = None
        self.failure: PvectlError | None = None
        self.written: list[Step] = []
        self.unverified = unverified
        self.took = 0.0
        """seconds, once it has ended"""
        self._api, self._wanted, self._beside = api, wanted, tuple(beside)
        self._clock, self._began = clock, clock.now()
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
                sight = take_snapshot(self._api, self._wanted, self._beside)
                self.sight = sight._replace(began=self._began)
                self.took = self._clock.now() - self._began
        except PvectlError as failure:
            self.failure = failure


def first_look(api: Api, clock: Clock, steps: Sequence[Step]) -> Look:
    """A look for the first of these steps, before anything of them was written."""
    return Look(api, clock, union(map(needed_by, steps[:MOST])))


def needed_by(step: Step) -> Wanted:
    """What has to be read before a step: its objects, and the dependents of deleted ones."""
    gone = {change.address.kind for change in step.changes if change.after is None}
    return union([touched_by(step.changes), dependent_kinds(gone) if gone else NOTHING])


def union(parts: Iterable[Wanted]) -> Wanted:
    """All of what several need."""
    found: dict[str, frozenset[str]] = {}
    for part in parts:
        for kind, ids in part.items():
            both = found.get(kind, frozenset()) | ids
            found[kind] = EVERYTHING if both >= EVERYTHING else both
    return found
