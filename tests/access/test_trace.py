"""`decide` names the entries behind an answer, and why the others do not count."""

from __future__ import annotations

from reconciler.access.contents import GROUP, TOKEN, USER, PoolMembers, Principal
from reconciler.access.table import AccessTable
from reconciler.access.trace import Decision, EntryEffect, trace_decision


def _effects(decision: Decision, side: int = 0) -> list[tuple[str, str, EntryEffect, str]]:
    return [
        (one.entry.path, one.entry.role, one.effect, one.pool)
        for one in decision.sides[side].entries
    ]


def test_a_deeper_entry_shadows_what_is_inherited_and_a_user_beats_its_groups() -> None:
    table = AccessTable(users={"a@pve": Principal()})
    table.add_members("a@pve", ["ops"])
    table.add_entry("/", USER, "a@pve", "PVEAdmin", propagate=True)
    table.add_entry("/vms", USER, "a@pve", "PVEAuditor", propagate=False)
    table.add_entry("/vms/100", GROUP, "ops", "PVEVMAdmin", propagate=True)
    table.add_entry("/vms/100", USER, "a@pve", "PVEVMUser", propagate=True)
    decision = trace_decision(table, "a@pve", "/vms/100")
    assert _effects(decision) == [
        ("/", "PVEAdmin", EntryEffect.SHADOWED_DEEPER, ""),
        ("/vms", "PVEAuditor", EntryEffect.NOT_PROPAGATED, ""),
        ("/vms/100", "PVEVMUser", EntryEffect.DECIDES, ""),
        ("/vms/100", "PVEVMAdmin", EntryEffect.SHADOWED_USER, ""),
    ]
    assert "VM.Backup" in decision.privileges
    assert "VM.Allocate" not in decision.privileges


def test_no_access_cuts_roles_beside_it_and_those_from_pools() -> None:
    table = AccessTable(users={"a@pve": Principal()})
    table.pools["p"] = PoolMembers(frozenset({100}))
    table.add_entry("/pool/p", USER, "a@pve", "PVEVMUser", propagate=True)
    table.add_entry("/vms", USER, "a@pve", "NoAccess", propagate=True)
    table.add_entry("/vms", USER, "a@pve", "PVEAuditor", propagate=True)
    decision = trace_decision(table, "a@pve", "/vms/100")
    assert _effects(decision) == [
        ("/vms", "NoAccess", EntryEffect.DECIDES, ""),
        ("/vms", "PVEAuditor", EntryEffect.NO_ACCESS, ""),
        ("/pool/p", "PVEVMUser", EntryEffect.NO_ACCESS, "p"),
    ]
    assert not decision.privileges


def test_both_sides_of_a_separated_token_and_what_its_owner_lacks() -> None:
    table = AccessTable(users={"a@pve": Principal()}, tokens={"a@pve!ci": Principal()})
    table.add_entry("/vms", USER, "a@pve", "PVEAuditor", propagate=True)
    table.add_entry("/vms/100", TOKEN, "a@pve!ci", "PVEVMUser", propagate=True)
    decision = trace_decision(table, "a@pve!ci", "/vms/100")
    assert [side.principal for side in decision.sides] == ["a@pve!ci", "a@pve"]
    assert set(decision.privileges) == {"VM.Audit", "VM.GuestAgent.Audit"}
    assert "VM.Backup" in decision.lost


def test_nothing_to_explain_for_root_and_for_unknown_tokens() -> None:
    table = AccessTable(users={"root@pam": Principal()})
    assert trace_decision(table, "root@pam", "/").sides == ()
    assert trace_decision(table, "root@pam", "/").privileges
    assert trace_decision(table, "root@pam!none", "/") == Decision("root@pam!none", "/", {})
