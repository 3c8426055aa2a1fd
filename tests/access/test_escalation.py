"""Ways to root are found with their proof, and walking them really ends at the top."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.access.contents import GROUP, TOKEN, USER, Principal
from reconciler.access.escalation.search import Escalation, escalations, opened
from reconciler.access.escalation.step import EscalationStep, Technique
from reconciler.access.evaluate import privileges
from reconciler.access.table import AccessTable
from reconciler.errors import RequestRefused
from reconciler.pve.release import NEWEST
from tests.support.pve import Pve

BUILT_IN_ROLES = NEWEST.roles
PRIVILEGES = NEWEST.privileges


def _people() -> AccessTable:
    table = AccessTable()
    for user in ("root@pam", "helpdesk@pve", "dev@pve", "chief@ldap"):
        table.users[user] = Principal()
    table.tokens["root@pam!auto"] = Principal()
    table.add_members("chief@ldap", ["admins"])
    table.add_entry("/", GROUP, "admins", "Administrator", propagate=True)
    return table


def _ways(table: AccessTable, who: str) -> list[list[tuple[str, str]]]:
    return [
        [(str(step.way), step.target) for step in one.steps]
        for one in escalations(table)
        if who in one.principals
    ]


def test_pve_user_admin_on_the_groups_is_one_step_from_root() -> None:
    """A holder made a token for root@pam on a running server, and granted itself everything."""
    table = _people()
    table.add_entry("/access/groups", USER, "helpdesk@pve", "PVEUserAdmin", propagate=True)
    assert _ways(table, "helpdesk@pve") == [[("MAKE_TOKEN", "root@pam")]]
    (way,) = [one for one in escalations(table) if "helpdesk@pve" in one.principals]
    (proof,) = way.steps[0].proof
    assert (proof.path, proof.principal, proof.role) == (
        "/access/groups",
        "helpdesk@pve",
        "PVEUserAdmin",
    )
    assert str(way.steps[0]) == (
        "helpdesk@pve holds User.Modify on /access/groups and creates a token of root@pam "
        "without privilege separation"
    )


@pytest.mark.parametrize(
    ("path", "role", "expected"),
    [
        ("/", "PVEAdmin", [[("MAKE_TOKEN", "root@pam")]]),
        ("/access", "PVEUserAdmin", [[("MAKE_TOKEN", "root@pam")]]),
        ("/access/groups/admins", "PVEUserAdmin", [[("MAKE_TOKEN", "chief@ldap")]]),
        ("/access/groups/others", "PVEUserAdmin", []),
        ("/", "PVEVMAdmin", []),
        ("/", "PVEAuditor", []),
        ("/vms", "Administrator", []),
        ("/", "Administrator", [[]]),
        (
            "/access",
            "Administrator",
            [[("MAKE_TOKEN", "root@pam")], [("TAKE_REALM", "chief@ldap")]],
        ),
        ("/nodes", "PVESysAdmin", [[("NODE", "/nodes")]]),
    ],
)
def test_built_in_roles(path: str, role: str, expected: list[list[tuple[str, str]]]) -> None:
    table = _people()
    table.groups["others"] = {"dev@pve"}
    table.add_entry(path, USER, "helpdesk@pve", role, propagate=True)
    assert _ways(table, "helpdesk@pve") == expected


def test_who_may_edit_roles_raises_the_one_it_holds() -> None:
    table = _people()
    table.roles["Librarian"] = frozenset({"Sys.Modify"})
    table.add_entry("/access", USER, "dev@pve", "Librarian", propagate=True)
    assert _ways(table, "dev@pve") == [[("EDIT_ROLE", "Librarian"), ("MAKE_TOKEN", "root@pam")]]


def test_permissions_modify_on_everything_is_one_grant_away() -> None:
    table = _people()
    table.roles["Granter"] = frozenset({"Permissions.Modify"})
    table.add_entry("/", USER, "dev@pve", "Granter", propagate=False)
    assert _ways(table, "dev@pve") == [[("GRANT", "/")]]


def test_a_way_may_lead_through_several_people() -> None:
    """The helpdesk becomes a developer, who edits the role that the helpdesk holds on top."""
    table = _people()
    table.add_members("dev@pve", ["devs"])
    table.roles["Librarian"] = frozenset({"Sys.Modify"})
    table.roles["Desk"] = frozenset({"VM.Audit"})
    table.add_entry("/access/groups/devs", USER, "helpdesk@pve", "PVEUserAdmin", propagate=True)
    table.add_entry("/", USER, "helpdesk@pve", "Desk", propagate=False)
    table.add_entry("/access", USER, "dev@pve", "Librarian", propagate=False)
    assert _ways(table, "helpdesk@pve") == [[("MAKE_TOKEN", "dev@pve"), ("EDIT_ROLE", "Desk")]]
    assert _ways(table, "dev@pve") == [
        [("EDIT_ROLE", "Librarian"), ("GRANT", "/access"), ("MAKE_TOKEN", "root@pam")]
    ]


def test_an_empty_group_of_administrators_is_open_to_who_may_fill_it() -> None:
    table = _people()
    table.groups["spare"] = set()
    table.add_entry("/", GROUP, "spare", "Administrator", propagate=True)
    table.add_entry("/access/groups/spare", USER, "dev@pve", "PVEUserAdmin", propagate=True)
    table.add_entry("/access/realm", USER, "dev@pve", "PVEUserAdmin", propagate=True)
    assert _ways(table, "dev@pve") == [[("JOIN_GROUP", "spare")]]


def _desk(*groups: str, realm: str = "") -> AccessTable:
    """The helpdesk may look after these groups, and make users in that realm."""
    table = _people()
    for group in groups:
        table.groups.setdefault(group, set())
        path = f"/access/groups/{group}"
        table.add_entry(path, USER, "helpdesk@pve", "PVEUserAdmin", propagate=True)
    if realm:
        path = f"/access/realm/{realm}"
        table.add_entry(path, USER, "helpdesk@pve", "PVEUserAdmin", propagate=True)
    return table


def test_a_group_that_has_members_can_be_joined_too() -> None:
    """Its only member has an entry that hides the group's."""
    table = _desk("admins", realm="pve")
    table.groups["admins"] = {"dev@pve"}
    table.add_entry("/", USER, "dev@pve", "PVEAuditor", propagate=True)
    assert _ways(table, "helpdesk@pve") == [[("JOIN_GROUP", "admins")]]


