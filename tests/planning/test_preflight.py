"""What the preflight allows, Proxmox VE accepts; what it denies, Proxmox VE refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.errors import RequestRefused
from reconciler.kinds import access_delta, access_table, all_kinds
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.plan import Step
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import Spec
from reconciler.planning.checks.preflight import preflight
from reconciler.sandbox.http.direct import SandboxApi
from reconciler.sandbox.settings import Settings
from tests.execution import size
from tests.execution.worlds import look, plan_for, world
from tests.support.random_states import GROUPS, states, with_sinks

LOCK_ALONE = "not apply it: Group.Allocate on /access/groups is missing"
KINDS = tuple(all_kinds()) if size.at_length else ("acl",)
USER, TOKEN = "op@pve", "op@pve!tool"
OWN = ("Op1", "Op2", "Op3")
RIGHTS = (
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.Audit",
    "Group.Allocate",
    "Permissions.Modify",
    "Pool.Allocate",
    "Pool.Audit",
    "Realm.Allocate",
    "Realm.AllocateUser",
    "Sys.Modify",
    "User.Modify",
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
)
PLACES = (
    "/",
    "/",
    "/access",
    "/access/groups",
    "/access/groups/g1",
    "/access/groups/g2",
    "/access/realm",
    "/access/realm/pve",
    "/pool",
    "/pool/p",
    "/pool/q",
    "/storage",
    "/storage/local",
    "/storage/nas",
    "/vms",
    "/vms/100",
    "/vms/9000",
)


@st.composite
def acting(draw: st.DrawFn) -> dict[Address, Spec]:
    """A user with a token, groups, roles and entries of its own."""
    groups = draw(st.lists(st.sampled_from(GROUPS), unique=True))
    found: dict[Address, Spec] = {Address("group", name): GroupSpec() for name in groups}
    found[Address("user", USER)] = UserSpec(groups=tuple(sorted(groups)), keys="")
    sink = SecretSink(file="tool")
    found[Address("token", TOKEN)] = TokenSpec(privsep=draw(st.booleans()), secret_to=sink)
    for role in OWN:
        held = draw(st.lists(st.sampled_from(RIGHTS), unique=True, min_size=9))
        found[Address("role", role)] = RoleSpec(privileges=tuple(sorted(held)))
    who = [f"user:{USER}", f"user:{USER}", f"token:{TOKEN}", *(f"group:{name}" for name in groups)]
    both = draw(st.booleans())
    for _ in range(draw(st.integers(1, 6))):
        path, role = (
            draw(st.sampled_from(PLACES)),
            draw(st.sampled_from((*OWN, *OWN, *OWN, "NoAccess"))),
        )
        spread = AclSpec(propagate=draw(st.integers(0, 3)) > 0)
        holders = (f"user:{USER}", f"token:{TOKEN}") if both else (draw(st.sampled_from(who)),)
        found |= {Address("acl", f"{path}|{holder}|{role}"): spread for holder in holders}
    return found


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[Address, Spec], dict[Address, Spec]]:
    """Two states; in both there is one who acts, whose rights may be other ones then."""
    first, second = ({**draw(states()), **draw(acting())} for _ in range(2))
    return with_sinks(first), with_sinks(second)


def lets(api: SandboxApi, step: Step) -> bool:
    """Whether the request of a step is accepted."""
    names = [name for name, value in step.request.params if isinstance(value, SecretRef)]
    try:
        api.send(step.request, dict.fromkeys(names, "a long secret"))
    except RequestRefused:
        return False
    return True


def may(actor: str, step: Step, state: Mapping[Address, Spec]) -> bool:
    """What the preflight says of a plan with this step alone.

    A caller that cannot take the lock can only plan, whatever else it may do.
    """
    found = preflight(actor, (step,), access_table(state), [access_delta(step.changes)])
    told = [finding.message for finding in found if finding.code == "MISSING_PRIVILEGE"]
    unlocked = step.changes[0].address.kind != "group" and LOCK_ALONE in " ".join(told)
    return unlocked or not told


def test_the_preflight_lets_pass_exactly_what_proxmox_ve_accepts() -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=1_000 if size.at_length else 25,
        derandomize=not size.at_length,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(states=pairs(), actor=st.sampled_from((USER, TOKEN, TOKEN)))
    def check(states: tuple[dict[Address, Spec], dict[Address, Spec]], actor: str) -> None:
        first, second = states
        cluster.restore(files)
        for step in plan_for(cluster.api, first).steps:
            assert lets(root, step)
        api = SandboxApi(cluster.folder, actor, settings=root_settings)
        for step in plan_for(cluster.api, second).steps:
            there, state = cluster.files(), look(cluster.api)
            said, accepted = may(actor, step, state), lets(api, step)
            cluster.restore(there)
            assert lets(root, step), step.request
            assert said == accepted, (actor, step.request, state)
            seen[f"{step.changes[0].address.kind} {'may' if said else 'may not'}"] += 1

    root_settings = Settings(lock_wait=0.0)
    with world() as cluster:
        files = cluster.files()
        root = SandboxApi(cluster.folder, settings=root_settings)
        check()
    for outcome, number in seen.items():
        size.count(f"preflight: {outcome}", number)
    assert all(seen[f"{kind} {said}"] for kind in KINDS for said in ("may", "may not")), seen
