"""Read `[[rule]]`: custom rules about who may hold what, and what objects must be like."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from reconciler.access.expectations.check import GROUP_PREFIX
from reconciler.desired.directives.expect_table import Paths, Principals, Privileges
from reconciler.invalid_value import InvalidValue
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.field_types import NAME, REALM, Age
from reconciler.model.custom_rule import CustomRule
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.policy import TomlTable
from reconciler.text.humanize import in_prose
from reconciler.text.suggest import did_you_mean

_RULE_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_GRANTEES = {"users": "user", "groups": "group", "tokens": "token"}


def _rule_name(text: str) -> str:
    if _RULE_NAME.fullmatch(text):
        return text
    raise InvalidValue(
        f"'{text}' is not a valid name of a rule", "use lower-case words: four-eyes, short-tokens"
    )


def _glob_of(pattern: re.Pattern[str], what: str, example: str) -> AfterValidator:
    """A name, or a glob over names, of which `pattern` is the form."""

    def check(text: str) -> str:
        if not pattern.fullmatch(re.sub(r"[*?]", "xx", text)):
            raise InvalidValue(f"'{text}' is not a valid {what}", f"write one such as {example}")
        if not text.strip("*?"):
            raise InvalidValue(f"'{text}' allows every {what}", "name those that are allowed")
        return text

    return AfterValidator(check)


def _grantee(text: str) -> str:
    if text not in _GRANTEES:
        likely = did_you_mean(text, _GRANTEES)
        raise InvalidValue(
            f"'{text}' cannot be granted anything", likely or f"one of {', '.join(_GRANTEES)}"
        )
    return text


def commented_kinds() -> tuple[str, ...]:
    """The kinds whose objects have a comment, and are read whether they are declared or not."""
    return tuple(
        name
        for name, kind in all_kinds().items()
        if "comment" in kind.toml.table.model_fields and not kind.reads.lazy
    )


def _commented_kind(text: str) -> str:
    known = commented_kinds()
    if text not in known:
        likely = did_you_mean(text, known)
        what = "has no comments" if text in all_kinds() else "is not a kind"
        raise InvalidValue(f"'{text}' {what}", likely or f"one of {', '.join(known)}")
    return text


RuleName = Annotated[
    str,
    AfterValidator(_rule_name),
    WithJsonSchema({"type": "string", "pattern": f"^{_RULE_NAME.pattern}$"}),
]
RoleGlob = Annotated[str, _glob_of(NAME, "role", "PVEVMUser, or a glob such as Ops*")]
RealmGlob = Annotated[str, _glob_of(REALM, "realm", "ldap, or a glob such as corp-*")]
Grantee = Annotated[
    str,
    AfterValidator(_grantee),
    WithJsonSchema({"type": "string", "enum": sorted(_GRANTEES)}),
]
CommentedKind = Annotated[
    str,
    AfterValidator(_commented_kind),
    WithJsonSchema({"type": "string", "enum": sorted(commented_kinds())}),
]


class RuleTable(TomlTable):
    """A rule of your own, which everything in the cluster must keep. It makes one demand."""

    name: RuleName = Field(
        description="what it is called: `four-eyes` gives findings with the code RULE_FOUR_EYES"
    )
    exclusive_privileges: Privileges = Field(
        default=[], description="privileges that no principal may hold together on the same path"
    )
    forbidden_privileges: Privileges = Field(
        default=[], description="privileges that no principal may hold there"
    )
    allowed_roles: list[RoleGlob] = Field(
        default=[], description="roles or globs: no others may be granted there; NoAccess always"
    )
    allowed_grantees: list[Grantee] = Field(
        default=[],
        description="users, groups, tokens: grants there to other kinds of principals "
        "are forbidden",
    )
    allowed_realms: list[RealmGlob] = Field(
        default=[],
        description="realms or globs: users of other realms are forbidden, except root@pam",
    )
    token_lifetime: Age = Field(
        default=0, description='every token must expire within this time from now, as in "90d"'
    )
    token_privsep: bool = Field(
        default=False, description="true: every token must have privilege separation"
    )
    comment_on: list[CommentedKind] = Field(
        default=[], description="kinds whose objects must all have a comment"
    )
    who: Principals = Field(
        default=[],
        description="user@realm, user@realm!token, group:NAME, or a glob; if omitted: all",
    )
    but: Principals = Field(default=[], description="those that are exempt")
    path: Paths = Field(default=[], description="an ACL path or a glob; if omitted: everywhere")
    paths: Paths = Field(default=[], description="ACL paths or globs")
    severity: Severity = Field(
        default=Severity.ERROR,
        strict=False,
        description="of its findings: an error refuses the plan and fails `validate` and `drift`",
    )
    reason: str = Field(default="", description="why; shown when it is broken")

    @model_validator(mode="after")
    def _makes_one_demand(self) -> RuleTable:
        given = [name for name in DEMANDS if name in self.model_fields_set]
        if not given:
            raise InvalidValue("[[rule]] demands nothing", f"set one of {', '.join(DEMANDS)}")
        if len(given) > 1:
            raise InvalidValue(f"{in_prose(given)} are different demands", "write two [[rule]]")
        (demand,) = given
        if not getattr(self, demand):
            what = "false" if demand == "token_privsep" else "empty"
            raise InvalidValue(f"{demand} is {what}", "remove the rule, or make a demand")
        for key in ("who", "path", "paths"):
            if key in self.model_fields_set and key not in DEMANDS[demand]:
                taken = sorted({*DEMANDS[demand], "but"})
                raise InvalidValue(
                    f"{key} does not apply to {demand}", f"limit it with {' and '.join(taken)}"
                )
        self._could_be_broken()
        return self

    def _could_be_broken(self) -> None:
        if len(set(self.exclusive_privileges)) == 1:
            raise InvalidValue(
                "exclusive_privileges names one privilege",
                "name at least two, or use forbidden_privileges",
            )
        if set(self.allowed_grantees) == {*_GRANTEES}:
            raise InvalidValue("allowed_grantees allows everyone", "leave out who may not")
        groups = [one for one in (*self.who, *self.but) if one.startswith(GROUP_PREFIX)]
        if groups and (self.token_lifetime or self.token_privsep):
            raise InvalidValue(
                f"'{groups[0]}' has no tokens", "name tokens, as in ci@pve!* or *@ldap!*"
            )
        both = sorted(set(self.who) & set(self.but))
        if both:
            raise InvalidValue(f"'{both[0]}' is in who and in but", "keep one of them")


_PLACED = frozenset({"who", "path", "paths"})
DEMANDS = {
    "exclusive_privileges": _PLACED,
    "forbidden_privileges": _PLACED,
    "allowed_roles": _PLACED,
    "allowed_grantees": _PLACED,
    "allowed_realms": frozenset[str](),
    "token_lifetime": frozenset({"who"}),
    "token_privsep": frozenset({"who"}),
    "comment_on": frozenset[str](),
}
"""Demand -> the keys that say whom and where it concerns."""


def rule_of(table: RuleTable, source: Source) -> CustomRule:
    return CustomRule(
        name=table.name,
        source=source,
        severity=table.severity,
        reason=table.reason,
        exclusive=tuple(sorted(set(table.exclusive_privileges))),
        forbidden=tuple(sorted(set(table.forbidden_privileges))),
        roles=tuple(table.allowed_roles),
        grantees=tuple(_GRANTEES[one] for one in table.allowed_grantees),
        realms=tuple(table.allowed_realms),
        lifetime=table.token_lifetime,
        privsep=bool(table.token_privsep),
        comment_on=tuple(table.comment_on),
        who=tuple(table.who),
        but=tuple(table.but),
        paths=(*table.path, *table.paths),
    )


def all_rules(
    trusted: Iterable[CustomRule], proposed: Iterable[CustomRule]
) -> tuple[tuple[CustomRule, ...], list[Finding]]:
    """The rules of the trusted settings and of the files, and where they contradict each other."""
    known: dict[str, CustomRule] = {}
    findings = []
    for rule in (*trusted, *proposed):
        other = known.setdefault(rule.name, rule)
        if other is not rule:
            message = f"there are two rules {rule.name}, here and at {other.source}"
            findings.append(_mistake("DUPLICATE", message, "rename one of them", rule))
            continue
        for earlier in known.values():
            nothing = _nothing_left(earlier, rule)
            if nothing:
                message = (
                    f"rules {rule.name} and {earlier.name} ({earlier.source}) together allow "
                    f"no {nothing} at all"
                )
                findings.append(_mistake("CONFLICT", message, "make one list of both", rule))
    return tuple(known.values()), findings


def _nothing_left(one: CustomRule, other: CustomRule) -> str:
    """What two rules about the same principals and paths, taken together, leave nothing of."""
    if one is other or (one.who, one.paths) != (other.who, other.paths):
        return ""
    lists = {
        "role": (one.roles, other.roles),
        "grantee": (one.grantees, other.grantees),
        "realm": (one.realms, other.realms),
    }
    for what, (mine, yours) in lists.items():
        globs = any("*" in name or "?" in name for name in (*mine, *yours))
        if mine and yours and not globs and not set(mine) & set(yours):
            return what
    return ""


def _mistake(code: str, message: str, hint: str, rule: CustomRule) -> Finding:
    return Finding(code, Severity.ERROR, message, hint, source=rule.source)
