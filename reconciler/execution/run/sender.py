"""One write at a time: announced, sent, settled, recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.errors import (
    AuthenticationFailed,
    Conflict,
    Locked,
    PvectlError,
    RequestRefused,
    SinkFailed,
    UnknownOutcome,
    Unreachable,
)
from reconciler.execution.journal.replay import is_overtaken, open_order
from reconciler.execution.run.context import (
    LONGEST_PAUSE,
    SETTLE,
    Direction,
    OutgoingRequest,
    RunContext,
    Snapshot,
)
from reconciler.execution.run.observation import (
    Observed,
    as_shown,
    describe,
    is_applied,
    is_hidden,
    observe,
)
from reconciler.kinds import kind_of
from reconciler.model.change import Change
from reconciler.model.secret import SecretRef

TRIES = 4
"""How often a request is sent at most: again after PVE's lock messages, or when it is certain that
it did not come into force."""

MASK = "***"
SHORTEST_SECRET = 4
"""A secret shorter than this is not masked in PVE's words: it would blank out ordinary ones."""


def write(
    run: RunContext, number: int, direction: Direction, changes: Sequence[Change], sight: Snapshot
) -> None:
    """Bring changes of one step into force with as few requests as their kind needs.

    `sight`: the look that the decision was made on. Raises what made it fail: RequestRefused,
    Conflict, SinkFailed, Unreachable, UnknownOutcome, or what bars any further write: JournalFailed
    and Locked.
    """
    _refuse_hanging(run, changes)
    step = run.steps[number]
    if direction is Direction.FORWARD and tuple(changes) == step.changes:
        orders = [OutgoingRequest(number, direction, step.request, step.changes)]
    else:
        kind = kind_of(changes[0].address)
        pieces = [piece for change in changes for piece in kind.split(change)]
        orders = [
            OutgoingRequest(number, direction, request, carried)
            for request, carried in kind.requests(pieces)
        ]
    for position, order in enumerate(orders):
        fresh = sight if position == 0 else run.look(order.changes)
        _carry_out(run, order, fresh, more=position + 1 < len(orders))


def _refuse_hanging(run: RunContext, changes: Sequence[Change]) -> None:
    """Proxmox VE drops in silence what hangs on an object that goes. The plan takes that along, so
    what is there now is somebody else's. Raises Conflict.

    What is made again may keep what Proxmox VE leaves alone.
    """
    made = {c.address for step in run.steps for c in step.changes if c.before is None}
    destroyed = {c.address for step in run.steps for c in step.changes if c.after is None}
    gone = [change.address for change in changes if change.after is None]
    found = [
        other
        for address, others in run.hanging_on(gone).items()
        for other in others
        if address not in made & destroyed or other.kind in kind_of(address).drops
    ]
    if found:
        raise Conflict(
            f"somebody else made {', '.join(map(str, found))}, which would go with "
            f"{', '.join(map(str, gone))}",
            hint="it was left alone: look at it, then plan again",
        )


def _carry_out(run: RunContext, order: OutgoingRequest, sight: Snapshot, *, more: bool) -> None:
    """One request, or what leads to the same where its kind knows another way."""
    try:
        _until_in_force(run, order, sight, more=more)
    except RequestRefused as refusal:
        ways = [
            way
            for change in order.changes
            for way in kind_of(change.address).remedy(change, refusal.summary)
        ]
        if not ways:
            raise
        for position, way in enumerate(ways):
            for request, carried in kind_of(way.address).requests([way]):
                other = OutgoingRequest(order.step, order.direction, request, carried)
                last = position + 1 == len(ways)
                _until_in_force(run, other, run.look(carried), more=more or not last)


def _until_in_force(
    run: RunContext, order: OutgoingRequest, sight: Snapshot, *, more: bool
) -> None:
    """Send until it is certain that the request came into force; raises when it will not."""
    lost = False
    for attempt in range(1, TRIES + 1):
        try:
            answer = _send(run, order, sight, attempt)
        except (RequestRefused, UnknownOutcome, Unreachable) as failure:
            sight = _after(run, order, failure)
            if _is_ours(order, sight, failure, attempt):
                lost = _has_sink(order)
                break
            _record_failure(run, order, failure)
            if _has_vanished(order, sight, failure):
                _pass_over(run, order, more=more)
                return
            _refuse_strangers(order, sight, failure)
            if attempt == TRIES or not _may_send_again(failure):
                raise
            run.say(order.step, f"attempt {attempt} did not come into force: {failure.summary}")
            run.clock.sleep(2.0 ** (attempt - 1))
        else:
            _deliver(run, order, answer)
            break
    _record(run, order, "done", more=more or lost)
    if lost:
        renew_secrets(run, order.step, order.changes, more=more)


