"""What is said about a plan before it may be applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.realm.table import RealmSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.storage.table import StorageSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan
from reconciler.model.policy import Limit, Limits, Manage, Mode, Policy, Protected
from reconciler.model.spec import Spec
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest

HERE = Source("access.toml", 1)
ANNA = Address("user", "anna@pve")
OPS = Address("group", "ops")
NFS = Address("storage", "nas")


def plan(
    objects: Mapping[Address, Spec] | None = None,
    live: Mapping[Address, Spec] | None = None,
    *,
    policy: Policy | None = None,
    removed: tuple[Address, ...] = (),
    **question: Any,
) -> Plan:
    desired = Desired(
        objects={address: Declared(spec, HERE) for address, spec in (objects or {}).items()},
        removed=dict.fromkeys(removed, HERE),
        policy=policy or Policy(),
    )
    asked = PlanRequest("sandbox:x", "", 1_800_000_000, **question)
    return build_plan(desired, live or {}, Facts(), asked).plan


def found(plan: Plan, code: str) -> list[Finding]:
    return [finding for finding in plan.findings if finding.code == code]


def nfs(server: str) -> StorageSpec:
    options: Any = {
        "server": server,
        "export": "/srv",
        "path": "/mnt/pve/nas",
        "content": ["images"],
    }
    return StorageSpec(type="nfs", options=options)


def test_a_flag_that_allows_nothing_is_reported() -> None:
    policy = Policy(protected=Protected(never_delete=("group.*",)))
    misspelt = plan(
        live={OPS: GroupSpec()}, removed=(OPS,), policy=policy, allowed=("PROTECTED=group.osp",)
    )
    (said,) = found(misspelt, "UNUSED_ALLOW")
    assert "PROTECTED=group.ops" in said.hint
    assert misspelt.refusals
    right = plan(
        live={OPS: GroupSpec()}, removed=(OPS,), policy=policy, allowed=("PROTECTED=group.ops",)
    )
    assert not found(right, "UNUSED_ALLOW")
    assert not right.refusals
    assert found(plan(allowed=("NOPE=x",)), "UNUSED_ALLOW")


def test_a_target_that_fits_nothing_refuses_the_plan() -> None:
    objects = {ANNA: UserSpec()}
    (said,) = found(plan(objects, targets=("user.ana@pve",)), "NO_SUCH_TARGET")
    assert (said.severity, said.hint) == (Severity.ERROR, "did you mean user.anna@pve?")
    there = {ANNA: UserSpec(keys="")}
    (said,) = plan(objects, there, targets=("user.anna@pve",)).findings
    assert said.code == "LINT_USER_WITH_NOTHING"
    assert not plan(live={OPS: GroupSpec()}, removed=(OPS,), targets=("group.ops",)).findings


def test_an_object_that_is_recreated_counts_as_deleted() -> None:
    policy = Policy(
        protected=Protected(never_delete=("storage.nas",)), limits=Limits(delete=Limit(count=0))
    )
    made = plan(
        {NFS: nfs("new")}, {NFS: nfs("old")}, policy=policy, allowed=("REPLACE=storage.nas",)
    )
    assert {finding.code for finding in made.refusals} >= {"PROTECTED", "LIMIT_DELETE"}


def test_grants_of_somebody_who_is_gone_cannot_be_deleted_and_that_is_reported() -> None:
    entry = Address("acl", "/vms/100|user:ghost@pve|PVEVMUser")
    all_entries = Policy(manage={"acl": Manage(mode=Mode.AUTHORITATIVE)})
    refused = plan(live={entry: AclSpec()}, policy=all_entries)
    assert [finding.address for finding in found(refused, "PRINCIPAL_GONE")] == [entry]
    ghost = Address("user", "ghost@pve")
    there = plan(live={entry: AclSpec(), ghost: UserSpec(keys="")}, policy=all_entries)
    assert not there.refusals


def test_a_grant_on_a_path_of_an_old_release_stays_or_goes_for_good() -> None:
    entry = Address("acl", "/dc/x|group:ops|PVEVMUser")
    live = {entry: AclSpec(), OPS: GroupSpec()}
    assert plan({OPS: GroupSpec()}, live).steps == ()
    gone = plan(live=live, removed=(OPS,))
    assert [str(f.address) for f in found(gone, "IRREVERSIBLE")] == [str(entry)]
    assert [step.changes[0].address for step in gone.steps] == [entry, OPS]


def test_likely_names_are_suggested_only_for_a_few_unknown_ones() -> None:
    live = {Address("user", f"user{n}@pve"): UserSpec(keys="") for n in range(50)}
    entries = [
        Address("acl", f"/vms/{n}|user:usr{n}@pve|{role}")
        for n in range(100, 140)
        for role in ("PVEAuditor", "PVEVMUser")
    ]
    told = found(plan(dict.fromkeys(entries, AclSpec()), live), "UNKNOWN_REFERENCE")
    assert len(told) == 40
    assert sum("did you mean" in one.hint for one in told) == 20
    assert told[0].message.startswith(
        "acl./vms/100|user:usr100@pve|PVEAuditor (and 1 more entry of this table) names user.usr100"
    )


def test_no_realm_can_change_while_one_of_them_cannot_be_read() -> None:
    broken, pve = Address("realm", "broken"), Address("realm", "pve")
    live = {broken: RealmSpec(), pve: RealmSpec(type="pve")}
    policy = Policy(manage={"realm": Manage(mode=Mode.AUTHORITATIVE)})
    changed = RealmSpec(type="pve", options=(("comment", "ours"),))
    refused = plan({pve: changed}, live, policy=policy)
    assert [f.address for f in found(refused, "REALM_UNREADABLE")] == [broken, pve]
    assert not plan({pve: RealmSpec(type="pve")}, live).refusals


def test_who_else_a_change_reaches_is_reported_in_a_sentence() -> None:
    role, entry = Address("role", "Snap"), Address("acl", "/vms/100|user:anna@pve|Snap")
    before = RoleSpec(privileges=("VM.Audit",))
    after = RoleSpec(privileges=("VM.Audit", "VM.Snapshot"))
    live = {role: before, ANNA: UserSpec(keys=""), entry: AclSpec()}
    (said,) = found(plan({role: after}, live), "REACHES_MORE")
    assert said.message == "reaches anna@pve as well: holders of role Snap"


MALLORY = Address("user", "mallory@pve")


def crowd(*members: str, mode: Mode = Mode.OWNED, exclude: tuple[str, ...] = ()) -> Plan:
    """anna@pve and the group are declared; `members` were put into it by hand."""
    live = {Address("user", name): UserSpec(groups=("ops",), keys="") for name in members}
    objects = {OPS: GroupSpec(), ANNA: UserSpec(groups=("ops",))}
    policy = Policy(manage={"user": Manage(mode=mode, exclude=exclude)})
    return plan(objects, {OPS: GroupSpec(), **live}, policy=policy)


def test_a_member_of_a_declared_group_whom_no_file_names_is_reported() -> None:
    (said,) = found(crowd("anna@pve", "mallory@pve"), "UNDECLARED_MEMBER")
    assert said.severity is Severity.WARNING
    assert said.message == "mallory@pve is a member of ops, but not declared"
    assert said.source == HERE
    assert found(crowd("anna@pve"), "UNDECLARED_MEMBER") == []


def test_many_members_of_a_group_whom_no_file_names_are_one_finding() -> None:
    (said,) = found(crowd(*(f"u{n:04}@pve" for n in range(3000))), "UNDECLARED_MEMBER")
    assert "u0000@pve, u0001@pve" in said.message
    assert "others are members of ops" in said.message


def test_members_that_the_settings_decide_about_are_not_reported() -> None:
    for settled in (
        crowd("mallory@pve", mode=Mode.AUTHORITATIVE),
        crowd("mallory@pve", mode=Mode.ADDITIVE),
        crowd("mallory@pve", exclude=("mal*",)),
        plan(
            {OPS: GroupSpec()},
            {OPS: GroupSpec(), MALLORY: UserSpec(groups=("ops",), keys="")},
            removed=(MALLORY,),
        ),
    ):
        assert found(settled, "UNDECLARED_MEMBER") == []
