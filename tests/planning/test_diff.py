"""What is planned, and what is left alone and why."""

from __future__ import annotations

from typing import Any

from reconciler.kinds import references
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.realm.table import RealmSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.change import Action, Cause
from reconciler.model.declared import Declared, Desired, Moved
from reconciler.model.finding import Source
from reconciler.model.policy import Manage, Mode, Policy
from reconciler.model.secret import SecretRef
from reconciler.model.spec import Spec
from reconciler.planning.builder import apply_changes
from reconciler.planning.changes.diff import diff, narrow

NOW = 1_800_000_000
HERE = Source("access.toml", 3, 1)

ANNA = Address("user", "anna@pve")
OPS = Address("group", "ops")
CI = Address("token", "anna@pve!ci")
ENTRY = Address("acl", "/vms/100|user:anna@pve|PVEVMUser")


def declare(**kwargs: Any) -> Desired:
    objects = {a: Declared(spec, HERE) for a, spec in kwargs.pop("objects", {}).items()}
    return Desired(objects=objects, **kwargs)


def planned(desired: Desired, live: dict) -> dict[str, tuple[Action, Cause]]:
    found = diff(desired, live, now=NOW)
    return {str(c.address): (c.action, c.reason.cause) for c in found.changes}


def test_equal_states_give_no_change():
    live = {OPS: GroupSpec(comment="on call"), ANNA: UserSpec(groups=("ops",), keys="")}
    desired = declare(objects={OPS: GroupSpec(comment="on call"), ANNA: UserSpec(groups=("ops",))})
    assert diff(desired, live, now=NOW).changes == ()


def test_a_missing_object_is_created_and_a_different_one_updated():
    desired = declare(objects={OPS: GroupSpec(comment="new"), ANNA: UserSpec(comment="x")})
    assert planned(desired, {OPS: GroupSpec(comment="old")}) == {
        "group.ops": (Action.UPDATE, Cause.DIFFERS),
        "user.anna@pve": (Action.CREATE, Cause.MISSING),
    }


def test_second_factors_stay_where_they_are_not_declared():
    live = {ANNA: UserSpec(keys="x")}
    assert diff(declare(objects={ANNA: UserSpec()}), live, now=NOW).changes == ()


def test_a_password_counts_only_for_a_new_user():
    spec = UserSpec(password=SecretRef(env="ANNA_PASSWORD"))
    assert diff(declare(objects={ANNA: spec}), {ANNA: UserSpec(keys="")}, now=NOW).changes == ()
    (change,) = diff(declare(objects={ANNA: spec}), {}, now=NOW).changes
    assert isinstance(change.after, UserSpec)
    assert change.after.password == SecretRef(env="ANNA_PASSWORD")


def test_dependents_of_a_declared_user_are_owned_and_the_rest_is_left_alone():
    live = {
        ANNA: UserSpec(keys=""),
        CI: TokenSpec(),
        ENTRY: AclSpec(),
        Address("user", "ben@pve"): UserSpec(keys=""),
        Address("token", "ben@pve!x"): TokenSpec(),
    }
    desired = declare(objects={ANNA: UserSpec()})
    assert planned(desired, live) == {
        "acl./vms/100|user:anna@pve|PVEVMUser": (Action.DELETE, Cause.UNDECLARED),
        "token.anna@pve!ci": (Action.DELETE, Cause.UNDECLARED),
    }
    kept = {k.kind: [str(a) for a in k.addresses] for k in diff(desired, live, now=NOW).kept}
    assert kept == {"user": ["user.ben@pve"], "token": ["token.ben@pve!x"]}


def test_additive_deletes_nothing_and_authoritative_all_inside_its_scope():
    live = {Address("role", "Felhom1"): RoleSpec(), Address("role", "Other"): RoleSpec()}
    additive = Policy(manage={"role": Manage(mode=Mode.ADDITIVE)})
    assert planned(declare(policy=additive), live) == {}
    some = Policy(manage={"role": Manage(mode=Mode.AUTHORITATIVE, include=("Felhom*",))})
    assert planned(declare(policy=some), live) == {
        "role.Felhom1": (Action.DELETE, Cause.UNDECLARED)
    }


