"""Random plans: no principal temporarily gains or loses a privilege if an order avoids it.

Where some order of the steps avoids it, the plan's order does; otherwise the plan names the step
that opens the window. Looked at in the cluster's own file with an evaluator of its own
(`tests.support.naive`); other orders are tried on the embedded Proxmox VE, step by step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.errors import RequestRefused
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.change import Undo
from reconciler.model.inventory import Facts
from reconciler.model.plan import Step
from reconciler.model.secret import SecretSink
from reconciler.model.spec import Spec
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from tests.execution import size
from tests.execution.worlds import PASSED, World, declare, look, plan_for, world
from tests.kinds.samples import declared
from tests.planning.test_lockout_at_length import EVERYWHERE, LATE, pairs
from tests.support import naive
from tests.support.engine import NOW

TRIED = 1_500 if size.at_length else 100
"""How many steps are tried in search of a better order; a plan that needs more is not judged."""

PLACES = ("/", "/vms", "/vms/9000", "/pool/p")
WHO = ("user:u1@pve", "user:u1@pve", "group:g1", "group:g2", "token:u1@pve!t1")
HELD = ("R1", "R1", "R2", "PVEVMUser", "NoAccess")
RIGHTS = ("VM.Audit", "VM.Backup", "VM.Console", "VM.PowerMgmt")


@st.composite
def close_ones(draw: st.DrawFn) -> dict[Address, Spec]:
    """One user and its sources of privileges: few objects, so that all orders can be tried."""
    groups = draw(st.lists(st.sampled_from(("g1", "g2")), unique=True))
    state: dict[Address, Spec] = {Address("group", name): GroupSpec() for name in ("g1", "g2")}
    state[Address("user", "u1@pve")] = UserSpec(
        enabled=draw(st.integers(0, 4)) > 0,
        expires=draw(st.sampled_from((0, 0, 0, 1_900_000_000))),
        groups=tuple(sorted(groups)),
        keys="",
    )
    state[Address("token", "u1@pve!t1")] = TokenSpec(
        privsep=draw(st.booleans()), secret_to=SecretSink(file="t1")
    )
    for role in ("R1", "R2"):
        held = draw(st.lists(st.sampled_from(RIGHTS), unique=True, min_size=1))
        state[Address("role", role)] = RoleSpec(privileges=tuple(sorted(held)))
    members = {"guests": draw(st.sampled_from(([], [9000])))}
    state[Address("pool", "p")] = declared("pool", "p", members)
    for _ in range(draw(st.integers(1, 4))):
        path, who, role = (draw(st.sampled_from(of)) for of in (PLACES, WHO, HELD))
        state[Address("acl", f"{path}|{who}|{role}")] = AclSpec(propagate=draw(st.booleans()))
    return state


Rights = dict[tuple[str, str], frozenset[str]]


def rights(cluster: World, at: int) -> Rights:
    """(who, path) -> its privileges there now."""
    config = naive.read((cluster.folder / "user.cfg").read_text())
    return {
        (who, path): naive.held(config, who, path, at)
        for who in (*config.users, *config.tokens)
        for path in (*EVERYWHERE, "/vms/9000")
    }


def is_open(before: Rights, after: Rights, now: Rights) -> bool:
    """Whether a principal holds a privilege of neither state, or lacks one of both."""
    nothing = frozenset[str]()
    for spot in before.keys() | after.keys() | now.keys():
        old, new, mid = (side.get(spot, nothing) for side in (before, after, now))
        if mid - old - new or (old & new) - mid:
            return True
    return False


class Search:
    """Looks for an order of the steps without any window."""

    def __init__(
        self, cluster: World, steps: Sequence[Step], before: Rights, after: Rights, at: int
    ) -> None:
        self._cluster, self._steps, self._at = cluster, steps, at
        self._before, self._after = before, after
        self._dead: set[frozenset[int]] = set()
        self.tried = 0

    def finds(self, done: frozenset[int] = frozenset()) -> bool:
        """From the cluster as it is, after the steps `done`."""
        if len(done) == len(self._steps):
            return True
        there = self._cluster.files()
        for number in self._next(done):
            more = done | {number}
            if more in self._dead or self.tried >= TRIED:
                continue
            if self._passes(number) and self.finds(more):
                return True
            self._dead.add(more)
            self._cluster.restore(there)
        return False

    def _next(self, done: frozenset[int]) -> list[int]:
        """What cannot be rolled back comes last, windows or not."""
        rest = [number for number in range(len(self._steps)) if number not in done]
        safe = [number for number in rest if self._steps[number].undo is not Undo.NONE]
        return safe or rest

    def _passes(self, number: int) -> bool:
        self.tried += 1
        try:
            self._cluster.api.send(self._steps[number].request)
        except RequestRefused:
            return False
        return not is_open(self._before, self._after, rights(self._cluster, self._at))


def first_window(
    cluster: World, steps: Sequence[Step], before: Rights, after: Rights, at: int
) -> int | None:
    """The first step of the plan's order after which a window is open."""
    for number, step in enumerate(steps):
        cluster.api.send(step.request)
        if is_open(before, after, rights(cluster, at)):
            return number
    return None


def test_a_plan_opens_a_window_only_where_every_order_does_and_names_it() -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=2_000 if size.at_length else 60,
        derandomize=not size.at_length,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        states=st.one_of(pairs(), *[st.tuples(close_ones(), close_ones())] * 3),
        at=st.sampled_from((NOW, LATE)),
    )
    def check(states: tuple[Mapping[Address, Spec], Mapping[Address, Spec]], at: int) -> None:
        first, second = states
        cluster.restore(files)
        for step in plan_for(cluster.api, first).steps:
            cluster.api.send(step.request)
        there, before = cluster.files(), rights(cluster, at)
        question = PlanRequest(cluster.api.endpoint, cluster.api.actor, at, allowed=PASSED)
        plan = build_plan(declare(second), look(cluster.api), Facts(), question).plan
        if any(finding.code == "UNKNOWN_REFERENCE" for finding in plan.refusals):
            return
        steps = plan.steps
        for step in steps:
            cluster.api.send(step.request)
        after = rights(cluster, at)
        cluster.restore(there)
        opened = first_window(cluster, steps, before, after, at)
        named = [number for number, step in enumerate(steps) if step.window]
        assert named[:1] == ([] if opened is None else [opened]), steps
        seen["plans"] += 1
        if opened is None:
            return
        cluster.restore(there)
        search = Search(cluster, steps, before, after, at)
        assert not search.finds(), steps
        seen["not judged" if search.tried >= TRIED else "unavoidable"] += 1

    with world() as cluster:
        files = cluster.files()
        check()
    for outcome, number in seen.items():
        size.count(f"windows: {outcome}", number)