def _send(run: RunContext, order: OutgoingRequest, sight: Snapshot, attempt: int) -> Any:
    """Announce one request in the journal, make sure of the lock, send it."""
    request = order.request
    digest = sight.digest(order.changes[0]) if request.method == "PUT" else ""
    if digest:
        request = request._replace(params=(*request.params, ("digest", digest)))
    values = {
        name: run.secrets.resolve(value)
        for name, value in request.params
        if isinstance(value, SecretRef)
    }
    announced = {"request": request.to_json(), "time": round(run.clock.now(), 3)}
    if order.changes != run.steps[order.step].changes or order.direction is Direction.BACK:
        announced["changes"] = [change.to_json() for change in order.changes]
    _record(run, order, "intent", attempt=attempt, **announced)
    try:
        run.lease.renew()
    except Locked:
        why = "not sent: the lock on the cluster was lost"
        _record(run, order, "refused", unsent=True, why=why)
        raise
    try:
        return run.api.send(request, values)
    except RequestRefused as refusal:
        raise _masked(refusal, values.values()) from None


def _masked(refusal: RequestRefused, values: Any) -> RequestRefused:
    """PVE may quote a parameter that it refuses; a secret must not come back that way."""

    def mask(text: str) -> str:
        for value in values:
            if len(value) >= SHORTEST_SECRET:
                text = text.replace(value, MASK)
        return text

    errors = {name: mask(text) for name, text in refusal.errors.items()}
    return RequestRefused(refusal.status, mask(refusal.reason), errors, hint=refusal.hint)


def _record(run: RunContext, order: OutgoingRequest, name: str, **data: Any) -> None:
    data = {key: value for key, value in data.items() if value is not False}
    run.journal.write(name, step=order.step, direction=str(order.direction), **data)


def _after(run: RunContext, order: OutgoingRequest, failure: PvectlError) -> Snapshot:
    """What is there after a failure, read for as long as the request may still come into force."""
    if isinstance(failure, UnknownOutcome):
        run.say(order.step, f"the outcome is unknown: {failure.summary}")
        return settle(run, order.changes, run.clock.now())
    if isinstance(failure, Unreachable):
        _record(run, order, "refused", unsent=True, why=f"not sent: {failure.summary}")
    return run.look(order.changes)


def _record_failure(run: RunContext, order: OutgoingRequest, failure: PvectlError) -> None:
    """`unknown` where nobody can see the difference that the request makes."""
    if not isinstance(failure, Unreachable):
        in_doubt = isinstance(failure, UnknownOutcome) and any(map(is_hidden, order.changes))
        _record(run, order, "unknown" if in_doubt else "refused", why=failure.summary)


def settle(run: RunContext, changes: Sequence[Change], since: float) -> Snapshot:
    """Read until the changes are in force, or until they cannot come into force any more.

    `since` (Unix seconds): when the request reached the server at the latest.
    """
    pause, until = 1.0, min(since, run.clock.now()) + SETTLE
    while True:
        sight = run.look(changes)
        if is_applied(changes, sight.state) or run.clock.now() >= until:
            return sight
        run.lease.renew()
        run.waits("not seen in force yet; reading again", until)
        run.clock.sleep(min(pause, max(until - run.clock.now(), 0.1)))
        pause = min(pause * 2, LONGEST_PAUSE)


def _is_ours(order: OutgoingRequest, sight: Snapshot, failure: PvectlError, attempt: int) -> bool:
    """Whether the request came into force although it failed.

    What is there after the very first request was plainly refused was made by somebody else.
    """
    doubtful = isinstance(failure, UnknownOutcome) or (
        isinstance(failure, RequestRefused) and failure.lock_timeout
    )
    return is_applied(order.changes, sight.state) and (doubtful or attempt > 1)