def test_removing_a_group_takes_members_and_entries_along_as_changes_of_their_own():
    live = {
        OPS: GroupSpec(),
        ANNA: UserSpec(groups=("ops", "dev"), keys=""),
        Address("acl", "/|group:ops|PVEAuditor"): AclSpec(),
    }
    desired = declare(removed={OPS: HERE})
    assert planned(desired, live) == {
        "acl./|group:ops|PVEAuditor": (Action.DELETE, Cause.DEPENDENT),
        "group.ops": (Action.DELETE, Cause.REMOVED),
        "user.anna@pve": (Action.UPDATE, Cause.DEPENDENT),
    }
    found = diff(desired, live, now=NOW)
    changes = {str(c.address): c for c in found.changes}
    anna = changes["user.anna@pve"].after
    assert isinstance(anna, UserSpec)
    assert anna.groups == ("dev",)
    assert found.kept == ()


def test_removing_what_a_declared_object_names_is_an_error():
    live = {OPS: GroupSpec(), ANNA: UserSpec(groups=("ops",), keys="")}
    desired = declare(objects={ANNA: UserSpec(groups=("ops",))}, removed={OPS: HERE})
    assert [f.code for f in diff(desired, live, now=NOW).findings] == ["STILL_USED"]


def test_root_cannot_be_removed():
    live = {Address("user", "root@pam"): UserSpec(keys="")}
    found = diff(declare(removed={Address("user", "root@pam"): HERE}), live, now=NOW)
    assert [f.code for f in found.findings] == ["BUILT_IN"]
    assert found.changes == ()


def test_an_expired_grant_is_planned_away_and_one_to_come_is_kept():
    declared = Declared(AclSpec(), HERE, expires=NOW)
    later = Declared(AclSpec(), HERE, expires=NOW + 1)
    live = {ENTRY: AclSpec()}
    assert planned(Desired(objects={ENTRY: declared}), live) == {
        str(ENTRY): (Action.DELETE, Cause.EXPIRED)
    }
    assert planned(Desired(objects={ENTRY: later}), live) == {}
    assert planned(Desired(objects={ENTRY: declared}), {}) == {}


def test_a_moved_group_keeps_its_members_and_entries():
    live = {
        Address("group", "admins"): GroupSpec(),
        ANNA: UserSpec(groups=("admins",), keys=""),
        Address("acl", "/|group:admins|PVEAdmin"): AclSpec(propagate=False),
    }
    moved = Moved(Address("group", "admins"), OPS, HERE)
    additive = Policy(manage={"acl": Manage(mode=Mode.ADDITIVE)})
    desired = declare(objects={OPS: GroupSpec()}, moved=(moved,), policy=additive)
    assert planned(desired, live) == {
        "acl./|group:admins|PVEAdmin": (Action.DELETE, Cause.MOVED),
        "acl./|group:ops|PVEAdmin": (Action.CREATE, Cause.MOVED),
        "group.admins": (Action.DELETE, Cause.MOVED),
        "group.ops": (Action.CREATE, Cause.MISSING),
        "user.anna@pve": (Action.UPDATE, Cause.MOVED),
    }
    assert planned(desired, {OPS: GroupSpec()}) == {}


def test_nothing_follows_a_moved_group_that_the_next_plan_would_delete():
    live = {
        Address("group", "admins"): GroupSpec(),
        Address("acl", "/|group:admins|PVEAdmin"): AclSpec(),
    }
    moved = Moved(Address("group", "admins"), OPS, HERE)
    desired = declare(objects={OPS: GroupSpec()}, moved=(moved,))
    after = apply_changes(live, diff(desired, live, now=NOW).changes)
    assert planned(desired, after) == {}


