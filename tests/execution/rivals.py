"""Somebody else who writes to the same objects at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.errors import Conflict, RequestRefused
from reconciler.execution.journal.journal import read_journal
from reconciler.kinds import kind_of, references, visible
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.policy import MAX_STALENESS
from reconciler.model.request import Request
from reconciler.model.run import DONE, ROLLED_BACK, STUCK, Direction, Event, Outcome, RunReport
from reconciler.model.spec import Spec
from tests.execution.checks import Points, all_points, pivot, requests
from tests.execution.injected import writes
from tests.execution.size import count
from tests.execution.worlds import Bench, World, look
from tests.execution.worlds import bench as make_bench
from tests.support.engine import NoLease

THEIRS = "changed by somebody else"


def other(change: Change, live: Spec | None) -> Spec | None:
    """What another client makes of an object: neither as planned before nor as wanted."""
    base = live or change.after or change.before
    fields = {} if base is None else {n: getattr(base, n) for n in type(base).model_fields}
    if "privileges" in fields:
        update: dict[str, Any] = {"privileges": ("Sys.Console",)}
    elif "propagate" in fields:
        update = {"propagate": not fields["propagate"]}
        if live is not None and change.after is not None:
            return None
    elif "options" in fields and change.address.kind == "storage":
        update = {"options": _with(base, "content", ("backup", "snippets"))}
        if dict(fields["options"]).get("datastore"):
            update = {"options": _with(base, "nodes", ("elsewhere",))}
    elif "options" in fields and change.address.kind == "realm":
        update = {"options": _with(base, "comment", THEIRS)}
    else:
        update = {"comment": THEIRS}
    made = base.model_copy(update=update) if base is not None else None
    sides = [None if side is None else visible(change.address, side) for side in change[1:3]]
    return made if made is None or visible(change.address, made) not in sides else None


def _with(spec: Any, name: str, value: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted({**dict(spec.options), name: value}.items()))


Made = tuple[Spec | None]
"""What another client made of an object, seen right afterwards."""


def interfere(api: Api, change: Change) -> Made | None:
    """Change or make the object of `change` by hand; None where nothing sensible can be done."""
    live = look(api).get(change.address)
    spec = other(change, live)
    if spec is None and live is None:
        return None
    kind = kind_of(change.address)
    theirs = Change(change.address, live, spec, Reason(Cause.DIFFERS, THEIRS))
    secrets = dict.fromkeys(("password", "client-key"), "theirs-theirs")
    try:
        for request, _ in kind.writes.requests(kind.writes.split(theirs)):
            api.send(request, secrets)
    except RequestRefused:
        return None
    return (look(api).get(change.address),)


LATER = MAX_STALENESS + 0.5
"""Seconds after which a run looks again before it sends anything."""


def rival(
    bench: Bench, at: int, target: int, pause: float = LATER
) -> tuple[RunReport, Made | None]:
    """Somebody else changes the first object of request `target`, `pause` seconds before request
    `at` is decided.

    What they made of it comes back as well, None where that was not possible.
    """
    change = bench.plan.steps[target - 1].changes[0]
    api = bench.world.api
    if at == 1:
        made = interfere(api, change)
        return bench.apply(api)[0], made
    made = None

    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        nonlocal made
        answer = send()
        if number == at - 1 and made is None:
            made = interfere(api, change)
            bench.clock.sleep(pause)
        return answer

    report, _ = bench.apply(writes(api, fault))
    return report, made


def conflicts_stop_the_run(bench: Bench, points: Points = all_points) -> None:
    """Before a request touches an object: theirs stays, ours is undone, all else is as before."""
    before = look(bench.world.api)
    for at in points(requests(bench)[: pivot(bench)]):
        change = bench.plan.steps[at - 1].changes[0]
        report, made = rival(bench, at, at)
        if made:
            theirs = look(bench.world.api)
            assert theirs.get(change.address) == made[0], report
            assert report.outcome == ROLLED_BACK, report
            assert isinstance(report.failure, Conflict), report
            assert dict(report.objects)[change.address] is not Outcome.DONE
            kept = _kept(report, change.address, before, theirs)
            assert _without(theirs, kept) == _without(before, kept), report
            count("rival before a request")
        bench.reset()


def conflicts_are_seen_at_the_end(bench: Bench, points: Points = all_points) -> None:
    """After a request has touched an object, before the last one: theirs stays, and it is said."""
    before = look(bench.world.api)
    last = len(bench.plan.steps)
    if pivot(bench) <= last or last < 2:
        return
    for target in points(range(1, last)):
        change = bench.plan.steps[target - 1].changes[0]
        report, made = rival(bench, last, target)
        if made and made[0] != before.get(change.address) and report.outcome != DONE:
            assert look(bench.world.api).get(change.address) == made[0], report
            assert isinstance(report.failure, Conflict), report
            assert not report.restored, report
            count("rival after a request")
        else:
            assert report.complete or report.restored, report
        bench.reset()


def rivals_inside_the_two_seconds(bench: Bench, points: Points = all_points) -> None:
    """After the last look and before the write: whatever comes of it, it is as the report says.

    Theirs stays where PVE itself refuses the write or shows the difference afterwards; where the
    request sets the very same values, it is overwritten, as it would be a moment later.
    """
    before = look(bench.world.api)
    for at in points(requests(bench)[1 : pivot(bench)]):
        address = bench.plan.steps[at - 1].changes[0].address
        report, made = rival(bench, at, at, pause=0.0)
        after = look(bench.world.api)
        if made and report.outcome == DONE:
            assert report.complete, report
            assert after.get(address) != made[0], "said to be done, and is theirs"
            count("rival inside the two seconds: overwritten")
        elif made:
            assert isinstance(report.failure, Conflict | RequestRefused), report
            kept = _kept(report, address, before, after)
            assert report.outcome in {ROLLED_BACK, STUCK}, report
            if report.outcome == ROLLED_BACK:
                assert _without(after, kept) == _without(before, kept), report
            count("rival inside the two seconds: found")
        bench.reset()


class _Pausing(NoLease):
    """Before the request of one number is sent, time passes and somebody else comes."""

    def __init__(self, at: int, meanwhile: Callable[[], None]) -> None:
        self._calls, self._at, self._meanwhile = 0, at, meanwhile

    def renew(self) -> None:
        self._calls += 1
        if self._calls == 2 * self._at - 1:  # it is asked before and after the announcement
            self._meanwhile()


def old_looks_are_taken_again(bench: Bench, points: Points = all_points) -> None:
    """Between the decision and the announcement the look grows too old, and somebody else changes
    the object: theirs stays, ours is undone."""
    before = look(bench.world.api)
    for at in points(requests(bench)[: pivot(bench)]):
        change = bench.plan.steps[at - 1].changes[0]
        made: list[Made | None] = []

        def meanwhile(change: Change = change, made: list[Made | None] = made) -> None:
            made.append(interfere(bench.world.api, change))
            bench.clock.sleep(LATER)

        bench.lease = _Pausing(at, meanwhile)
        report, _ = bench.apply(bench.world.api)
        theirs = made[0] if made else None
        if theirs:
            after = look(bench.world.api)
            assert after.get(change.address) == theirs[0], report
            assert report.outcome == ROLLED_BACK, report
            assert isinstance(report.failure, Conflict), report
            kept = _kept(report, change.address, before, after)
            assert _without(after, kept) == _without(before, kept), report
            count("look too old")
        bench.lease = NoLease()
        bench.reset()


def conflicts_are_told_before_the_end(bench: Bench) -> None:
    """Somebody else changes back what this run made; the look that verifies it comes `LATER`, and
    no step is sent after that."""
    sent: list[int] = []
    made: Made | None = None
    change = bench.plan.steps[0].changes[0]

    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        nonlocal made
        sent.append(number)
        answer = send()
        if number == 2:
            made = interfere(bench.world.api, change)
            bench.clock.sleep(LATER)
        return answer

    report, path = bench.apply(writes(bench.world.api, fault))
    assert made, "nothing to see"
    assert isinstance(report.failure, Conflict), report
    forward = {e.step for e in read_journal(path) if e.name == "intent" and not _is_back(e)}
    assert forward == {0, 1}, forward
    assert look(bench.world.api).get(change.address) == made[0]


def _is_back(event: Event) -> bool:
    return event.direction is Direction.BACK


def nothing_irreversible_on_an_unverified_past(world: World) -> None:
    """A role is changed back right after it was made, and then a token is to go for good."""
    user = {Address("user", "a@pve"): UserSpec()}
    gone = {**user, Address("token", "a@pve!old"): TokenSpec()}
    new = Address("role", "New")
    plan = make_bench(world, gone, {**user, new: RoleSpec(privileges=("VM.Audit",))})
    numbers = [n for n, step in enumerate(plan.plan.steps, 1) if step.changes[0].address == new]
    assert pivot(plan) > numbers[0]

    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        answer = send()
        if number == numbers[0]:
            interfere(world.api, plan.plan.steps[number - 1].changes[0])
        return answer

    report, _ = plan.apply(writes(world.api, fault))
    assert isinstance(report.failure, Conflict), report
    assert report.outcome == ROLLED_BACK, report
    assert Address("token", "a@pve!old") in look(world.api)


def what_hangs_on_it_is_kept(bench: Bench) -> None:
    """Somebody grants a role to a user that this run made; taking the user back would drop that."""
    api = bench.world.api
    made = [c.address for c in bench.plan.changes if c.before is None and c.address.kind == "user"]
    grant = (("path", "/"), ("roles", "PVEAuditor"), ("users", made[0].id))

    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        if number == len(bench.plan.steps):
            api.send(Request("PUT", ("access", "acl"), grant))
            raise RequestRefused(403, "no")
        return send()

    report, _ = bench.apply(writes(api, fault))
    entry = Address("acl", f"/|user:{made[0].id}|PVEAuditor")
    assert entry in look(api), "theirs was dropped"
    assert not report.restored, report
    assert any(str(entry) in error.summary for error in report.trouble)


def _kept(
    report: RunReport, address: Address, before: dict[Address, Spec], after: dict[Address, Spec]
) -> set[Address]:
    """What cannot be as before while theirs stays: all that it needs, and pools whose guests this
    run had moved into a pool that is theirs now; the report does not call those undone."""
    kept = _named_by(address, after)
    pools = {a: spec for a, spec in after.items() if a in kept and isinstance(spec, PoolSpec)}
    moved = {guest for spec in pools.values() for guest in spec.guests}
    for other_pool, spec in before.items():
        if isinstance(spec, PoolSpec) and other_pool not in kept and moved & {*spec.guests}:
            assert dict(report.objects)[other_pool] is not Outcome.UNDONE, report
            kept.add(other_pool)
    return kept


def _named_by(address: Address, state: dict[Address, Spec]) -> set[Address]:
    """The object, and all that it needs: those cannot be rolled back without it."""
    found, waiting = {address}, [address]
    while waiting:
        here = waiting.pop()
        for other in references(here, state[here]) if here in state else ():
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _without(state: dict[Address, Spec], kept: set[Address]) -> dict[Address, Spec]:
    return {address: spec for address, spec in state.items() if address not in kept}