@pytest.mark.parametrize("realm", ["ldap", "nowhere"])
def test_a_user_of_any_realm_serves(realm: str) -> None:
    table = _desk("admins", realm=realm)
    table.groups["admins"].clear()
    assert _ways(table, "helpdesk@pve") == [[("JOIN_GROUP", "admins")]]


def test_a_name_that_is_granted_something_can_be_made() -> None:
    table = _desk("staff", realm="pve")
    table.add_entry("/", USER, "ghost@pve", "Administrator", propagate=True)
    assert _ways(table, "helpdesk@pve") == [[("MAKE_USER", "ghost@pve")]]
    assert _ways(_desk("staff", realm="ldap"), "helpdesk@pve") == []


def test_a_member_that_does_not_exist_can_be_put_nowhere() -> None:
    table = _desk("admins", "staff")
    table.groups |= {"admins": set(), "staff": {"gone@pve"}}
    assert _ways(table, "helpdesk@pve") == []
    table.groups["staff"].add("dev@pve")
    assert _ways(table, "helpdesk@pve") == [[("JOIN_GROUP", "admins")]]


def test_tokens_count_with_and_without_separation() -> None:
    table = _people()
    table.tokens["chief@ldap!all"] = Principal(privsep=False)
    table.tokens["chief@ldap!some"] = Principal()
    assert _ways(table, "chief@ldap!all") == [[]]
    assert _ways(table, "chief@ldap!some") == []
    assert _ways(table, "root@pam!auto") == []
    table.add_entry("/", TOKEN, "root@pam!auto", "PVEAdmin", propagate=True)
    assert _ways(table, "root@pam!auto") == [[("MAKE_TOKEN", "root@pam")]]


def test_a_disabled_user_counts_since_that_is_easily_undone() -> None:
    table = _people()
    table.users["chief@ldap"] = Principal(enabled=False)
    assert _ways(table, "chief@ldap") == [[]]


