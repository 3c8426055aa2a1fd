"""Privilege tests beside the state: what fails, for whom, where, and because of which entry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.access.analysis.equivalence import held
from reconciler.access.contents import GROUP, TOKEN, USER, PoolMembers, Principal
from reconciler.access.expectations.check import BrokenPart, check
from reconciler.access.login import Login
from reconciler.access.table import AccessTable
from reconciler.model.declared import Expectation
from reconciler.model.finding import Source
from reconciler.planning.checks.expectations import expectations
from tests.support.random_tables import PATHS, PRIVILEGES, TOKENS, USERS, tables


def _expect(
    who: list[str],
    paths: list[str],
    can: tuple[str, ...] = (),
    cannot: tuple[str, ...] = (),
    but: tuple[str, ...] = (),
) -> Expectation:
    return Expectation(tuple(who), tuple(paths), can, cannot, but, Source("a.toml", 3))


def _demo(*, pair: bool) -> AccessTable:
    """A guest's controller with a separated token."""
    table = AccessTable(users={"ctl@pve": Principal()}, tokens={"ctl@pve!ctl": Principal()})
    table.roles["SelfBackup"] = frozenset({"VM.Audit", "VM.Backup", "VM.Snapshot"})
    table.add_entry("/vms/9001", TOKEN, "ctl@pve!ctl", "SelfBackup", propagate=True)
    if pair:
        table.add_entry("/vms/9001", USER, "ctl@pve", "SelfBackup", propagate=True)
    return table


def test_a_pair_meets_its_expectation_and_half_a_pair_says_what_is_missing() -> None:
    wanted = _expect(["ctl@pve!ctl"], ["/vms/9001"], ("VM.Backup",), ("VM.PowerMgmt",))
    assert check(_demo(pair=True), [wanted]) == ()
    (failure,) = check(_demo(pair=False), [wanted])
    assert (failure.broken, failure.privilege) == (BrokenPart.CANNOT, "VM.Backup")
    (finding,) = expectations(_demo(pair=False), [wanted])
    assert finding.message == (
        "expectation: ctl@pve!ctl cannot VM.Backup on /vms/9001, but should be able to"
    )
    assert "pveum acl modify /vms/9001 --roles SelfBackup --users ctl@pve" in finding.hint


def test_nobody_but_root_and_break_glass_may_modify_permissions() -> None:
    table = _demo(pair=True)
    table.users["chief@pve"] = Principal()
    table.add_members("chief@pve", ["admins"])
    table.add_entry("/", GROUP, "admins", "Administrator", propagate=True)
    wanted = _expect(["*"], ["/"], cannot=("Permissions.Modify",), but=("root@pam",))
    (failure,) = check(table, [wanted])
    assert (failure.principals, failure.paths) == (("chief@pve",), ("/",))
    assert [(entry.path, entry.principal) for entry in failure.entries] == [("/", "admins")]
    (finding,) = expectations(table, [wanted])
    assert finding.hint == "given by Administrator for group admins on /"
    exempt = wanted._replace(but=("root@pam", "group:admins"))
    assert check(table, [exempt]) == ()


def test_a_glob_that_forbids_covers_guests_that_nobody_has_named_yet() -> None:
    table = _demo(pair=True)
    table.add_entry("/vms", USER, "ctl@pve", "SelfBackup", propagate=True)
    table.add_entry("/vms/9001", USER, "ctl@pve", "NoAccess", propagate=True)
    wanted = _expect(["ctl@pve"], ["/vms/*"], cannot=("VM.Backup",))
    (failure,) = check(table, [wanted])
    assert failure.paths == ("/vms/-",)
    (finding,) = expectations(table, [wanted])
    assert "on anything else below /vms" in finding.message
    assert check(table, [_expect(["ctl@pve"], ["/vms/9*"], cannot=("VM.Backup",))]) == ()


def test_members_of_a_group_are_asked_for_by_the_group() -> None:
    table = _demo(pair=True)
    table.users["new@pve"] = Principal(enabled=False)
    table.add_members("ctl@pve", ["ops"])
    table.add_members("new@pve", ["ops"])
    wanted = _expect(["group:ops"], ["/vms/9001"], ("VM.Audit",))
    (failure,) = check(table, [wanted])
    assert (failure.principals, failure.login) == (("new@pve",), Login.DISABLED)


def test_a_name_that_matches_nobody_fails_so_that_typos_are_found() -> None:
    wanted = _expect(["clt@pve", "group:opps", "*@ldap"], ["/"], cannot=("Sys.Modify",))
    failures = check(_demo(pair=True), [wanted])
    assert [(one.broken, one.principals) for one in failures] == [
        (BrokenPart.UNKNOWN, ("clt@pve",)),
        (BrokenPart.UNKNOWN, ("group:opps",)),
    ]


def test_files_alone_only_tell_what_is_given() -> None:
    wanted = [
        _expect(["ctl@pve!ctl"], ["/vms/9001"], ("VM.Clone",)),
        _expect(["nobody@pve"], ["/"], ("VM.Clone",)),
        _expect(["ctl@pve"], ["/vms/9001"], cannot=("VM.Backup",)),
    ]
    found = list(expectations(_demo(pair=True), wanted, complete=False))
    assert [finding.message for finding in found] == [
        "expectation: ctl@pve can VM.Backup on /vms/9001, but should not be able to"
    ]


@given(tables(), st.sampled_from(PRIVILEGES), st.sampled_from(("/vms/*", "*", "/pool/dev")))
def test_failures_are_those_that_asking_one_by_one_finds(
    table: AccessTable, privilege: str, glob: str
) -> None:
    table.pools["prod"] = PoolMembers(frozenset({101}), frozenset())
    paths = [p for p in PATHS if p == glob or (glob != "/pool/dev" and p.startswith(glob[:-1]))]
    everybody = [who for who in (*USERS, *TOKENS) if who in table.users or who in table.tokens]
    for can in (True, False):
        wanted = _expect(["*"], [glob], *(((privilege,), ()) if can else ((), (privilege,))))
        found = {
            (who, path)
            for failure in check(table, [wanted], PATHS, now=100)
            for who in failure.principals
            for path in failure.paths
        }
        expected = {
            (who, path)
            for who in everybody
            for path in paths
            if (privilege in held(table, who, path, 100)) != can
        }
        assert {spot for spot in found if spot[1] in paths and spot[0] in everybody} == expected
