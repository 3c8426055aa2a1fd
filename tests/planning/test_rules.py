"""Each demand of a `[[rule]]` objects to what it is for, and to nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.kinds import access_table
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.custom_rule import CustomRule
from reconciler.model.declared import Declared
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.spec import Spec
from reconciler.planning.lint.custom import broken_rules
from reconciler.planning.lint.custom.idle import idle_rules
from reconciler.planning.lint.rule import LintContext

NOW = 1_795_491_600
DAY = 86400
PATHS = ("/vms/100", "/vms/101", "/storage/local", "/pool/web")
A, B = "VM.Backup", "VM.Allocate"
ROLES: dict[str, Spec] = {"role.A": RoleSpec(privileges=(A,)), "role.B": RoleSpec(privileges=(B,))}


def scene(objects: dict[str, Spec], *declared: str, complete: bool = True) -> LintContext:
    state = {Address.parse(name): spec for name, spec in {**ROLES, **objects}.items()}
    known = {
        Address.parse(name): Declared(state[Address.parse(name)], Source("a.toml", number))
        for number, name in enumerate(declared, 1)
    }
    return LintContext(state, access_table(state), known, paths=PATHS, now=NOW, complete=complete)


def rule(**fields: Any) -> CustomRule:
    return CustomRule("own", Source("rules.toml", 3, 3), **fields)


def found(objects: dict[str, Spec], *rules: CustomRule, declared: tuple[str, ...] = ()) -> Any:
    return broken_rules(rules, scene(objects, *declared))


def grants(*entries: str, propagate: bool = True) -> dict[str, Spec]:
    return {f"acl.{entry}": AclSpec(propagate=propagate) for entry in entries}


def addresses(findings: tuple[Finding, ...]) -> list[str]:
    return [str(one.address) for one in findings]


ANN: dict[str, Spec] = {"user.ann@pve": UserSpec()}
OPS: dict[str, Spec] = {"group.ops": GroupSpec(), "user.ann@pve": UserSpec(groups=("ops",))}
CI: dict[str, Spec] = {
    "user.ci@pve": UserSpec(),
    "token.ci@pve!aa": TokenSpec(),
    "token.ci@pve!bb": TokenSpec(),
}


@pytest.mark.parametrize(
    ("objects", "broken"),
    [
        (ANN | grants("/vms/100|user:ann@pve|A", "/vms/101|user:ann@pve|B"), []),
        (ANN | grants("/vms/100|user:ann@pve|A", "/vms/100|user:ann@pve|B"), ["user.ann@pve"]),
        # by propagation the one, by a group the other; an entry of the user replaces the group's
        (OPS | grants("/vms|group:ops|A", "/|group:ops|B"), []),
        (
            OPS
            | {"group.dev": GroupSpec(), "user.ann@pve": UserSpec(groups=("ops", "dev"))}
            | grants("/vms|group:ops|A", "/vms|group:dev|B"),
            ["user.ann@pve"],
        ),
        # by a pool the one, on the guest the other
        (
            ANN
            | {"pool.web": PoolSpec(guests=(100,))}
            | grants("/pool/web|user:ann@pve|A", "/vms/100|user:ann@pve|B"),
            ["user.ann@pve"],
        ),
        (
            ANN
            | {"pool.web": PoolSpec(guests=(101,))}
            | grants("/pool/web|user:ann@pve|A", "/vms/100|user:ann@pve|B"),
            [],
        ),
        # who is disabled holds nothing
        (
            {"user.ann@pve": UserSpec(enabled=False)}
            | grants("/vms/100|user:ann@pve|A", "/vms/100|user:ann@pve|B"),
            [],
        ),
        # a group without members is judged as if it had one
        (
            {"group.ops": GroupSpec()} | grants("/vms|group:ops|A", "/vms|group:ops|B"),
            ["group.ops"],
        ),
        # NoAccess takes the role away
        (
            ANN
            | grants(
                "/vms/100|user:ann@pve|A",
                "/vms/100|user:ann@pve|B",
                "/vms/100|user:ann@pve|NoAccess",
            ),
            [],
        ),
    ],
)
def test_nobody_holds_both_on_the_same_path(objects: dict[str, Spec], broken: list[str]) -> None:
    assert addresses(found(objects, rule(exclusive=(A, B), paths=("/vms/*",)))) == broken


def test_tokens_of_one_person_complete_each_other() -> None:
    """Where the user itself is not asked about; each token holds one of the two."""
    entries = grants(
        "/vms|user:ci@pve|A",
        "/vms|user:ci@pve|B",
        "/vms|token:ci@pve!aa|A",
        "/vms|token:ci@pve!bb|B",
    )
    tokens = rule(exclusive=(A, B), who=("*!*",), paths=("/vms/100",))
    (finding,) = found(CI | entries, tokens)
    assert (
        "ci@pve!aa and ci@pve!bb hold both VM.Backup and VM.Allocate on /vms/100" in finding.message
    )
    elsewhere = {
        name.replace("/vms|token:ci@pve!bb", "/vms/101|token:ci@pve!bb"): spec
        for name, spec in entries.items()
    }
    assert not found(CI | elsewhere, tokens)


def test_a_finding_names_the_entries_and_points_to_the_first_declaration() -> None:
    objects = ANN | grants("/vms/100|user:ann@pve|A", "/vms|user:ann@pve|B")
    entry = "acl./vms/100|user:ann@pve|A"
    (finding,) = found(
        ANN | grants("/vms/100|user:ann@pve|A", "/vms/100|user:ann@pve|B"),
        rule(exclusive=(A, B), paths=("/vms/100",), reason="four eyes"),
        declared=("user.ann@pve", entry),
    )
    assert not found(objects, rule(exclusive=(A, B), paths=("/vms/100",)))
    assert finding.code == "RULE_OWN"
    assert finding.severity is Severity.ERROR
    assert finding.source == Source("a.toml", 2)
    assert finding.message.endswith("on /vms/100 (rule own: four eyes)")
    assert "A for user ann@pve on /vms/100" in finding.hint
    assert "the rule is at rules.toml:3:3" in finding.hint


def test_forbidden_privileges() -> None:
    objects = OPS | CI | grants("/vms|group:ops|A", "/vms|token:ci@pve!aa|A", "/vms|user:ci@pve|A")
    forbidden = rule(forbidden=(A,), paths=("/vms/100",))
    assert addresses(found(objects, forbidden)) == [
        "token.ci@pve!aa",
        "user.ann@pve",
        "user.ci@pve",
    ]
    exempt = forbidden._replace(but=("group:ops", "ci@pve!*"))
    assert addresses(found(objects, exempt)) == ["user.ci@pve"]
    assert not found(objects, rule(forbidden=(A,), paths=("/storage/*",)))
    root: dict[str, Spec] = {
        "user.root@pam": UserSpec(),
        "token.root@pam!xx": TokenSpec(privsep=False),
    }
    (finding,) = found(root, forbidden)
    assert finding.address == Address("token", "root@pam!xx")
    assert "token of root@pam" in finding.hint


def test_roles_from_a_list() -> None:
    entries = grants(
        "/pool/web|group:ops|A", "/pool/web|group:ops|NoAccess", "/vms/100|user:ann@pve|B"
    )
    only = rule(roles=("B", "PVE*"))
    assert addresses(found(OPS | entries, only)) == ["acl./pool/web|group:ops|A"]
    assert not found(OPS | entries, only._replace(paths=("/vms/*",)))
    assert not found(OPS | entries, only._replace(but=("group:ops",)))
    assert not found(OPS | entries, only._replace(who=("*@pve",)))


def test_grants_to_groups_only() -> None:
    """The user's half of a token pair counts as the token's."""
    entries = grants(
        "/pool/web|group:ops|A",
        "/pool/web|user:ann@pve|A",
        "/pool/web|user:ci@pve|B",
        "/pool/web|token:ci@pve!aa|B",
        "/vms/100|user:ann@pve|A",
    )
    groups = rule(grantees=("group",), paths=("/pool/*",))
    assert addresses(found(OPS | CI | entries, groups)) == [
        "acl./pool/web|token:ci@pve!aa|B",
        "acl./pool/web|user:ann@pve|A",
        "acl./pool/web|user:ci@pve|B",
    ]
    paired = groups._replace(grantees=("group", "token"))
    assert addresses(found(OPS | CI | entries, paired)) == ["acl./pool/web|user:ann@pve|A"]


def test_tokens_expire_in_time_by_themselves_or_with_their_users() -> None:
    soon, late = NOW + 30 * DAY, NOW + 91 * DAY
    objects: dict[str, Spec] = {
        "user.a@pve": UserSpec(),
        "user.b@pve": UserSpec(expires=soon),
        "token.a@pve!never": TokenSpec(),
        "token.a@pve!late": TokenSpec(expires=late),
        "token.a@pve!soon": TokenSpec(expires=soon),
        "token.b@pve!never": TokenSpec(),
    }
    short = rule(lifetime=90 * DAY)
    told = found(objects, short)
    assert addresses(told) == ["token.a@pve!late", "token.a@pve!never"]
    assert "expires on 2027-02-23 03:40 UTC, not within 90 days" in told[0].message
    assert addresses(found(objects, short._replace(but=("a@pve!l*",)))) == ["token.a@pve!never"]
    assert not found(objects, short._replace(who=("b@pve!*",)))


def test_tokens_are_separated() -> None:
    objects = CI | {"token.ci@pve!all": TokenSpec(privsep=False)}
    assert addresses(found(objects, rule(privsep=True))) == ["token.ci@pve!all"]


def test_users_of_some_realms() -> None:
    objects: dict[str, Spec] = {**ANN, "user.root@pam": UserSpec(), "user.x@corp-a": UserSpec()}
    assert addresses(found(objects, rule(realms=("corp-*",)))) == ["user.ann@pve"]
    assert not found(objects, rule(realms=("corp-*",), but=("ann@*",)))


def test_comments() -> None:
    objects: dict[str, Spec] = {
        "user.root@pam": UserSpec(),
        "user.ann@pve": UserSpec(comment="on call"),
        "user.bob@pve": UserSpec(),
        "group.ops": GroupSpec(),
    }
    asked = rule(comment_on=("user", "group"))
    assert addresses(found(objects, asked)) == ["group.ops", "user.bob@pve"]
    assert addresses(found(objects, asked._replace(but=("ops",)))) == ["user.bob@pve"]
    omitted = scene(objects, "user.bob@pve", complete=False)
    declared = omitted.declared[Address("user", "bob@pve")]
    unknown = {Address("user", "bob@pve"): declared._replace(unspecified=frozenset({"comment"}))}
    files = LintContext(omitted.state, omitted.table, unknown, now=NOW)
    assert addresses(broken_rules([asked], files)) == ["group.ops"]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (rule(exclusive=(A, B), who=("*@ldap",)), "'*@ldap' matches no principal in the cluster"),
        (rule(forbidden=(A,), but=("anne@pve",)), "'anne@pve' matches no principal"),
        (rule(privsep=True, who=("ci@pve",)), "'ci@pve' matches no token"),
        (rule(exclusive=(A, B), who=("*@pve",), but=("*@pve",)), "is exempt by `but`"),
        (rule(exclusive=(A, B), paths=("/vmz/*",)), "no object has the path /vmz/*"),
        (rule(roles=("Aa",)), "there is no role Aa"),
        (rule(realms=("pvee",)), "there is no realm pvee"),
    ],
)
def test_a_rule_that_can_never_be_broken_is_reported(own: CustomRule, said: str) -> None:
    (finding,) = idle_rules([own], scene(OPS | CI))
    assert said in finding.message
    assert finding.severity is Severity.WARNING
    assert finding.source == own.source


def test_from_the_files_alone_only_what_is_sure_is_reported() -> None:
    files = scene(OPS, complete=False)
    assert not list(idle_rules([rule(roles=("Unrelated",)), rule(realms=("corp",))], files))
    (finding,) = idle_rules([rule(forbidden=(A,), who=("*@ldap",))], files)
    assert finding.severity is Severity.NOTE