def test_a_plan_opens_a_way_only_for_those_who_had_none() -> None:
    before = _people()
    after = before.copy()
    after.add_members("dev@pve", ["admins"])
    after.add_entry("/access/groups", USER, "helpdesk@pve", "PVEUserAdmin", propagate=True)
    after.add_entry("/access", USER, "chief@ldap", "PVEUserAdmin", propagate=True)
    assert [(one.principals, len(one.steps)) for one in opened(before, after)] == [
        (("dev@pve",), 0),
        (("helpdesk@pve",), 1),
    ]
    assert opened(before, before.copy()) == ()
    assert opened(after, before) == ()


_ROLES = {
    "Granter": frozenset({"Permissions.Modify"}),
    "Librarian": frozenset({"Sys.Modify"}),
    "Registrar": frozenset({"User.Modify", "Realm.AllocateUser"}),
    "Keeper": frozenset({"User.Modify"}),
    "Reader": frozenset({"VM.Audit"}),
}
GHOST = "gus@pve"
_entries = st.dictionaries(
    st.tuples(
        st.sampled_from(
            (
                "/",
                "/access",
                "/access/groups",
                "/access/groups/ops",
                "/access/groups/void",
                "/access/realm",
                "/access/realm/ldap",
                "/access/groups/devs",
            )
        ),
        st.one_of(
            st.tuples(st.just(USER), st.sampled_from(("ann@pve", "bob@pve", "cid@pve", GHOST))),
            st.tuples(st.just(GROUP), st.sampled_from(("ops", "devs", "void"))),
            st.tuples(st.just(TOKEN), st.sampled_from(("ann@pve!ci", "bob@pve!full"))),
        ),
        st.sampled_from((*_ROLES, "Reader", "NoAccess", "Administrator")),
    ),
    st.booleans(),
    max_size=7,
)


@st.composite
def _offices(draw: st.DrawFn) -> AccessTable:
    table = AccessTable()
    table.roles.update(_ROLES)
    for user in ("root@pam", "ann@pve", "bob@pve", "cid@pve"):
        table.users[user] = Principal()
    table.tokens = {"ann@pve!ci": Principal(), "bob@pve!full": Principal(privsep=False)}
    table.groups = {"ops": set(), "devs": set(), "void": set()}
    for user in ("ann@pve", "bob@pve", "cid@pve", GHOST):
        table.add_members(user, sorted(draw(st.sets(st.sampled_from(("ops", "devs"))))))
    for (path, (kind, who), role), propagate in draw(_entries).items():
        table.add_entry(path, kind, who, role, propagate=propagate)
    return table


def _user_cfg(table: AccessTable) -> str:
    lines = [f"user:{user}:1:0::::::" for user in sorted(table.users)]
    lines += [f"token:{t}:0:{int(login.privsep)}::" for t, login in sorted(table.tokens.items())]
    lines += [f"group:{g}:{','.join(sorted(users))}::" for g, users in sorted(table.groups.items())]
    lines += [
        f"role:{role}:{','.join(sorted(held))}:"
        for role, held in sorted(table.roles.items())
        if role not in BUILT_IN_ROLES
    ]
    for path, kinds in sorted(table.acl.items()):
        for kind, holders in sorted(kinds.items()):
            for who, roles in sorted(holders.items()):
                name = f"@{who}" if kind == GROUP else who
                lines += [
                    f"acl:{int(flag)}:{path}:{name}:{role}:" for role, flag in sorted(roles.items())
                ]
    return "\n".join(lines) + "\n"


class _Walker:
    """Takes the steps of an escalation on the embedded Proxmox VE, always as somebody reached."""

    def __init__(self, pve: Pve, start: str) -> None:
        self._pve = pve
        self._acting = {start: start}

    def walk(self, move: EscalationStep) -> None:
        actor = self._acting[move.actor]
        if move.way is Technique.MAKE_TOKEN:
            name = f"walk{len(self._acting)}"
            self._pve.post(f"/access/users/{move.target}/token/{name}", actor, privsep=0)
            self._acting[move.target] = f"{move.target}!{name}"
        elif move.way is Technique.EDIT_ROLE:
            privs = ",".join(sorted(PRIVILEGES))
            self._pve.put(f"/access/roles/{move.target}", actor, privs=privs)
        elif move.way is Technique.GRANT:
            user, mark, _ = move.actor.partition("!")
            who = {"users": user, "tokens": move.actor} if mark else {"users": user}
            grant = {"path": move.target, "roles": "Administrator", "propagate": 1}
            self._pve.put("/access/acl", actor, **grant, **who)
        else:
            user, group = move.through, move.target
            if move.way is Technique.MAKE_USER:
                user, group = group, user
            self._join(actor, user, group)

    def _join(self, actor: str, user: str, group: str) -> None:
        """A user that is there is put into the group, another one is made in it."""
        there = {row["userid"] for row in self._pve.get("/access/users")}
        if user in there:
            self._pve.put(f"/access/users/{user}", actor, groups=group, append=1)
        else:
            self._pve.post("/access/users", actor, userid=user, groups=group)
        self._acting[user] = user

    @property
    def is_root(self) -> bool:
        return any(
            self._pve.get("/access/permissions", actor, path="/").get("/", {}).keys() >= PRIVILEGES
            for actor in self._acting.values()
        )