def _has_vanished(order: OutgoingRequest, sight: Snapshot, failure: PvectlError) -> bool:
    """Whether what was to be deleted is gone by itself: refused, and there no more."""
    deletes = all(change.after is None for change in order.changes)
    return (
        deletes and isinstance(failure, RequestRefused) and is_applied(order.changes, sight.state)
    )


def _pass_over(run: RunContext, order: OutgoingRequest, *, more: bool) -> None:
    """Go on, without the deletion as a change of this run: rollback does not bring it back."""
    names = ", ".join(str(change.address) for change in order.changes)
    run.say(order.step, f"already gone: {names}")
    if order.direction is Direction.BACK:
        _record(run, order, "done", more=more)
    elif not more:
        run.journal.write("skipped", step=order.step)


def _refuse_strangers(order: OutgoingRequest, sight: Snapshot, failure: PvectlError) -> None:
    """Raises Conflict where the failure comes from somebody else's change."""
    for change in order.changes:
        if observe(change, sight.state) is Observed.OTHER:
            raise Conflict(
                f"somebody else changed an object meanwhile: {describe(change, sight.state)}",
                hint="look at it, then plan again",
            ) from failure


def _may_send_again(failure: PvectlError) -> bool:
    if isinstance(failure, RequestRefused):
        return failure.lock_timeout or failure.overtaken
    return not isinstance(failure, AuthenticationFailed)


def _deliver(run: RunContext, order: OutgoingRequest, answer: Any) -> None:
    """Hand the secret in an answer to its sink; it is never kept here."""
    for change in order.changes if _has_sink(order) else ():
        sink = kind_of(change.address).sink(change)
        if sink is None:
            continue
        _record(run, order, "found")
        value = answer.get("value") if isinstance(answer, dict) else None
        if not isinstance(value, str) or not value:
            raise SinkFailed(
                f"Proxmox VE told no secret for {change.address}",
                hint="make the token by hand, or use a release that does",
            )
        sink = run.steps[order.step].sink or sink  # the files may say another one by now
        run.secrets.deliver(sink, change.address.id, value)
        _record(run, order, "delivered", sink=str(sink))


def _has_sink(order: OutgoingRequest) -> bool:
    """Whether the answer holds a secret that has to be delivered."""
    if order.direction is Direction.BACK:
        return False
    return any(kind_of(change.address).sink(change) is not None for change in order.changes)


def renew_secrets(
    run: RunContext, number: int, changes: Sequence[Change], *, more: bool = False
) -> None:
    """Give tokens whose secret was lost on the way a new one, and deliver that."""
    for change in changes:
        kind = kind_of(change.address)
        if kind.sink(change) is None:
            continue
        again = change._replace(before=as_shown(change.address, change.after))
        try:
            for request, carried in kind.requests([again]):
                order = OutgoingRequest(number, Direction.FORWARD, request, carried)
                _until_in_force(run, order, run.look(carried), more=more)
        except RequestRefused as refusal:
            if "regenerate" not in refusal.errors or change.before is not None:
                raise
            _make_again(run, number, change, more=more)


def _make_again(run: RunContext, number: int, change: Change, *, more: bool) -> None:
    """Older releases cannot renew a secret. The token is new, so nothing hangs on it yet."""
    for piece in (change.inverse(), change):
        for request, carried in kind_of(change.address).requests([piece]):
            order = OutgoingRequest(number, Direction.FORWARD, request, carried)
            gone = piece.after is None
            _until_in_force(run, order, run.look(carried), more=more or gone)


def close_open(run: RunContext) -> None:
    """Wait for a request whose outcome was never recorded, and record what became of it.

    What is in force may be another run's work if one came between: then it is not claimed.
    """
    found = open_order(run.journal.events, run.steps)
    if found is None:
        return
    order, sent = found
    run.say(order.step, "a request was under way when the run stopped; reading what became of it")
    sight = settle(run, order.changes, sent)
    if is_applied(order.changes, sight.state):
        ours = order.direction is Direction.BACK or not is_overtaken(run.journal.events)
        _record(run, order, "found" if ours else "disowned")
    elif any(map(is_hidden, order.changes)):
        _record(run, order, "unknown", why="the run stopped before it was answered")
    else:
        _record(run, order, "refused", why="it did not come into force")
