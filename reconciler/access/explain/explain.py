"""Why a principal may or may not do something, and which principals may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.access.analysis.affected import all_principals, dangling_users, owner_of
from reconciler.access.evaluate import index_of, privileges
from reconciler.access.explain.recommendation import recommended
from reconciler.access.explain.remediation import Remediation
from reconciler.access.login import Login, login
from reconciler.access.table import AccessTable
from reconciler.access.trace import Decision, TracedEntry, deciding, trace_decision


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one principal on one path.

    `login`: whether it can log in at all. `owner` and `privsep` of a token. `twins`: users of the
    same name in other realms. `groups`: of the user, or of the token's user. `decision`: every
    entry on the way with its effect, and the result. For an asked `privilege` that is missing,
    `ways` are the grants that would provide it, the best first.
    `has_all`: the principal holds every privilege that the cluster has.
    """

    principal: str
    path: str
    login: Login
    decision: Decision
    owner: str = ""
    privsep: bool = False
    expires: int = 0
    twins: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    privilege: str = ""
    ways: tuple[Remediation, ...] = ()
    has_all: bool = False

    @property
    def allowed(self) -> bool:
        """Whether the asked privilege is held by a principal that can log in."""
        return self.login is Login.ACTIVE and self.privilege in self.decision.privileges


def explain(
    table: AccessTable, principal: str, path: str, privilege: str = "", now: int = 0
) -> Explanation:
    """Explain the access of a principal; `path` in normal form."""
    owner = owner_of(principal)
    user = owner or principal
    record = (table.tokens if owner else table.users).get(principal)
    decision = trace_decision(table, principal, path)
    ways = recommended(table, principal, path, privilege) if privilege else ()
    return Explanation(
        principal=principal,
        path=path,
        login=login(table, principal, now),
        decision=decision,
        owner=owner or "",
        privsep=bool(owner and record and record.privsep),
        expires=record.expires if record else 0,
        twins=twins(table, user),
        groups=index_of(table).groups_of.get(user, ()),
        privilege=privilege,
        ways=ways,
        has_all=decision.privileges.keys() >= table.release.privileges,
    )


def twins(table: AccessTable, user: str) -> tuple[str, ...]:
    """Users of the same name in other realms: alice@pve is not alice@ldap."""
    name = user.rpartition("@")[0] or user
    found = (other for other in table.users if other.rpartition("@")[0] == name)
    return tuple(sorted(other for other in found if other != user))


class PrivilegeHolder(NamedTuple):
    """A holder of a privilege, the entries that grant it, and its login state."""

    principal: str
    login: Login
    entries: tuple[TracedEntry, ...]


def who_can(
    table: AccessTable, privilege: str, path: str, now: int = 0
) -> tuple[PrivilegeHolder, ...]:
    """All users and tokens that hold `privilege` on the normalised `path`, including root@pam.

    Users that are only named are included, too: they cannot log in.
    """
    return tuple(
        PrivilegeHolder(
            who,
            login(table, who, now),
            deciding(trace_decision(table, who, path), table, privilege),
        )
        for who in sorted({*all_principals(table), *dangling_users(table)})
        if privilege in privileges(table, who, path)
    )


class Refusal(NamedTuple):
    """What a "Permission check failed" says: one of `privileges` is missing on `path`.

    PVE leaves `path` empty if several rules would have sufficed.
    """

    path: str
    privileges: tuple[str, ...]


_REFUSAL = re.compile(r"Permission check failed \((?P<path>[^,()']*), *(?P<privileges>[\w.|, ]+)\)")


def parse_refusal(text: str) -> Refusal | None:
    """Find one in a pasted message, such as `403 Permission check failed (/vms/9000, VM.Audit)`."""
    match = _REFUSAL.search(text)
    if match is None:
        return None
    return Refusal(match["path"].strip(), tuple(_words(match["privileges"])))


def _words(text: str) -> Iterator[str]:
    yield from (word for word in re.split(r"[|, ]+", text) if word)
