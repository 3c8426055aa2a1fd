"""Random plans, sent to their end: what lockout protects is there after each request, or refused.

Looked at in the cluster's own file with an evaluator of its own (`tests.support.naive`), as of now
and of a day later; also during the rollback, after one of the steps was refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.errors import RequestRefused
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan
from reconciler.model.policy import Lockout
from reconciler.model.request import Request
from reconciler.model.spec import Spec
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from tests.execution import size
from tests.execution.worlds import PASSED, Bench, World, declare, look, plan_for, world
from tests.support import naive
from tests.support.engine import NOW, Passing
from tests.support.random_states import PATHS, ROLES, TOKENS, USERS, access_states, with_sinks

LATE = 1_950_000_000
"""Some of the random accounts have expired by then."""
EVE = 1_900_000_000 - 3600
"""Some of them expire an hour later."""
DAY = 24 * 3600
"""What ends within it is protected only as far as it is there until then."""
EVERYWHERE = (*PATHS, "/access", "/pool", "/storage", "/vms/-", "/storage/-", "/access/groups/-")
AFTER = re.compile(r"after step (\d+) ")


@st.composite
def administered(draw: st.DrawFn, state: Mapping[Address, Spec]) -> dict[Address, Spec]:
    """The same, with entries high up: for those who administer, and against them."""
    found = dict(state)
    who = [f"{a.kind}:{a.id}" for a in state if a.kind in ("user", "group", "token")]
    for _ in range(draw(st.integers(1, 6)) if who else 0):
        path = draw(st.sampled_from(("/", "/", "/access", "/vms")))
        role = draw(st.sampled_from(("Administrator", "Administrator", "NoAccess", "PVEUserAdmin")))
        entry = f"{path}|{draw(st.sampled_from(who))}|{role}"
        found[Address("acl", entry)] = AclSpec(propagate=draw(st.booleans()))
    return found


@st.composite
def in_charge(draw: st.DrawFn, state: Mapping[Address, Spec]) -> dict[Address, Spec]:
    """The same, where some can log in and hold everything, as those do who are protected."""
    found = dict(state)
    for address, spec in state.items():
        if isinstance(spec, UserSpec | TokenSpec) and draw(st.booleans()):
            found[address] = spec.model_copy(update={"expires": 0})
            if isinstance(spec, UserSpec):
                found[address] = spec.model_copy(update={"expires": 0, "enabled": True})
            entry = f"/|{address.kind}:{address.id}|Administrator"
            found[Address("acl", entry)] = AclSpec(propagate=True)
    return found


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[Address, Spec], dict[Address, Spec]]:
    """Two states; often the second is the first one with a few objects taken or added."""
    first = draw(in_charge(draw(administered(with_sinks(draw(access_states()))))))
    second = draw(administered(with_sinks(draw(access_states()))))
    if draw(st.booleans()):
        kept = {a: s for a, s in first.items() if a in second or draw(st.integers(0, 5))}
        gone = {a.id for a in first if a not in kept}
        second = {a: s for a, s in kept.items() if not _hangs(a, gone, kept)}
        second = draw(administered(second))
    return first, second


def _hangs(address: Address, gone: set[str], kept: Mapping[Address, Spec]) -> bool:
    """Whether it cannot be there without something that is gone."""
    if address.kind == "token":
        return address.id.partition("!")[0] in gone
    if address.kind == "acl":
        entry = AclEntry.parse(address.id)
        missing = entry.holder not in kept or entry.principal.partition("!")[0] in gone
        return missing or (entry.role in ROLES and Address("role", entry.role) not in kept)
    return False


KEPT = ("Permissions.Modify on /access", "VM.Audit on /vms/100", "Sys.Audit on /")


@st.composite
def asked(draw: st.DrawFn, state: Mapping[Address, Spec]) -> tuple[str, Lockout]:
    """Who applies, and what must be kept; mostly by those who are there."""
    there = [a.id for a in state if a.kind in ("user", "token")] or [*USERS]
    actor = draw(st.sampled_from((*there, *there, "root@pam!bootstrap", TOKENS[0])))
    glass = draw(
        st.lists(st.sampled_from((*there, "root@pam")), unique=True, min_size=1, max_size=3)
    )
    return actor, Lockout(
        keep_self=tuple(draw(st.lists(st.sampled_from(KEPT), unique=True, min_size=1))),
        break_glass=tuple(glass),
        administrators=draw(st.integers(0, 3)),
    )


def keeps(policy: Lockout, actor: str, original: naive.Config, now: naive.Config, at: int) -> bool:
    """Whether everything that is protected and was there in `original` is there in `now`."""
    for who in {actor, *policy.break_glass}:
        if naive.logs_in(original, who, at) and not naive.logs_in(now, who, at):
            return False
    for text in policy.keep_self:
        privilege, _, path = text.partition(" on ")
        if privilege in naive.held(original, actor, path, at) - naive.held(now, actor, path, at):
            return False
    if any(
        naive.held(original, who, path, at) - naive.held(now, who, path, at)
        for who in policy.break_glass
        for path in EVERYWHERE
    ):
        return False
    needed = min(policy.administrators, administrators(original, at))
    return administrators(now, at) >= needed


def administrators(config: naive.Config, at: int) -> int:
    everything = naive.held(naive.Config(), naive.ROOT, "/", at)
    return sum(naive.held(config, user, "/", at) >= everything for user in config.users)


def first_loss(cluster: World, plan: Plan, policy: Lockout, at: int) -> tuple[int | None, int]:
    """The number of the step after which something is lost, from 1; how many were looked at."""
    path = cluster.folder / "user.cfg"
    original = naive.read(path.read_text())
    for number, step in enumerate(plan.steps, 1):
        cluster.api.send(step.request)
        now = naive.read(path.read_text())
        if not all(keeps(policy, plan.actor, original, now, moment) for moment in (at, at + DAY)):
            return number, number
    return None, len(plan.steps)


@dataclass
class Watching(Passing):
    """An `Api` that looks at what is protected after every write, and refuses write `stop`."""

    looks: Callable[[], bool]
    stop: int
    writes: int = 0

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        self.writes += 1
        if self.writes == self.stop:
            raise RequestRefused(500, "no more")
        answer = self.api.send(request, secrets)
        assert self.looks(), request
        return answer


def taken_back(cluster: World, plan: Plan, policy: Lockout, at: int, stop: int) -> int:
    """Apply until one step is refused, which takes all of it back; how often was looked."""

    def looks() -> bool:
        now = naive.read(path.read_text())
        return all(keeps(policy, plan.actor, original, now, moment) for moment in (at, at + DAY))

    path = cluster.folder / "user.cfg"
    original = naive.read(path.read_text())
    watching = Watching(cluster.api, looks, stop)
    Bench(cluster, plan).apply(watching)
    return watching.writes - 1


def refused_at(plan: Plan) -> int | None:
    """The step that the plan names."""
    found = [finding for finding in plan.findings if finding.code == "LOCKOUT"]
    if not found:
        return None
    match = AFTER.match(found[0].message)
    assert match is not None
    return int(match[1])


def test_a_plan_is_refused_exactly_when_a_prefix_of_it_loses_what_is_protected() -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=10_000 if size.at_length else 150,
        derandomize=not size.at_length,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(states=pairs(), at=st.sampled_from((NOW, NOW, EVE, LATE)), data=st.data())
    def check(states: Sequence[dict[Address, Spec]], at: int, data: st.DataObject) -> None:
        first, second = states
        actor, policy = data.draw(asked(first))
        cluster.restore(files)
        for step in plan_for(cluster.api, first).steps:
            cluster.api.send(step.request)
        wanted = declare(second)
        wanted = replace(wanted, policy=wanted.policy.model_copy(update={"lockout": policy}))
        question = PlanRequest(cluster.api.endpoint, actor, at, allowed=PASSED)
        plan = build_plan(wanted, look(cluster.api), Facts(), question).plan
        if {"UNKNOWN_REFERENCE", "STILL_USED"} & {one.code for one in plan.refusals}:
            return  # a state that names what it does not hold: nobody can apply that
        there = cluster.files()
        expected, looked = first_loss(cluster, plan, policy, at)
        assert refused_at(plan) == expected, plan
        seen["prefixes"] += looked
        seen["refused" if expected else "accepted"] += 1
        if expected is None and plan.steps:
            cluster.restore(there)
            stop = data.draw(st.integers(1, len(plan.steps)))
            seen["writes there and back"] += taken_back(cluster, plan, policy, at, stop)

    with world() as cluster:
        files = cluster.files()
        check()
    for outcome, number in seen.items():
        size.count(f"lockout: {outcome}", number)
    plans = seen["refused"] + seen["accepted"]
    print(seen)
    assert min(seen["refused"], seen["accepted"]) > plans // 6, seen
