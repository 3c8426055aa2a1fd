"""Random plans, sent to their end: what lockout protects is there after each request, or refused.

Looked at in the cluster's own file with an evaluator of its own (`tests.naive`). The way back
passes through the same states.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.kinds.acl import AclSpec
from reconciler.model.address import Address
from reconciler.model.facts import Facts
from reconciler.model.plan import Plan
from reconciler.model.policy import Lockout
from reconciler.model.state import Spec
from reconciler.planning.compose import Question, compose
from tests import naive
from tests.engine import NOW
from tests.faults import size
from tests.faults.worlds import PASSED, World, declare, look, plan_for, world
from tests.random_states import PATHS, ROLES, TOKENS, USERS, access_states, with_sinks

LATE = 1_950_000_000
"""Some of the random accounts have expired by then."""
EVERYWHERE = (*PATHS, "/access", "/pool", "/storage", "/vms/-", "/storage/-", "/access/groups/-")
AFTER = re.compile(r"after step (\d+) ")


@st.composite
def administered(draw: st.DrawFn, state: Mapping[Address, Spec]) -> dict[Address, Spec]:
    """The same, with entries high up: for those who administer, and against them."""
    found = dict(state)
    who = [f"{a.kind}:{a.id}" for a in state if a.kind in ("user", "group", "token")]
    for _ in range(draw(st.integers(0, 4)) if who else 0):
        path = draw(st.sampled_from(("/", "/", "/access", "/vms")))
        role = draw(st.sampled_from(("Administrator", "Administrator", "NoAccess", "PVEUserAdmin")))
        entry = f"{path}|{draw(st.sampled_from(who))}|{role}"
        found[Address("acl", entry)] = AclSpec(propagate=draw(st.booleans()))
    return found


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[Address, Spec], dict[Address, Spec]]:
    """Two states; often the second is the first one with a few objects taken or added."""
    first = draw(administered(with_sinks(draw(access_states()))))
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
        _, who, role = address.id.split("|")
        kind, _, name = who.partition(":")
        missing = Address(kind, name) not in kept or name.partition("!")[0] in gone
        return missing or (role in ROLES and Address("role", role) not in kept)
    return False


KEPT = ("Permissions.Modify on /access", "VM.Audit on /vms/100", "Sys.Audit on /")


@st.composite
def asked(draw: st.DrawFn, state: Mapping[Address, Spec]) -> tuple[str, Lockout]:
    """Who applies, and what must be kept; mostly by those who are there."""
    there = [a.id for a in state if a.kind in ("user", "token")] or [*USERS]
    actor = draw(st.sampled_from((*there, *there, "root@pam!bootstrap", TOKENS[0])))
    glass = draw(st.lists(st.sampled_from((*there, "root@pam")), unique=True, max_size=2))
    return actor, Lockout(
        keep_self=tuple(draw(st.lists(st.sampled_from(KEPT), unique=True))),
        break_glass=tuple(glass),
        administrators=draw(st.integers(0, 3)),
    )


def keeps(policy: Lockout, actor: str, begun: naive.Config, now: naive.Config, at: int) -> bool:
    """Whether everything that is protected and was there in `begun` is there in `now`."""
    for who in {actor, *policy.break_glass}:
        if naive.logs_in(begun, who, at) and not naive.logs_in(now, who, at):
            return False
    for text in policy.keep_self:
        privilege, _, path = text.partition(" on ")
        if privilege in naive.held(begun, actor, path, at) - naive.held(now, actor, path, at):
            return False
    if any(
        naive.held(begun, who, path, at) - naive.held(now, who, path, at)
        for who in policy.break_glass
        for path in EVERYWHERE
    ):
        return False
    needed = min(policy.administrators, administrators(begun, at))
    return administrators(now, at) >= needed


def administrators(config: naive.Config, at: int) -> int:
    everything = naive.held(naive.Config(), naive.ROOT, "/", at)
    return sum(naive.held(config, user, "/", at) >= everything for user in config.users)


def first_loss(cluster: World, plan: Plan, policy: Lockout, at: int) -> tuple[int | None, int]:
    """The number of the step after which something is lost, from 1; how many were looked at."""
    path = cluster.folder / "user.cfg"
    begun = naive.read(path.read_text())
    for number, step in enumerate(plan.steps, 1):
        cluster.api.send(step.request)
        if not keeps(policy, plan.actor, begun, naive.read(path.read_text()), at):
            return number, number
    return None, len(plan.steps)


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
    @given(states=pairs(), at=st.sampled_from((NOW, NOW, LATE)), data=st.data())
    def check(states: Sequence[dict[Address, Spec]], at: int, data: st.DataObject) -> None:
        first, second = states
        actor, policy = data.draw(asked(first))
        cluster.restore(files)
        for step in plan_for(cluster.api, first).steps:
            cluster.api.send(step.request)
        wanted = declare(second)
        wanted = replace(wanted, policy=wanted.policy.model_copy(update={"lockout": policy}))
        question = Question(cluster.api.endpoint, actor, at, allowed=PASSED)
        plan = compose(wanted, look(cluster.api), Facts(), question).plan
        expected, looked = first_loss(cluster, plan, policy, at)
        assert refused_at(plan) == expected, plan
        seen["prefixes"] += looked
        seen["refused" if expected else "accepted"] += 1

    with world() as cluster:
        files = cluster.files()
        check()
    for outcome, number in seen.items():
        size.count(f"lockout: {outcome}", number)
    plans = seen["refused"] + seen["accepted"]
    assert min(seen["refused"], seen["accepted"]) > plans // 6, seen
