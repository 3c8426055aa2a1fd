"""Send one write at a time: announce, send, settle, record."""

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
from reconciler.execution.journal.replay import open_request
from reconciler.execution.run.context import LONGEST_PAUSE, SETTLE, RunContext
from reconciler.execution.run.failed_step import named
from reconciler.execution.run.look import Snapshot
from reconciler.execution.run.observation import (
    Observed,
    as_shown,
    created_by_others,
    describe,
    is_applied,
    is_hidden,
    observe,
)
from reconciler.execution.secrets.masking import masked
from reconciler.kinds import describe_step, kind_of
from reconciler.model.change import Change
from reconciler.model.run import Direction, OutgoingRequest
from reconciler.model.secret import SecretRef

TRIES = 4
"""How often a request is sent at most: again after PVE's lock messages, or when it is certain that
it had no effect."""


def write(
    run: RunContext, number: int, direction: Direction, changes: Sequence[Change], sight: Snapshot
) -> None:
    """Apply changes of one step with as few requests as their kind needs.

    `sight`: the snapshot that the decision was based on. Raises the cause of a failure:
    RequestRefused, Conflict, SinkFailed, Unreachable, UnknownOutcome, or what prevents any further
    write: JournalFailed and Locked.
    """
    _reject_new_dependents(run, changes, sight)
    step = run.steps[number]
    if direction is Direction.FORWARD and tuple(changes) == step.changes:
        orders = [OutgoingRequest(number, direction, step.request, step.changes)]
    else:
        kind = kind_of(changes[0].address)
        pieces = [piece for change in changes for piece in kind.writes.split(change)]
        orders = [
            OutgoingRequest(number, direction, request, carried)
            for request, carried in kind.writes.requests(pieces)
        ]
    with named(run, number, direction):
        for position, order in enumerate(orders):
            fresh = sight if position == 0 else run.look(order.changes)
            _carry_out(run, order, fresh, more=position + 1 < len(orders))


def _reject_new_dependents(run: RunContext, changes: Sequence[Change], sight: Snapshot) -> None:
    """Raise Conflict for dependents created concurrently, which Proxmox VE would silently delete
    with the object; the plan deletes all that it knew of. A recreated object may keep what
    Proxmox VE leaves alone.
    """
    deleted = [change.address for change in changes if change.after is None]
    if not deleted:
        return
    made = {c.address for step in run.steps for c in step.changes if c.before is None}
    destroyed = {c.address for step in run.steps for c in step.changes if c.after is None}
    found = [
        other
        for address, others in run.dependents_of(deleted, sight).items()
        for other in others
        if address not in made & destroyed or other.kind in kind_of(address).links.silently_deletes
    ]
    if found:
        raise Conflict(
            f"created concurrently: {', '.join(map(str, found))}, which would go with "
            f"{', '.join(map(str, deleted))}",
            hint="nothing was deleted: check it, then run `pvectl plan` again",
        )


def _carry_out(run: RunContext, order: OutgoingRequest, sight: Snapshot, *, more: bool) -> None:
    """Send one request, or the fallback of its kind that leads to the same state."""
    try:
        _send_until_applied(run, order, sight, more=more)
    except RequestRefused as refusal:
        ways = [
            way
            for change in order.changes
            for way in kind_of(change.address).writes.fallbacks(change, refusal.summary)
        ]
        if not ways:
            raise
        for position, way in enumerate(ways):
            for request, carried in kind_of(way.address).writes.requests([way]):
                other = OutgoingRequest(order.step, order.direction, request, carried)
                last = position + 1 == len(ways)
                _send_until_applied(run, other, run.look(carried), more=more or not last)


def _send_until_applied(
    run: RunContext, order: OutgoingRequest, sight: Snapshot, *, more: bool
) -> None:
    """Send until the request was certainly applied; raises when it will not be."""
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
            _reject_concurrent_change(order, sight, failure)
            if attempt == TRIES or not _may_send_again(failure):
                raise
            run.notify(order.step, f"attempt {attempt} had no effect: {failure.summary}")
            run.clock.sleep(2.0 ** (attempt - 1))
        else:
            _deliver(run, order, answer)
            break
    _record(run, order, "done", more=more or lost)
    if lost:
        renew_secrets(run, order.step, order.changes, more=more)