def test_grants_on_a_moved_pool_keep_their_principals():
    live = {
        Address("pool", "dev"): PoolSpec(),
        Address("acl", "/pool/dev|group:ops|PVEVMAdmin"): AclSpec(),
        OPS: GroupSpec(),
    }
    moved = Moved(Address("pool", "dev"), Address("pool", "prod"), HERE)
    desired = declare(objects={Address("pool", "prod"): PoolSpec()}, moved=(moved,))
    changes = planned(desired, live)
    assert changes["acl./pool/prod|group:ops|PVEVMAdmin"] == (Action.CREATE, Cause.MOVED)
    assert "acl./pool/dev|group:prod|PVEVMAdmin" not in changes


def test_a_moved_realm_does_not_rename_a_group_of_the_same_name():
    user = Address("user", "anna@ops")
    live = {Address("realm", "ops"): RealmSpec(type="ldap"), user: UserSpec(groups=("ops",))}
    new = Address("realm", "corp")
    moved = Moved(Address("realm", "ops"), new, HERE)
    desired = declare(objects={new: RealmSpec(type="ldap")}, moved=(moved,))
    assert str(user) not in planned(desired, live)


def test_a_user_whose_name_holds_a_bar_can_have_grants():
    odd = Address("user", "a|b@pve")
    live = {odd: UserSpec(keys=""), Address("acl", "/vms/100|user:a|b@pve|PVEVMUser"): AclSpec()}
    assert planned(declare(removed={odd: HERE}), live) == {
        "acl./vms/100|user:a|b@pve|PVEVMUser": (Action.DELETE, Cause.DEPENDENT),
        "user.a|b@pve": (Action.DELETE, Cause.REMOVED),
    }


def test_the_token_of_a_user_whose_name_holds_an_exclamation_mark_is_his():
    live = {
        Address("user", "a!b@pve"): UserSpec(keys=""),
        Address("token", "a!b@pve!ci"): TokenSpec(),
    }
    assert planned(declare(removed={Address("user", "a!b@pve"): HERE}), live) == {
        "token.a!b@pve!ci": (Action.DELETE, Cause.DEPENDENT),
        "user.a!b@pve": (Action.DELETE, Cause.REMOVED),
    }


def test_deleting_thousands_of_objects_looks_at_each_a_few_times(monkeypatch):
    users = [Address("user", f"u{i}@pve") for i in range(300)]
    live: dict[Address, Spec] = {user: UserSpec(keys="") for user in users}
    live |= {
        Address("acl", f"/vms/{n}|user:u{n % 300}@pve|PVEVMUser"): AclSpec() for n in range(900)
    }
    all_of_them = Policy(manage={k: Manage(mode=Mode.AUTHORITATIVE) for k in ("user", "acl")})
    looked = []

    def counting(address, spec):
        looked.append(address)
        return list(references(address, spec))

    monkeypatch.setattr("reconciler.planning.changes.diff.references", counting)
    changes = diff(declare(policy=all_of_them), live, now=NOW).changes
    assert len(narrow(changes, ["user.*"], live)) == len(live)
    assert len(looked) < 20 * len(live)


def test_a_target_brings_what_it_needs_and_nothing_else():
    entry = Address("acl", "/vms/100|user:anna@pve|Ops")
    desired = declare(
        objects={
            ANNA: UserSpec(groups=("ops",)),
            OPS: GroupSpec(),
            Address("role", "Ops"): RoleSpec(),
            entry: AclSpec(),
            Address("group", "unrelated"): GroupSpec(),
        }
    )
    changes = diff(desired, {}, now=NOW).changes
    assert [str(c.address) for c in narrow(changes, ["acl.*"], {})] == [
        "acl./vms/100|user:anna@pve|Ops",
        "group.ops",
        "role.Ops",
        "user.anna@pve",
    ]
