"""What a run needs, and how it looks at the cluster."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from reconciler.errors import AuthenticationFailed, CertificateNotTrusted, Unreachable
from reconciler.execution.journal.journal import Journal
from reconciler.execution.journal.replay import reject_broken
from reconciler.execution.run.observation import dependents
from reconciler.kinds import all_kinds, kind_of
from reconciler.kinds.kind import Answers
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.change import Change
from reconciler.model.plan import Step
from reconciler.model.run_state import RunState
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import State

SETTLE = 75.0
"""Seconds after which a request cannot come into force any more: PVE waits up to 10 s for a lock
and works up to 60 s under it (Cluster.pm, cfs_lock)."""

LONGEST_PAUSE = 10.0
"""Seconds between two looks at most."""

T = TypeVar("T")


class Clock(Protocol):
    """The time, so that tests can have their own."""

    def now(self) -> float:
        """Unix seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Secrets(Protocol):
    """The only way in and out for secret values."""

    def resolve(self, reference: SecretRef) -> str:
        """The value behind a reference; raises SinkFailed."""

    def probe(self, sink: SecretSink) -> None:
        """Make sure that the sink can take a secret; raises SinkFailed."""

    def deliver(self, sink: SecretSink, token: str, value: str) -> None:
        """Hand a new token's secret to its sink; raises SinkFailed."""

    def withdraw(self, sink: SecretSink, token: str) -> None:
        """Remove what was delivered for a token that was rolled back; raises SinkFailed."""


class Lease(Protocol):
    """The right to write, held in the cluster."""

    def renew(self) -> None:
        """Called before each write and while waiting; raises Locked when the lease was lost."""


class Progress(NamedTuple):
    """What people see while it runs: the step's number from 1 (0: of no step in particular), of how
    many, and what happens."""

    number: int
    total: int
    text: str


class Snapshot(NamedTuple):
    """One look at the cluster: the objects, and the answers that they come from."""

    state: State
    answers: Answers

    def digest(self, change: Change) -> str:
        """PVE's digest of the file that holds an object, "" where there is none."""
        return kind_of(change.address).reads.digest(self.answers, change.address.id)


def take_snapshot(api: Api, changes: Iterable[Change]) -> Snapshot:
    """The live objects of all kinds that these changes touch, once."""
    wanted: dict[str, set[str]] = {}
    for change in changes:
        wanted.setdefault(change.address.kind, set()).add(change.address.id)
    ids = {kind: frozenset(found) for kind, found in sorted(wanted.items())}
    return Snapshot(*read_state(api, ids, ids))


@dataclass(slots=True)
class RunContext:
    """What a run needs; `stop` is filled by a signal and looked at between steps."""

    api: Api
    steps: tuple[Step, ...]
    journal: Journal
    clock: Clock
    secrets: Secrets
    lease: Lease
    notify_progress: Callable[[Progress], None] = lambda _: None
    stop: list[int] = field(default_factory=list)
    unreachable: bool = False
    """the cluster has not answered for as long as it is waited for"""

    def __post_init__(self) -> None:
        reject_broken(self.journal.state, self.steps)

    @property
    def state(self) -> RunState:
        """What the journal says so far."""
        return self.journal.state

    def look(self, changes: Iterable[Change], patience: float = SETTLE) -> Snapshot:
        """The live objects of all kinds that these changes touch.

        A cluster that does not answer is asked again for `patience` seconds; then, or when it
        refuses the caller, Unreachable is raised.
        """
        changes = tuple(changes)
        return self.with_retries(lambda: take_snapshot(self.api, changes), patience)

    def dependents_of(self, addresses: Iterable[Address]) -> dict[Address, tuple[Address, ...]]:
        """The live objects that name each of these."""
        named = tuple(addresses)
        kinds = {address.kind for address in named}
        names = [name for name, kind in all_kinds().items() if kind.links.refers_to & kinds]
        if not names:
            return {}
        wanted = dict.fromkeys(names, EVERYTHING)
        state = self.with_retries(lambda: read_state(self.api, names, wanted)[0])
        return {address: dependents(address, state) for address in named}

    def with_retries(self, read: Callable[[], T], patience: float = SETTLE) -> T:
        """Read; retry while the cluster does not answer, as `look` does."""
        until, pause = self.clock.now() + patience, 1.0
        while True:
            try:
                answer = read()
            except (AuthenticationFailed, CertificateNotTrusted):
                raise
            except Unreachable as error:
                self.unreachable = self.clock.now() >= until
                if self.unreachable:
                    raise
                self.notify_wait(f"no answer ({error.summary}); retrying", until)
            else:
                self.unreachable = False
                return answer
            self.clock.sleep(min(pause, max(until - self.clock.now(), 0.1)))
            pause = min(pause * 2, LONGEST_PAUSE)

    def notify_wait(self, what: str, until: float) -> None:
        """Report what the run is waiting for, and until when (Unix seconds)."""
        left = max(0, round(until - self.clock.now()))
        moment = f"{dt.datetime.fromtimestamp(until, dt.UTC):%H:%M:%S} UTC"
        self.notify_progress(
            Progress(0, len(self.steps), f"{what}, for up to {left} s (until {moment})")
        )

    def notify(self, number: int, text: str) -> None:
        """Report what happens to a step."""
        self.notify_progress(Progress(number + 1, len(self.steps), text))