def _send(run: RunContext, order: OutgoingRequest, sight: Snapshot, attempt: int) -> Any:
    """Announce one request in the journal, check the lock, send it."""
    request = order.request
    values = {
        name: run.secrets.resolve(value)
        for name, value in request.params
        if isinstance(value, SecretRef)
    }
    run.lease.renew()
    sight = _recent(run, order, sight)
    digest = sight.digest(order.changes[0]) if request.method == "PUT" else ""
    if digest:
        request = request._replace(params=(*request.params, ("digest", digest)))
    announced = {"request": request.to_json(), "time": round(run.clock.now(), 3)}
    if order.changes != run.steps[order.step].changes or order.direction is Direction.BACK:
        announced["changes"] = [change.to_json() for change in order.changes]
    _record(run, order, "intent", attempt=attempt, **announced)
    try:
        run.lease.renew()
    except Locked:
        why = "not sent: the cluster lock was lost"
        _record(run, order, "refused", unsent=True, why=why)
        raise
    try:
        return run.around(lambda: run.api.send(request, values))
    except RequestRefused as refusal:
        raise masked(refusal, values.values()) from None


def _recent(run: RunContext, order: OutgoingRequest, sight: Snapshot) -> Snapshot:
    """`sight`, or a new snapshot where it is too old; raises Conflict where they differ.

    A snapshot can grow old while a command returns a secret, or while the machine sleeps.
    """
    if run.is_fresh(sight):
        return sight
    again = run.look(order.changes)
    for change in order.changes:
        address = change.address
        if again.state.get(address) != sight.state.get(address):
            raise Conflict(
                f"an object was changed concurrently: {describe(change, again.state)}",
                hint="check it, then run `pvectl plan` again",
            )
    return again


def _record(run: RunContext, order: OutgoingRequest, name: str, **data: Any) -> None:
    data = {key: value for key, value in data.items() if value is not False}
    run.journal.write(name, step=order.step, direction=str(order.direction), **data)


def _after(run: RunContext, order: OutgoingRequest, failure: PvectlError) -> Snapshot:
    """The state after a failure, read for as long as the request may still arrive."""
    if isinstance(failure, UnknownOutcome):
        run.notify(order.step, f"sent, outcome unknown: {failure.summary}")
        return settle(run, order.changes, run.clock.now(), f"request {order.step + 1}")
    if isinstance(failure, Unreachable):
        _record(run, order, "refused", unsent=True, why=f"not sent: {failure.summary}")
    return run.look(order.changes)


def _record_failure(run: RunContext, order: OutgoingRequest, failure: PvectlError) -> None:
    """Record `unknown` where the effect of the request cannot be observed."""
    if not isinstance(failure, Unreachable):
        in_doubt = isinstance(failure, UnknownOutcome) and any(map(is_hidden, order.changes))
        _record(run, order, "unknown" if in_doubt else "refused", why=failure.summary)


def settle(run: RunContext, changes: Sequence[Change], since: float, waiting_for: str) -> Snapshot:
    """Read until the changes are applied, or until the request can no longer arrive.

    `since` (Unix seconds): when the request reached the server at the latest; `waiting_for` names
    it.
    """
    pause, until = 1.0, min(since, run.clock.now()) + SETTLE
    while True:
        sight = run.look(changes)
        if is_applied(changes, sight.state) or run.clock.now() >= until:
            return sight
        run.lease.renew()
        run.notify_wait(f"{waiting_for} may still arrive: reading again", until)
        run.clock.sleep(min(pause, max(until - run.clock.now(), 0.1)))
        pause = min(pause * 2, LONGEST_PAUSE)


def _is_ours(order: OutgoingRequest, sight: Snapshot, failure: PvectlError, attempt: int) -> bool:
    """Whether the request was applied although it failed.

    What exists after the very first request was plainly refused was created concurrently.
    """
    doubtful = isinstance(failure, UnknownOutcome) or (
        isinstance(failure, RequestRefused) and failure.lock_timeout
    )
    return is_applied(order.changes, sight.state) and (doubtful or attempt > 1)


def _has_vanished(order: OutgoingRequest, sight: Snapshot, failure: PvectlError) -> bool:
    """Whether the object to be deleted no longer exists although the request was refused."""
    deletes = all(change.after is None for change in order.changes)
    return (
        deletes and isinstance(failure, RequestRefused) and is_applied(order.changes, sight.state)
    )