def _arrives(table: AccessTable, way: Escalation, who: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        pve = Pve(Path(folder))
        (pve.folder / "user.cfg").write_text(_user_cfg(table))
        walker = _Walker(pve, who)
        for move in way.steps:
            walker.walk(move)
        return walker.is_root


@settings(max_examples=40)
@given(_offices())
def test_walking_the_steps_on_the_embedded_pve_ends_at_the_top(table: AccessTable) -> None:
    for way in escalations(table):
        assert all(step.proof for step in way.steps if step.actor in way.principals)
        if way.sure:
            assert _arrives(table, way, way.principals[0]), [str(step) for step in way.steps]
        else:
            assert [step.privilege for step in way.steps] == ["Sys.Modify"]


@settings(max_examples=40)
@given(_offices())
def test_no_step_of_a_way_can_be_left_out(table: AccessTable) -> None:
    for way in escalations(table):
        if not way.steps:
            assert privileges(table, way.principals[0], "/").keys() >= PRIVILEGES
        for step in way.steps[1:]:
            rest = Escalation(way.principals, tuple(one for one in way.steps if one is not step))
            with pytest.raises((AssertionError, KeyError, RequestRefused)):
                assert _arrives(table, rest, way.principals[0])


_GRANT_PATHS = ("/", "/access", "/access/groups", "/access/groups/ops", "/access/groups/devs")


def _tries_everything(pve: Pve, start: str) -> bool:
    """Whether somebody gets to the top by trying every request that could help, again and again."""
    acting, done = [start], set()
    for _ in range(4):
        for actor in tuple(acting):
            for user in ("root@pam", "ann@pve", "bob@pve", "cid@pve", GHOST):
                name = f"brute{len(acting)}"
                if ("token", user) not in done and _tried(
                    pve, "POST", f"/access/users/{user}/token/{name}", actor, privsep=0
                ):
                    done.add(("token", user))
                    acting.append(f"{user}!{name}")
            for role in _ROLES:
                _tried(pve, "PUT", f"/access/roles/{role}", actor, privs=",".join(PRIVILEGES))
            for path in _GRANT_PATHS:
                user, mark, _ = actor.partition("!")
                who = {"users": user, **({"tokens": actor} if mark else {})}
                _tried(pve, "PUT", "/access/acl", actor, path=path, roles="Administrator", **who)
            acting += [
                user
                for group in ("void", "ops", "devs")
                for user in (f"{group}@pve", f"{group}@ldap", GHOST)
                if _tried(pve, "POST", "/access/users", actor, userid=user, groups=group)
            ]
            for user in ("ann@pve", "bob@pve", "cid@pve"):
                for group in ("void", "ops", "devs"):
                    _tried(pve, "PUT", f"/access/users/{user}", actor, groups=group, append=1)
            if pve.get("/access/permissions", actor, path="/").get("/", {}).keys() >= PRIVILEGES:
                return True
    return False


def _tried(pve: Pve, method: str, target: str, actor: str, /, **params: object) -> bool:
    try:
        pve.call(method, target, actor, **params)
    except RequestRefused:
        return False
    return True


@settings(max_examples=30)
@given(_offices(), st.sampled_from(("ann@pve", "bob@pve", "ann@pve!ci")))
def test_who_has_no_way_does_not_get_there_by_trying_everything(
    table: AccessTable, who: str
) -> None:
    if any(way.sure and who in way.principals for way in escalations(table)):
        return
    with tempfile.TemporaryDirectory() as folder:
        pve = Pve(Path(folder))
        (pve.folder / "user.cfg").write_text(_user_cfg(table))
        assert not _tries_everything(pve, who)
