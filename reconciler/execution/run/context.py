"""The context of a run: its connections, and fresh snapshots of the cluster."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from reconciler.errors import AuthenticationFailed, CertificateNotTrusted, Unreachable
from reconciler.execution.journal.journal import Journal
from reconciler.execution.journal.replay import reject_broken
from reconciler.execution.run.look import (
    Clock,
    Look,
    Snapshot,
    dependent_kinds,
    take_snapshot,
    touched_by,
)
from reconciler.execution.run.observation import dependents
from reconciler.kinds.kind import Answers
from reconciler.kinds.shared.reader import Wanted
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.change import Change
from reconciler.model.plan import Step
from reconciler.model.policy import MAX_STALENESS
from reconciler.model.request import Request
from reconciler.model.run import COMPLETED, DONE, ROLLED_BACK, RunReport
from reconciler.model.run_state import RunState
from reconciler.model.secret import SecretRef, SecretSink

SETTLE = 75.0
"""Seconds after which a request can no longer take effect: PVE waits up to 10 s for a lock
and works up to 60 s under it (Cluster.pm, cfs_lock)."""

LONGEST_PAUSE = 10.0
"""Seconds between two looks at most."""

T = TypeVar("T")


class SecretAccess(Protocol):
    """All access to secret values."""

    def resolve(self, reference: SecretRef) -> str:
        """The value of a reference; raises SecretUnreadable."""

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

    @property
    def questions(self) -> tuple[Request, ...]:
        """Reads that can be sent along with others, for `note`."""

    def note(self, answers: Answers, began: float) -> None:
        """Receive what was read from `began` on (Unix seconds); raises Locked as `renew` does."""


class FollowingFile(Protocol):
    """A file that changes together with the cluster. Each may be called again after a crash."""

    def to_json(self) -> Mapping[str, Any]:
        """What the journal keeps, so that a resumed run can go on; empty for nothing."""

    def begin(self) -> None:
        """Before the first request; raises PvectlError, and then nothing is sent."""

    def finish(self) -> None:
        """Everything is as declared, and the run is about to be closed."""

    def undo(self) -> None:
        """Everything is as before, and the run is about to be closed."""


class NoFile:
    """Nothing but the cluster changes."""

    def to_json(self) -> Mapping[str, Any]:
        return {}

    def begin(self) -> None: ...

    def finish(self) -> None: ...

    def undo(self) -> None: ...


NO_FILE = NoFile()


class Progress(NamedTuple):
    """A progress message: the step's number from 1 (0: no step in particular), the total, and what
    is happening.
    """

    number: int
    total: int
    text: str


@dataclass(slots=True)
class RunContext:
    """The context of a run; a signal sets `stop`, which is checked between steps."""

    api: Api
    steps: tuple[Step, ...]
    journal: Journal
    clock: Clock
    secrets: SecretAccess
    lease: Lease
    notify_progress: Callable[[Progress], None] = lambda _: None
    stop: list[int] = field(default_factory=list)
    first: Look | None = None
    """a look at what the first steps need, started before this run has written anything"""
    fresh: float = MAX_STALENESS
    """seconds within which what a request touches has been read before it is sent"""
    around: Callable[[Callable[[], Any]], Any] = lambda send: send()
    """sends a request; something else may be done meanwhile"""
    file: FollowingFile = NO_FILE
    """changes together with the cluster"""
    unreachable: bool = False
    """the cluster has not answered for as long as it is waited for"""

    def __post_init__(self) -> None:
        reject_broken(self.journal.state, self.steps)

    @property
    def state(self) -> RunState:
        """The state of the run according to its journal."""
        return self.journal.state

    def end(self, result: RunReport, *, unfinished: bool | None = None) -> None:
        """Close the run with the outcome of its objects; `unfinished`: something is left to do."""
        if result.outcome in (DONE, COMPLETED):
            self.file.finish()
        elif result.outcome == ROLLED_BACK and result.restored:
            self.file.undo()
        left = {} if unfinished is None else {"unfinished": unfinished}
        self.journal.write("end", outcome=result.outcome, **left, objects=result.objects_json())

    def look(self, changes: Iterable[Change], patience: float = SETTLE) -> Snapshot:
        """The live objects of all kinds that these changes touch.

        An unreachable cluster is retried for `patience` seconds; then, or when it refuses the
        caller, Unreachable is raised.
        """
        return self.read(touched_by(changes), patience)

    def read(self, wanted: Wanted, patience: float = SETTLE) -> Snapshot:
        """The live objects of these kinds, read as `look` does."""

        def once() -> Snapshot:
            began = self.clock.now()
            return take_snapshot(self.api, wanted)._replace(began=began)

        return self.with_retries(once, patience)

    def is_fresh(self, sight: Snapshot) -> bool:
        """Whether a snapshot is recent enough to base a request on."""
        return 0 <= self.clock.now() - sight.began <= self.fresh

    def dependents_of(
        self, addresses: Iterable[Address], sight: Snapshot
    ) -> dict[Address, tuple[Address, ...]]:
        """The live objects that refer to each of these; from `sight` where it has all of them."""
        named = tuple(addresses)
        wanted = dependent_kinds(address.kind for address in named)
        if not wanted:
            return {}
        state = (sight if sight.covers(wanted) else self.read(wanted)).state
        return {address: dependents(address, state) for address in named}

    def with_retries(self, read: Callable[[], T], patience: float = SETTLE) -> T:
        """Read; retry while the cluster is unreachable, as `look` does."""
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
        """Report the progress of a step."""
        self.notify_progress(Progress(number + 1, len(self.steps), text))
