"""What a change does to access is told completely, exactly and in few words."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from reconciler.access.analysis.equivalence import held
from reconciler.access.analysis.impact import Impact, impact
from reconciler.access.analysis.path_groups import PathGroups
from reconciler.access.analysis.summary import summarise
from reconciler.access.analysis.unexpected import UnexpectedCause
from reconciler.access.contents import GROUP, TOKEN, USER, PoolMembers, Principal
from reconciler.access.path_index import PathIndex
from reconciler.access.table import AccessTable
from reconciler.model.plan import Access
from reconciler.model.spec import canonical
from reconciler.planning.findings.access_summary import ROOM, access
from tests.support.random_tables import PATHS, TOKENS, USERS, tables

_MANY = (
    *("/", "/access", "/access/groups", "/access/groups/ops", "/nodes", "/pool", "/pool/dev"),
    *("/storage", "/vms"),
    *(f"/storage/s{n}" for n in range(6)),
    *(f"/vms/{n}" for n in range(100, 120)),
)
_EVERYONE = (*USERS, *TOKENS, "ghost@pve", "ann@pve!none")


def _team() -> AccessTable:
    """Three operators with two tokens, a pool of three guests, an auditor."""
    table = AccessTable()
    for user in ("ann@pve", "bob@pve", "cid@pve", "eve@pve"):
        table.users[user] = Principal()
    for user in ("ann@pve", "bob@pve", "cid@pve"):
        table.add_members(user, ["VM-Operators"])
    table.tokens["ann@pve!full"] = Principal(privsep=False)
    table.tokens["bob@pve!full"] = Principal(privsep=False)
    table.roles["Snap"] = frozenset({"VM.Snapshot"})
    table.pools["Dev"] = PoolMembers(frozenset({100, 101, 102}))
    table.add_entry("/vms", USER, "eve@pve", "PVEAuditor", propagate=True)
    return table


def _surprises(found: Impact) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(surprise.code), surprise.principals) for surprise in found.surprises]


@given(tables(), tables(), st.sampled_from((0, 100)))
def test_impact_is_what_asking_for_everybody_everywhere_gives(
    before: AccessTable, after: AccessTable, now: int
) -> None:
    found = impact(before, after, (*PATHS, "/vms/102"), now)
    for who in _EVERYONE:
        changes = found.of(who)
        for path in (*PATHS, "/vms/102"):
            old = held(before, who, path, now).keys()
            new = held(after, who, path, now).keys()
            gained, lost = changes.get(path, ((), ()))
            assert (set(gained), set(lost)) == (new - old, old - new), (who, path)


@given(tables())
def test_nothing_changes_where_nothing_differs(table: AccessTable) -> None:
    assert impact(table, table.copy()).to_json() == {"effects": [], "logins": [], "surprises": []}


@given(tables(), tables())
def test_the_rollback_has_the_opposite_effect(before: AccessTable, after: AccessTable) -> None:
    back, there = impact(before, after).inverse(), impact(after, before)
    assert {"effects", "logins"} <= back.to_json().keys()
    assert (back.effects, back.logins, back.delta) == (there.effects, there.logins, there.delta)
    assert [str(line) for line in summarise(back, before)] == [
        str(x) for x in summarise(there, before)
    ]


@given(tables(), tables())
def test_every_concerned_principal_and_path_is_in_the_folded_lines(
    before: AccessTable, after: AccessTable
) -> None:
    found = impact(before, after)
    out = {who for change in found.logins if change.after != "active" for who in change.principals}
    lines = summarise(found, after)
    told = {who for line in lines for crowd in line.who for who in (*crowd.users, *crowd.tokens)}
    assert told == {who for effect in found.effects for who in effect.principals} - out
    for line in lines:
        assert str(line)


def test_a_grant_to_a_group_on_a_pool_is_one_line() -> None:
    before = _team()
    after = before.copy()
    after.add_entry("/pool/Dev", GROUP, "VM-Operators", "Snap", propagate=False)
    found = impact(before, after)
    assert [str(line) for line in summarise(found, after)] == [
        "VM-Operators (3 users, 2 tokens) gain VM.Snapshot on pool Dev and its 3 guests"
    ]
    assert [line.mark for line in summarise(found, after)] == ["+"]


def test_a_group_is_named_only_for_what_it_brings_itself() -> None:
    before = _team()
    before.groups["Night"] = {"eve@pve"}
    before.add_members("eve@pve", ["Day"])
    after = before.copy()
    after.add_entry("/storage/local", GROUP, "Night", "PVEAuditor", propagate=False)
    after.add_entry("/storage/nas", GROUP, "Day", "PVEDatastoreUser", propagate=False)
    lines = [str(line) for line in summarise(impact(before, after), after)]
    assert lines[0].startswith("Day (1 user) gains Datastore.AllocateSpace and Datastore.Audit on")
    assert [line.split(" gain")[0] for line in lines] == ["Day (1 user)", "Night (1 user)"]


def test_a_group_of_one_gains_in_the_singular() -> None:
    before = _team()
    before.groups["Night"] = {"eve@pve"}
    after = before.copy()
    after.add_entry("/vms/100", GROUP, "Night", "Snap", propagate=False)
    (line,) = summarise(impact(before, after), after)
    assert str(line).startswith("Night (1 user) gains VM.Snapshot and loses ")
    assert line.in_past().startswith("Night (1 user) has gained VM.Snapshot and has lost ")


def test_a_grant_on_everything_names_only_the_exceptions() -> None:
    before = _team()
    before.add_entry("/vms/101", USER, "eve@pve", "NoAccess", propagate=True)
    after = before.copy()
    after.acl["/vms"][USER]["eve@pve"] = {"PVEVMUser": True}
    lines = [str(line) for line in summarise(impact(before, after), after)]
    assert len(lines) == 1
    assert lines[0].startswith("eve@pve gains VM.Backup, VM.Config.CDROM, VM.Config.Cloudinit")
    assert lines[0].endswith("on /vms, /vms/100 and /vms/102")
    guests = [f"/vms/{guest}" for guest in range(200, 220)]
    lines = [str(line) for line in summarise(impact(before, after, guests), after)]
    assert lines[0].endswith("on /vms and all below except /vms/101")


def test_access_lost_by_an_addition_is_a_surprise_that_names_the_entry() -> None:
    before = _team()
    after = before.copy()
    after.add_entry("/vms/100", USER, "eve@pve", "Snap", propagate=True)
    surprise = impact(before, after).surprises[0]
    assert surprise.code is UnexpectedCause.LOST_BY_ADDITION
    assert (surprise.principals, surprise.paths) == (("eve@pve",), ("/vms/100",))
    assert [(e.path, e.role) for e in surprise.entries] == [("/vms/100", "Snap")]
    assert "VM.Audit" in surprise.privileges


def test_joining_a_group_that_is_denied_something_is_access_lost_by_an_addition() -> None:
    before = _team()
    before.add_entry("/vms/101", GROUP, "VM-Operators", "NoAccess", propagate=True)
    after = before.copy()
    after.add_members("eve@pve", ["VM-Operators"])
    codes = _surprises(impact(before, after))
    assert codes == [("LOST_BY_ADDITION", ("eve@pve",))]


def test_a_removed_entry_is_not_a_surprise() -> None:
    after = _team()
    before = after.copy()
    before.add_entry("/storage", USER, "eve@pve", "PVEDatastoreUser", propagate=True)
    assert not impact(before, after).surprises


def test_a_token_granted_without_its_user_ends_with_nothing() -> None:
    before = _team()
    before.tokens["eve@pve!ctl"] = Principal()
    after = before.copy()
    after.add_entry("/storage", TOKEN, "eve@pve!ctl", "PVEDatastoreUser", propagate=True)
    found = impact(before, after)
    assert not found.effects
    assert _surprises(found) == [("TOKEN_WITH_NOTHING", ("eve@pve!ctl",))]
    assert "its user holds none" in found.surprises[0].why


def test_a_change_of_a_user_that_reaches_its_tokens_says_so() -> None:
    before = _team()
    after = before.copy()
    after.add_entry("/storage", USER, "ann@pve", "PVEDatastoreUser", propagate=True)
    assert _surprises(impact(before, after)) == [("REACHES_MORE", ("ann@pve!full",))]


def test_a_changed_role_says_whom_it_reaches() -> None:
    before = _team()
    before.add_entry("/vms", GROUP, "VM-Operators", "Snap", propagate=True)
    after = before.copy()
    after.roles["Snap"] = frozenset({"VM.Snapshot", "VM.Snapshot.Rollback"})
    (surprise,) = impact(before, after).surprises
    assert surprise.code is UnexpectedCause.REACHES_MORE
    assert len(surprise.principals) == 5
    assert surprise.why == "holders of role Snap"


def test_a_new_user_that_finds_grants_waiting_is_a_surprise() -> None:
    before = _team()
    before.add_entry("/vms", USER, "new@pve", "PVEVMAdmin", propagate=True)
    after = before.copy()
    after.users["new@pve"] = Principal()
    assert _surprises(impact(before, after)) == [("OLD_GRANTS", ("new@pve",))]


def test_a_disabled_user_loses_everything_and_it_is_reported_once() -> None:
    before = _team()
    after = before.copy()
    after.users["eve@pve"] = Principal(enabled=False)
    found = impact(before, after)
    assert [(change.principals, str(change.after)) for change in found.logins] == [
        (("eve@pve",), "disabled")
    ]
    assert all("eve@pve" in effect.principals and effect.lost for effect in found.effects)
    assert not summarise(found, after)


@given(st.sets(st.sampled_from(_MANY)), st.sets(st.sampled_from(_MANY[9:]), max_size=6))
def test_areas_are_exactly_the_paths_that_they_stand_for(paths: set[str], pool: set[str]) -> None:
    members = {"/pool/dev": sorted(pool)}
    found = PathGroups(PathIndex(_MANY), members).of(sorted(paths))
    told: list[str] = []
    for area in found:
        if area.pool:
            told += [path for path in sorted(pool) if path.startswith("/vms/") and area.guests]
            told += [path for path in sorted(pool) if path.startswith("/sto") and area.storages]
            told += [area.path] if area.path else []
        else:
            below = [p for p in _MANY if area.below and p.startswith(f"{area.path.rstrip('/')}/")]
            told += [p for p in dict.fromkeys([area.path, *below]) if p not in area.but]
        assert str(area)
    assert sorted(told) == sorted(paths)


def test_what_a_plan_keeps_of_a_large_effect_is_small_and_counts_the_rest() -> None:
    before = AccessTable(users={f"u{n}@pve": Principal() for n in range(3000)})
    after = before.copy()
    for number in range(3000):
        for path in range(number % 7):
            at, who = f"/vms/{100 + number * 7 + path}", f"u{number}@pve"
            after.add_entry(at, USER, who, "PVEVMUser", propagate=True)
    found = impact(before, after)
    kept = access(found, after, 0)
    assert len(canonical(kept.to_json())) < 1.2 * ROOM
    assert len(kept.effects) + kept.more == len(summarise(found, after))
    assert Access.from_json(json.loads(canonical(kept.to_json()))) == kept
    mark, text = kept.lines[-1]
    assert not kept.more or (mark == "!" and text.startswith(f"and {kept.more:,} more"))