def _pass_over(run: RunContext, order: OutgoingRequest, *, more: bool) -> None:
    """Continue; the deletion is not a change of this run, so a rollback does not undo it."""
    names = ", ".join(str(change.address) for change in order.changes)
    run.notify(order.step, f"already gone: {names}")
    if order.direction is Direction.BACK:
        _record(run, order, "done", more=more)
    elif not more:
        run.journal.write("skipped", step=order.step)


def _reject_concurrent_change(
    order: OutgoingRequest, sight: Snapshot, failure: PvectlError
) -> None:
    """Raise Conflict where the failure comes from a concurrent change.

    What PVE refuses to create, but exists, was created concurrently since the last snapshot.
    """
    refused = isinstance(failure, RequestRefused) and not _may_send_again(failure)
    for change in order.changes:
        if refused and change.before is None and observe(change, sight.state) is Observed.AFTER:
            raise created_by_others(change, gone_before=False) from failure
        if observe(change, sight.state) is Observed.CONFLICT:
            raise Conflict(
                f"an object was changed concurrently: {describe(change, sight.state)}",
                hint="check it, then run `pvectl plan` again",
            ) from failure


def _may_send_again(failure: PvectlError) -> bool:
    if isinstance(failure, RequestRefused):
        return failure.lock_timeout or failure.overtaken
    return not isinstance(failure, AuthenticationFailed)


def _deliver(run: RunContext, order: OutgoingRequest, answer: Any) -> None:
    """Deliver the secret in an answer to its sink; it is never stored here."""
    for change in order.changes if _has_sink(order) else ():
        sink = kind_of(change.address).secrets.sink(change)
        if sink is None:
            continue
        _record(run, order, "found")
        value = answer.get("value") if isinstance(answer, dict) else None
        if not isinstance(value, str) or not value:
            raise SinkFailed(
                f"Proxmox VE returned no secret for {change.address}",
                hint="create the token by hand, or use a release that returns it",
            )
        sink = run.steps[order.step].sink or sink  # the files may name another one by now
        run.secrets.deliver(sink, change.address.id, value)
        _record(run, order, "delivered", sink=str(sink))


def _has_sink(order: OutgoingRequest) -> bool:
    """Whether the answer holds a secret to deliver."""
    if order.direction is Direction.BACK:
        return False
    return any(kind_of(change.address).secrets.sink(change) is not None for change in order.changes)


def renew_secrets(
    run: RunContext, number: int, changes: Sequence[Change], *, more: bool = False
) -> None:
    """Regenerate secrets that were lost before delivery, and deliver the new ones."""
    for change in changes:
        kind = kind_of(change.address)
        if kind.secrets.sink(change) is None:
            continue
        again = change._replace(before=as_shown(change.address, change.after))
        try:
            for request, carried in kind.writes.requests([again]):
                order = OutgoingRequest(number, Direction.FORWARD, request, carried)
                _send_until_applied(run, order, run.look(carried), more=more)
        except RequestRefused as refusal:
            if "regenerate" not in refusal.errors or change.before is not None:
                raise
            _recreate(run, number, change, more=more)


def _recreate(run: RunContext, number: int, change: Change, *, more: bool) -> None:
    """Recreate a new token, on which nothing depends yet, where PVE cannot regenerate a secret."""
    for piece in (change.inverse(), change):
        for request, carried in kind_of(change.address).writes.requests([piece]):
            order = OutgoingRequest(number, Direction.FORWARD, request, carried)
            deleted = piece.after is None
            _send_until_applied(run, order, run.look(carried), more=more or deleted)


def close_open(run: RunContext) -> None:
    """Wait for a request whose outcome was never recorded, and record the outcome.

    If another run wrote in between, an applied request may be its work and is not claimed.
    """
    found = open_request(run.state, run.steps)
    if found is None:
        return
    order, sent = found
    run.notify(order.step, f"{describe_step(order.changes)}: being sent when the run stopped")
    sight = settle(run, order.changes, sent, f"request {order.step + 1}")
    if is_applied(order.changes, sight.state):
        ours = order.direction is Direction.BACK or not run.state.is_overtaken
        _record(run, order, "found" if ours else "disowned")
    elif any(map(is_hidden, order.changes)):
        _record(run, order, "unknown", why="the run stopped before it was answered")
    else:
        _record(run, order, "refused", why="it had no effect")
