"""One write at a time: recorded before, sent, settled, recorded after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from reconciler.errors import (
    ApplyNotRestored,
    Conflict,
    PvectlError,
    RequestRefused,
    UnknownOutcome,
    Unreachable,
)
from reconciler.execution.journal import Journal
from reconciler.execution.judge import Seen, describe, is_hidden, judge, kinds_of
from reconciler.kinds import kind_of
from reconciler.kinds.read import read_state
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.change import Change
from reconciler.model.plan import Step
from reconciler.model.request import Request
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.state import State

SETTLE = 75.0
"""Seconds after which a request cannot come into force any more: PVE waits up to 10 s for a lock
and works up to 60 s under it (Cluster.pm, cfs_lock)."""

TRIES = 4
"""How often a request is sent at most: again after PVE's lock messages, or when it is certain
that it did not come into force."""


class Direction(StrEnum):
    FORWARD = "forward"
    BACK = "back"


class Clock(Protocol):
    """The time, so that tests can have their own."""

    def now(self) -> float:
        """Unix seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Secrets(Protocol):
    """The way in and out for secrets; values never pass through anything else."""

    def resolve(self, reference: SecretRef) -> str:
        """The value behind a reference; raises SinkFailed."""

    def probe(self, sink: SecretSink) -> None:
        """Make sure that the sink can take a secret; raises SinkFailed."""

    def deliver(self, sink: SecretSink, token: str, value: str) -> None:
        """Hand a new token's secret to its sink; raises SinkFailed."""

    def withdraw(self, sink: SecretSink, token: str) -> None:
        """Remove what was delivered for a token that is taken back."""


class Lease(Protocol):
    """The right to write, held in the cluster."""

    def renew(self) -> None:
        """Called before each write; raises Locked when the lease was lost."""


class Progress(NamedTuple):
    """What people see while it runs: the step's number from 1, of how many, and what happens."""

    number: int
    total: int
    text: str


@dataclass(slots=True)
class Run:
    """What a run needs; `stop` is filled by a signal and looked at between requests."""

    api: Api
    steps: tuple[Step, ...]
    journal: Journal
    clock: Clock
    secrets: Secrets
    lease: Lease
    tell: Callable[[Progress], None] = lambda _: None
    stop: list[int] = field(default_factory=list)
    digests: dict[Address, str] = field(default_factory=dict)
    """PVE's digest of the file in which an object stands, where it was just read"""

    def look(self, steps: Iterable[Step]) -> State:
        """The live objects of all kinds that these steps touch."""
        steps = tuple(steps)
        wanted: dict[str, set[str]] = {}
        for step in steps:
            for change in step.changes:
                wanted.setdefault(change.address.kind, set()).add(change.address.id)
        frozen = {kind: frozenset(ids) for kind, ids in wanted.items()}
        state, answers = read_state(self.api, sorted(kinds_of(steps)), frozen)
        self.digests = {
            change.address: kind_of(change.address).digest(answers, change.address.id)
            for step in steps
            for change in step.changes
        }
        return state

    def say(self, number: int, text: str) -> None:
        """Tell about a step."""
        self.tell(Progress(number + 1, len(self.steps), text))


def write(run: Run, number: int, direction: Direction, changes: Sequence[Change]) -> None:
    """Bring `changes` of one step into force with as few requests as their kind needs.

    Raises what made it fail: `RequestRefused`, `Conflict`, `SinkFailed`, `JournalFailed`, or
    `ApplyNotRestored` when the outcome stays unknown.
    """
    step = run.steps[number]
    if direction is Direction.FORWARD and tuple(changes) == step.changes:
        _write_one(run, number, direction, step.request, step.changes)
        return
    kind = kind_of(changes[0].address)
    pieces = [piece for change in changes for piece in kind.split(change)]
    for request, carried in kind.requests(pieces):
        _write_one(run, number, direction, request, carried)


def _write_one(
    run: Run, number: int, direction: Direction, request: Request, carried: Sequence[Change]
) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            answer = _send(run, number, direction, _with_digest(run, request, carried), attempt)
        except (RequestRefused, UnknownOutcome) as failure:
            if _in_force_after(run, number, carried, failure, attempt):
                break
            run.say(number, f"attempt {attempt} did not come into force: {failure.summary}")
            run.clock.sleep(2.0 ** (attempt - 1))
        else:
            deliver(run, number, carried, answer)
            break
    if direction is Direction.FORWARD:
        ensure_delivered(run, number, carried)
    run.journal.write("done", step=number, direction=direction)


