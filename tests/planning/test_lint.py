"""Each lint rule objects to what it is for, and to nothing else; waivers hold until their date."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from reconciler.access.analysis.equivalence import held
from reconciler.access.contents import Principal
from reconciler.access.login import all_active
from reconciler.access.table import AccessTable
from reconciler.kinds import access_table, all_kinds
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.realm_sync import RealmSyncSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Waiver
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.secret import SecretSink
from reconciler.model.spec import Spec
from reconciler.planning.lint import RULES, LintContext, lint, waive
from tests.support.random_tables import PATHS, TOKENS, USERS, tables

NOW = 1_795_491_600
DAY = 86400


def _state(**objects: Spec) -> dict[Address, Spec]:
    return {Address.parse(name): spec for name, spec in objects.items()}


def _found(
    objects: dict[str, Spec], declared: Mapping[str, Declared] = {}, *, complete: bool = True
) -> list[tuple[str, str]]:
    """Code and address of every finding."""
    state = _state(**{"user.root@pam": UserSpec(), **objects})
    places = {Address.parse(name): one for name, one in declared.items()}
    scene = LintContext(state, access_table(state), places, now=NOW, complete=complete)
    return [(finding.code, str(finding.address)) for finding in lint(scene)]


def _grants(*entries: str, propagate: bool = True) -> dict[str, Spec]:
    return {f"acl.{entry}": AclSpec(propagate=propagate) for entry in entries}


def test_a_tidy_state_has_no_findings() -> None:
    role = RoleSpec(privileges=("VM.Audit", "VM.Backup", "VM.Snapshot"))
    notes = {"purpose": "backs up", "owner": "platform"}
    assert not _found(
        {
            "role.Backup": role,
            "group.ops": GroupSpec(),
            "user.ann@pve": UserSpec(groups=("ops",)),
            **_grants("/vms/100|group:ops|Backup"),
        },
        {"role.Backup": Declared(role, Source("a.toml"), notes)},
    )


CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "LINT_ADMIN_ON_TOP",
        {"user.ann@pve": UserSpec(), **_grants("/|user:ann@pve|Administrator")},
        ["acl./|user:ann@pve|Administrator"],
    ),
    (
        "LINT_DIRECT_GRANT",
        {
            "group.ops": GroupSpec(),
            "user.ann@pve": UserSpec(groups=("ops",)),
            **_grants("/vms/100|user:ann@pve|PVEVMUser"),
        },
        ["acl./vms/100|user:ann@pve|PVEVMUser"],
    ),
    (
        "LINT_WIDE_GRANT",
        {
            "group.ops": GroupSpec(),
            "user.ann@pve": UserSpec(groups=("ops",)),
            **_grants("/vms|group:ops|PVEVMAdmin", "/|group:ops|PVEAuditor"),
        },
        ["acl./vms|group:ops|PVEVMAdmin"],
    ),
    (
        "LINT_POOL_INSTEAD",
        {
            "user.ann@pve": UserSpec(),
            **_grants(*(f"/vms/{n}|user:ann@pve|PVEVMUser" for n in (100, 101, 102))),
        },
        ["acl./vms/100|user:ann@pve|PVEVMUser"],
    ),
    ("LINT_ORPHAN", _grants("/vms|user:gone@pve|PVEVMUser"), ["acl./vms|user:gone@pve|PVEVMUser"]),
    (
        "LINT_PRIVSEP_OFF",
        {"user.ann@pve": UserSpec(), "token.ann@pve!ci": TokenSpec(privsep=False, expires=NOW * 2)},
        ["token.ann@pve!ci"],
    ),
    (
        "LINT_TOKEN_NEVER_EXPIRES",
        {"user.ann@pve": UserSpec(), "token.ann@pve!ci": TokenSpec()},
        ["token.ann@pve!ci"],
    ),
    (
        "LINT_DEAD_TOKEN",
        {"user.ann@pve": UserSpec(enabled=False), "token.ann@pve!ci": TokenSpec(expires=NOW * 2)},
        ["token.ann@pve!ci"],
    ),
    (
        "LINT_LOGIN_ENDS",
        {
            "user.ann@pve": UserSpec(expires=NOW + 5 * DAY),
            "user.bob@pve": UserSpec(expires=NOW * 2),
        },
        ["user.ann@pve"],
    ),
    (
        "LINT_TWO_REALMS",
        {"user.ann@pve": UserSpec(), "user.ann@ldap": UserSpec()},
        ["user.ann@ldap"],
    ),
    ("LINT_EMPTY_GROUP", {"group.void": GroupSpec()}, ["group.void"]),
    (
        "LINT_USER_WITH_NOTHING",
        {
            "group.ops": GroupSpec(),
            "group.idle": GroupSpec(),
            "user.ann@pve": UserSpec(groups=("ops",)),
            "user.bob@pve": UserSpec(groups=("idle",)),
            "user.cat@pve": UserSpec(),
            "user.dan@pve": UserSpec(enabled=False),
            "user.eve@pve": UserSpec(),
            "token.eve@pve!ci": TokenSpec(expires=NOW * 2),
            "user.fay@corp": UserSpec(),
            "realm_sync.mornings": RealmSyncSpec(realm="corp", schedule="05:30", scope="both"),
            **_grants("/vms/100|group:ops|PVEVMUser", "/vms/100|user:cat@pve|PVEVMUser"),
            **_grants("/vms/100|token:eve@pve!ci|PVEVMUser"),
        },
        ["user.bob@pve"],
    ),
    (
        "LINT_TOKEN_OF_ROOT",
        {"token.root@pam!x1": TokenSpec(expires=NOW * 2)},
        ["token.root@pam!x1"],
    ),
    (
        "LINT_ROLE_COPY",
        {"role.Mine": RoleSpec(privileges=("Mapping.Audit", "Mapping.Modify", "Mapping.Use"))},
        ["role.Mine"],
    ),
    (
        "LINT_NO_EFFECT",
        {
            "group.ops": GroupSpec(),
            "user.ann@pve": UserSpec(groups=("ops",)),
            **_grants("/vms/100|group:ops|PVEVMAdmin", "/vms/100|user:ann@pve|PVEVMUser"),
        },
        ["acl./vms/100|group:ops|PVEVMAdmin"],
    ),
    (
        "LINT_REPEATS",
        {
            "group.ops": GroupSpec(),
            "user.ann@pve": UserSpec(groups=("ops",)),
            **_grants("/pool|group:ops|PVEPoolUser", "/pool/dev|group:ops|PVEPoolUser"),
        },
        ["acl./pool/dev|group:ops|PVEPoolUser"],
    ),
    (
        "LINT_NOACCESS_HIDES",
        {
            "group.ops": GroupSpec(),
            "user.ann@pve": UserSpec(groups=("ops",)),
            **_grants("/|group:ops|PVEAuditor", "/vms/100|group:ops|NoAccess"),
        },
        ["acl./vms/100|group:ops|NoAccess"],
    ),
    (
        "LINT_NOACCESS_IDLE",
        {
            "group.ops": GroupSpec(),
            "user.ann@pve": UserSpec(groups=("ops",)),
            **_grants("/vms/100|group:ops|NoAccess", "/vms/100|user:ann@pve|PVEVMUser"),
        },
        ["acl./vms/100|group:ops|NoAccess"],
    ),
    ("LINT_UNUSED_ROLE", {"role.Idle": RoleSpec(privileges=("VM.Audit",))}, ["role.Idle"]),
]


@pytest.mark.parametrize(("code", "objects", "addresses"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_finds_what_it_is_for(
    code: str, objects: dict[str, Spec], addresses: list[str]
) -> None:
    assert [address for found, address in _found(objects) if found == code] == addresses


def _said(
    objects: dict[str, Spec],
    code: str,
    paths: tuple[str, ...] = (),
    declared: Mapping[str, Declared] = {},
) -> list[tuple[str, str, str]]:
    """Address, message and hint of the findings of one code in a whole cluster."""
    state = _state(**{"user.root@pam": UserSpec(), **objects})
    places = {Address.parse(name): one for name, one in declared.items()}
    scene = LintContext(state, access_table(state), places, paths=paths, now=NOW, complete=True)
    return [(str(f.address), f.message, f.hint) for f in lint(scene) if f.code == code]


CI = {"user.ci@pve": UserSpec(), "token.ci@pve!tok": TokenSpec(expires=NOW * 2)}


def test_half_a_pair_is_not_reported_as_repeated_or_shadowed() -> None:
    """Nor is anybody advised to remove what only lacks its other half."""
    entries = _grants("/vms|token:ci@pve!tok|PVEVMUser", "/vms/100|token:ci@pve!tok|PVEVMUser")
    assert not _said({**CI, **entries}, "LINT_REPEATS")
    found = _said({**CI, **entries}, "LINT_NO_EFFECT")
    assert {hint for _, _, hint in found} == {
        "grant ci@pve PVEVMUser on /vms as well, or remove the entry",
        "grant ci@pve PVEVMUser on /vms/100 as well, or remove the entry",
    }
    whole = {**CI, **entries, **_grants("/vms|user:ci@pve|PVEVMUser")}
    assert not _said(whole, "LINT_NO_EFFECT")
    ((address, _, hint),) = _said(whole, "LINT_REPEATS")
    assert address == "acl./vms/100|token:ci@pve!tok|PVEVMUser"
    assert hint == "remove this entry, and keep the other"


def test_the_half_that_belongs_to_a_token_is_not_to_be_removed() -> None:
    half = "acl./vms/100|user:ci@pve|PVEVMUser"
    own = _grants(
        "/vms/100|token:ci@pve!tok|PVEVMUser",
        "/vms/100|user:ci@pve|PVEVMUser",
        "/vms|user:ci@pve|PVEVMUser",
    )
    assert [one[0] for one in _said({**CI, **own}, "LINT_REPEATS")] == [half]
    derived = {half: Declared(AclSpec(), Source("a.toml", 3), derived=True)}
    assert not _said({**CI, **own}, "LINT_REPEATS", declared=derived)


def test_of_two_that_repeat_each_other_one_stays() -> None:
    two = {
        "group.a": GroupSpec(),
        "group.b": GroupSpec(),
        "user.ann@pve": UserSpec(groups=("a", "b")),
        **_grants("/vms/100|group:a|PVEVMUser", "/vms/100|group:b|PVEVMUser"),
    }
    hints = {hint for _, _, hint in _said(two, "LINT_REPEATS")}
    assert hints == {"remove one of them, and keep the other"}


@pytest.mark.parametrize(
    ("pools", "hint"),
    [
        ({"dev": (1, 2)}, "grant it on /pool/dev instead, and keep /vms/3, /vms/4 and /vms/5"),
        ({"dev": (1, 2), "ops": (3, 4, 5)}, "grant it on /pool/dev and /pool/ops instead"),
        ({"dev": (1, 2), "dev/sub": (3,)}, "grant it on /pool/dev instead, and keep"),
        ({"dev": (1, 2), "dev/sub": (9,)}, "add them to a pool and grant it there"),
        ({"dev": (1, 2, 9)}, "add them to a pool and grant it there"),
    ],
)
def test_a_pool_is_named_only_where_it_holds_no_other_guest(
    pools: dict[str, tuple[int, ...]], hint: str
) -> None:
    """Those of nested pools count: a role on a pool reaches them."""
    entries = _grants(*(f"/vms/{n}|user:ann@pve|PVEVMUser" for n in range(1, 6)))
    there = {f"pool.{name}": PoolSpec(guests=guests) for name, guests in pools.items()}
    ((_, _, said),) = _said({"user.ann@pve": UserSpec(), **there, **entries}, "LINT_POOL_INSTEAD")
    assert said.startswith(hint)


def test_entries_for_guests_and_nodes_that_do_not_exist_are_orphans() -> None:
    paths = ("/nodes/pve1", "/storage/local", "/vms/100")
    places = ("/nodes/pve1", "/nodes/pve2", "/storage/nas", "/vms/100", "/vms/777", "/pool/gone")
    entries = _grants(*(f"{path}|user:ann@pve|PVEAuditor" for path in places))
    found = _said({"user.ann@pve": UserSpec(), **entries}, "LINT_ORPHAN", paths)
    assert [message for _, message, _ in found] == [
        "node pve2 does not exist",
        "pool gone does not exist",
        "storage nas does not exist",
        "guest 777 does not exist",
    ]
    assert len(_said({"user.ann@pve": UserSpec(), **entries}, "LINT_ORPHAN")) == 1  # not known


def test_every_rule_has_a_page_and_all_that_find_something_have_a_case() -> None:
    for rule in RULES.values():
        assert len(rule.page) > 60
        assert not rule.title.endswith(".")
    others = {"LINT_GRANT_ENDS", "LINT_ROLE_NO_OWNER", "LINT_ROLE_NO_PURPOSE", "LINT_ROLE_OUTSIDE"}
    others |= {"LINT_BREAK_GLASS", "WAIVER_EXPIRED", "WAIVER_UNKNOWN", "WAIVER_UNUSED"}
    assert {case[0] for case in CASES} | others == set(RULES)


def test_the_list_of_findings_names_every_rule_with_its_severity() -> None:
    text = (Path(__file__).parents[2] / "docs" / "findings.md").read_text()
    for rule in RULES.values():
        assert f"| `{rule.code}` | {rule.severity} | {rule.title} |" in text


def test_what_the_files_say_about_a_role_and_a_grant_counts() -> None:
    role = RoleSpec(privileges=("VM.Audit",))
    entry = "acl./vms/100|group:ops|Own"
    found = _found(
        {
            "role.Own": role,
            "group.ops": GroupSpec(),
            "user.ann@pve": UserSpec(groups=("ops",)),
            **_grants("/vms/100|group:ops|Own", "/nodes|group:ops|Own"),
        },
        {
            "role.Own": Declared(role, Source("r.toml", 3), {"allowed_paths": ("/vms/*",)}),
            entry: Declared(AclSpec(), Source("r.toml", 9), expires=NOW + 3 * DAY),
        },
    )
    assert found == [
        ("LINT_ROLE_OUTSIDE", "acl./nodes|group:ops|Own"),
        ("LINT_GRANT_ENDS", entry),
        ("LINT_ROLE_NO_OWNER", "role.Own"),
        ("LINT_ROLE_NO_PURPOSE", "role.Own"),
    ]


def test_files_alone_do_not_call_what_they_do_not_declare_missing() -> None:
    objects = _grants("/vms/101|user:synced@ldap|PVEVMUser", "/vms/100|group:ldap-ops|PVEVMUser")
    assert _found(objects, complete=False) == []


def test_groups_that_a_directory_fills_may_be_empty_and_are_not_an_alternative() -> None:
    objects = {
        "realm_sync.mornings": RealmSyncSpec(realm="corp", schedule="05:30", scope="both"),
        "group.ops-corp": GroupSpec(),
        "group.ops": GroupSpec(),
        "user.ann@pve": UserSpec(),
        **_grants("/vms/100|group:ops-corp|PVEVMUser", "/vms/100|user:ann@pve|PVEVMUser"),
    }
    assert _found(objects) == [("LINT_EMPTY_GROUP", "group.ops")]
    del objects["realm_sync.mornings"]
    assert {code for code, _ in _found(objects)} == {"LINT_DIRECT_GRANT", "LINT_EMPTY_GROUP"}


def test_only_a_token_with_a_place_for_its_secret_is_to_be_rotated() -> None:
    state = _state(**{"user.ann@pve": UserSpec(), "token.ann@pve!ci": TokenSpec()})
    address = Address("token", "ann@pve!ci")
    hints = []
    file = SecretSink(file="secrets/ci")
    for sink, notes in ((None, {}), (file, {}), (file, {"rotate_after": 90})):
        declared = Declared(TokenSpec(secret_to=sink), Source("a.toml", 1), notes)
        scene = LintContext(state, access_table(state), {address: declared})
        (found,) = [one for one in lint(scene) if one.code == "LINT_TOKEN_NEVER_EXPIRES"]
        hints.append(found.hint)
    rotate = 'set expires, and rotate_after = "90d": `pvectl rotate --due` renews it in time'
    assert hints == ["set expires", rotate, "set expires"]


def test_a_break_glass_principal_that_cannot_log_in_is_found() -> None:
    state = _state(**{"user.root@pam": UserSpec(enabled=False)})
    scene = LintContext(state, access_table(state), now=NOW, complete=True)
    assert [finding.code for finding in lint(scene)] == ["LINT_BREAK_GLASS"]


def _finding(code: str = "LINT_PRIVSEP_OFF", severity: Severity = Severity.WARNING) -> Finding:
    return Finding(code, severity, "", address=Address("token", "ci@pve!x"))


def _waiver(code: str = "LINT_PRIVSEP_OFF", address: str = "token.ci@*", days: int = 1) -> Waiver:
    return Waiver(code, address, "vendor", NOW + days * DAY, Source("w.toml", 2))


def test_a_waiver_sets_its_finding_aside_until_its_date() -> None:
    result = waive([_finding()], [_waiver()], RULES, NOW)
    assert result.findings == ()
    assert result.waived == ((_finding(), _waiver()),)
    result = waive([_finding()], [_waiver(days=-1)], RULES, NOW)
    assert [one.code for one in result.findings] == ["LINT_PRIVSEP_OFF", "WAIVER_EXPIRED"]


def test_waivers_that_match_nothing_or_name_no_rule_are_reported_and_errors_are_never_waived() -> (
    None
):
    assert [one.code for one in waive([], [_waiver()], RULES, NOW).findings] == ["WAIVER_UNUSED"]
    unknown = waive([], [_waiver("LINT_TYPO")], RULES, NOW).findings
    assert [(one.code, str(one.source)) for one in unknown] == [("WAIVER_UNKNOWN", "w.toml:2")]
    (other,) = waive([], [_waiver("PROTECTED")], RULES, NOW).findings
    assert "no warning or note of that name can be waived" in other.message
    error = _finding(severity=Severity.ERROR)
    assert error in waive([error], [_waiver()], RULES, NOW).findings


def test_entries_of_root_are_reported_as_without_effect() -> None:
    table = AccessTable(users={"root@pam": Principal(enabled=True)})
    for role in ("NoAccess", "PVEAuditor"):
        table.add_entry("/", "user", "root@pam", role, propagate=True)
        found = lint(LintContext({Address("acl", f"/|user:root@pam|{role}"): AclSpec()}, table))
        assert {one.code for one in found} & {"LINT_NO_EFFECT", "LINT_NOACCESS_IDLE"}
        del table.acl["/"]


@given(tables())
def test_an_entry_reported_as_without_effect_can_be_removed_without_effect(
    table: AccessTable,
) -> None:
    state: dict[Address, Spec] = {
        Address("acl", f"{path}|{kind}:{who}|{role}"): AclSpec(propagate=propagate)
        for path, kinds in table.acl.items()
        for kind, holders in kinds.items()
        for who, roles in holders.items()
        for role, propagate in roles.items()
    }
    assert "acl" in all_kinds()
    full = all_active(table)
    for finding in lint(LintContext(state, table, paths=PATHS)):
        if finding.code in ("LINT_NO_EFFECT", "LINT_REPEATS", "LINT_NOACCESS_IDLE"):
            assert finding.address is not None
            path, kind, name, role = AclEntry.parse(finding.address.id)
            less = full.copy()
            del less.acl[path][kind][name][role]
            for one in (*USERS, *TOKENS):
                if one in full.users or one in full.tokens:
                    for place in PATHS:
                        old = held(full, one, place).keys()
                        assert held(less, one, place).keys() == old


def test_a_hint_can_be_pasted_into_a_shell() -> None:
    """Bash takes a bare `!` for its history, also between double quotes."""
    state = _state(
        **{
            "role.Keeper": RoleSpec(privileges=("VM.Audit",)),
            "user.ci@pve": UserSpec(),
            "token.ci@pve!x1": TokenSpec(),
            **_grants("/vms|token:ci@pve!x1|Keeper", "/vms|user:ci@pve|PVEVMUser"),
            **_grants("/vms|token:ci@pve!x1|PVEVMUser"),
        }
    )
    found = lint(LintContext(state, access_table(state), complete=True))
    hint = next(one.hint for one in found if one.code == "LINT_NO_EFFECT")
    assert "`pvectl explain 'ci@pve!x1' /vms`" in hint