def _in_force_after(
    run: Run,
    number: int,
    carried: Sequence[Change],
    failure: RequestRefused | UnknownOutcome,
    attempt: int,
) -> bool:
    """True: it came into force all the same. False: certainly not, so it may be sent again.

    Raises `failure` where sending again is no use, and Conflict where somebody else was quicker.
    """
    step = _as_step(run, number, carried)
    refused = isinstance(failure, RequestRefused) and not (
        failure.lock_timeout or failure.overtaken
    )
    if refused and attempt == 1:
        run.journal.write("refused", step=number, why=failure.summary)
        return _remedy(run, number, carried, failure)
    if isinstance(failure, UnknownOutcome):
        state = settle(run, number, carried, run.clock.now())
    else:
        state = run.look([step])
    if all(judge(change, state) is Seen.AFTER and not is_hidden(change) for change in carried):
        return True
    if refused or attempt == TRIES:
        run.journal.write("refused", step=number, why=failure.summary)
        raise failure
    for change in carried:
        if judge(change, state) is Seen.OTHER:
            raise Conflict(
                f"somebody else changed an object meanwhile: {describe(change, state)}",
                hint="look at it, then plan again",
            )
    return False


def _remedy(run: Run, number: int, carried: Sequence[Change], failure: PvectlError) -> bool:
    """Another way to the same, where the kind knows one; else `failure` is raised."""
    ways = [w for c in carried for w in kind_of(c.address).remedy(c, failure.summary)]
    if not ways:
        raise failure
    for way in ways:
        for request, _ in kind_of(way.address).requests([way]):
            _send(run, number, Direction.FORWARD, request, 1)
    return True


def _with_digest(run: Run, request: Request, carried: Sequence[Change]) -> Request:
    """A PUT that PVE refuses when the file has changed since it was read; each digest serves once,
    since the write itself changes it."""
    digest = run.digests.get(carried[0].address, "") if request.method == "PUT" else ""
    run.digests = {}
    return request._replace(params=(*request.params, ("digest", digest))) if digest else request


def _send(run: Run, number: int, direction: Direction, request: Request, attempt: int) -> Any:
    run.lease.renew()
    values = {
        name: run.secrets.resolve(value)
        for name, value in request.params
        if isinstance(value, SecretRef)
    }
    run.journal.write(
        "intent",
        step=number,
        direction=direction,
        request=request.to_json(),
        attempt=attempt,
        time=round(run.clock.now(), 3),
    )
    return run.api.send(request, values)


def deliver(run: Run, number: int, carried: Sequence[Change], answer: Any) -> None:
    """Hand the secret in an answer to its sink; it is never kept here."""
    for change in carried:
        sink = kind_of(change.address).sink(change)
        if sink is not None and isinstance(answer, dict) and answer.get("value"):
            run.secrets.deliver(sink, change.address.id, str(answer["value"]))
            run.journal.write("delivered", step=number, sink=str(sink))


def ensure_delivered(run: Run, number: int, carried: Sequence[Change]) -> None:
    """A token whose secret was lost on the way (no answer, a crash) gets a new one, delivered."""
    if any(e.name == "delivered" and e.step == number for e in run.journal.events):
        return
    for change in carried:
        if kind_of(change.address).sink(change) is not None:
            for request in kind_of(change.address).renew_secret(change):
                deliver(run, number, carried, _send(run, number, Direction.FORWARD, request, 1))


def settle(run: Run, number: int, carried: Sequence[Change], since: float) -> State:
    """Read until the changes are in force, or until they cannot come into force any more.

    `since`: when the request may have reached the server at the latest. Raises ApplyNotRestored
    when the cluster cannot be read in all that time.
    """
    step = _as_step(run, number, carried)
    pause = 1.0
    run.say(number, "the outcome is unknown; reading until it is settled")
    while True:
        try:
            last = run.look([step])
        except Unreachable as error:
            if run.clock.now() >= since + SETTLE:
                raise ApplyNotRestored(
                    f"the outcome of a request is unknown and the cluster cannot be read: {error}",
                    hint="when it answers again: pvectl resume, or pvectl rollback",
                ) from None
        else:
            if all(judge(c, last) is Seen.AFTER and not is_hidden(c) for c in carried):
                return last
            if run.clock.now() >= since + SETTLE:
                return last
        run.clock.sleep(pause)
        pause = min(pause * 2, 10.0)


def _as_step(run: Run, number: int, carried: Sequence[Change]) -> Step:
    return run.steps[number]._replace(changes=tuple(carried))
