"""Users and tokens for a reviewer: identity, login state, risk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.access.analysis.affected import dangling_users
from reconciler.access.contents import ROOT, TOKEN, USER, split_token
from reconciler.access.escalation.search import Escalation
from reconciler.access.evaluate import index_of
from reconciler.access.login import Login, login
from reconciler.access.review.privilege_catalog import Level
from reconciler.access.review.profiles import Holdings, Profile
from reconciler.access.table import AccessTable
from reconciler.model.address import Address
from reconciler.model.spec import State

DAY = 86400
REVIEW_PERIOD = 92 * DAY
"""Seconds until the next review: what expires before it expires soon."""


class Factor(StrEnum):
    """Whether logging in takes a second factor, as far as Proxmox VE can tell."""

    YES = "yes"
    NONE = "none"
    UNKNOWN = "unknown"


class Risk(StrEnum):
    """The worst first."""

    ROOT = "root"
    """holds every privilege on /"""
    WAY = "can become root"
    CONTROL = "control of some objects"
    ORDINARY = "ordinary access"
    NOTHING = "no privileges"


class Mark(StrEnum):
    """Marks for a reviewer."""

    NODE = "possibly root through a node"
    NO_PRIVSEP = "no privilege separation"
    NO_EXPIRY = "never expires"
    NO_SECOND_FACTOR = "no second factor"
    EXPIRED = "expired"
    SOON = "expires soon"
    DISABLED = "disabled"
    OWNERLESS = "its user does not exist"
    GHOST = "does not exist"
    """only named, by groups or entries"""
    TWIN = "same name in another realm"
    UNDECLARED = "not declared"


class Age(NamedTuple):
    """Unix seconds since which a token's secret is in use; not `exact`: at least since then."""

    since: int
    exact: bool


class Account(NamedTuple):
    """A user or a token.

    `expires`: Unix seconds, of a token or its user, whichever is first; 0 = never. `groups` of a
    token are those of its user. `twins`: users of the same name in other realms. `age` None:
    unknown. `declared` None: there are no state files. `profile`: number of what it holds.
    """

    principal: str
    kind: str
    realm: str
    login: Login
    expires: int
    profile: int = 0
    risk: Risk = Risk.NOTHING
    marks: tuple[Mark, ...] = ()
    name: str = ""
    email: str = ""
    comment: str = ""
    groups: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    second_factor: Factor = Factor.UNKNOWN
    owner: str = ""
    privsep: bool = True
    age: Age | None = None
    declared: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Fields that do not apply are left out."""
        data: dict[str, Any] = {
            "principal": self.principal,
            "kind": self.kind,
            "realm": self.realm,
            "login": str(self.login),
            "expires": self.expires,
            "profile": self.profile,
            "risk": self.risk.name.lower(),
            "marks": [mark.name.lower() for mark in self.marks],
            "groups": list(self.groups),
        }
        data |= {
            key: getattr(self, key) for key in ("name", "email", "comment") if getattr(self, key)
        }
        if self.kind == TOKEN:
            data |= {"owner": self.owner, "privsep": self.privsep}
            data["age"] = self.age._asdict() if self.age else None
        else:
            data |= {"twins": list(self.twins), "second_factor": str(self.second_factor)}
        if self.declared is not None:
            data["declared"] = self.declared
        return data


class AccountData(NamedTuple):
    """Further data about accounts.

    `state` tells names and comments; `declared` is None without state files; `ages` holds tokens
    whose secret's age is known; `now` in Unix seconds.
    """

    state: State
    now: int
    declared: frozenset[Address] | None = None
    ages: Mapping[str, Age] = {}

    def fields(self, kind: str, name: str) -> dict[str, Any]:
        """What the spec of an object says beyond the defaults; nothing for an unknown one."""
        spec = self.state.get(Address(kind, name))
        return {} if spec is None else spec.to_json()

    def is_declared(self, kind: str, name: str) -> bool | None:
        return None if self.declared is None else Address(kind, name) in self.declared


def accounts(
    table: AccessTable, known: AccountData, holdings: Holdings, ways: Sequence[Escalation]
) -> tuple[Account, ...]:
    """All users and tokens in text order, each token after its user.

    Users that are only named are included: their entries have no effect until a user of that name
    is created.
    """
    risky = _risky(ways)
    twins: dict[str, list[str]] = {}
    for user in sorted({ROOT, *table.users, *dangling_users(table)}):
        twins.setdefault(_name(user), []).append(user)
    found = []
    for principal in sorted(holdings.of, key=lambda who: who.replace("!", "\0")):
        split = split_token(principal) if principal in table.tokens else None
        if split is None:
            plain = _user(table, known, principal, twins[_name(principal)])
        else:
            plain = _token(table, known, principal, split[0])
        number = holdings.of[principal]
        risk = risky.get(principal) or _risk(holdings.profiles[number])
        account = plain._replace(profile=number, risk=risk)
        possibly = principal in risky and risky[principal] is None
        marks = tuple(_marks(account, known.now, possibly=possibly))
        found.append(account._replace(marks=marks))
    return tuple(found)


def _name(user: str) -> str:
    return user.rpartition("@")[0]


def _risky(ways: Iterable[Escalation]) -> dict[str, Risk | None]:
    """Principals that are root or can become root; None: only through a node, which may fail."""
    found: dict[str, Risk | None] = {}
    for way in ways:
        for who in way.principals:
            if not way.steps:
                found[who] = Risk.ROOT
            elif way.sure:
                found[who] = found.get(who) or Risk.WAY
            else:
                found.setdefault(who, None)
    return found


def _risk(profile: Profile) -> Risk:
    highest = max((holding.level for holding in profile), default=Level.NONE)
    if highest is Level.NONE:
        return Risk.NOTHING
    return Risk.CONTROL if highest is Level.CONTROL else Risk.ORDINARY


def _user(table: AccessTable, known: AccountData, user: str, alike: Sequence[str]) -> Account:
    fields = known.fields(USER, user)
    names = (fields.get("firstname", ""), fields.get("lastname", ""))
    record = table.users.get(user)
    return Account(
        principal=user,
        kind=USER,
        realm=user.rpartition("@")[2],
        login=login(table, user, known.now),
        expires=record.expires if record else 0,
        name=" ".join(filter(None, names)),
        email=fields.get("email", ""),
        comment=fields.get("comment", ""),
        groups=index_of(table).groups_of.get(user, ()),
        twins=tuple(other for other in alike if other != user),
        second_factor=_second_factor(fields, known, user.rpartition("@")[2]),
        declared=known.is_declared(USER, user),
    )


def _second_factor(fields: Mapping[str, Any], known: AccountData, realm: str) -> Factor:
    """PVE shows `x` for keys that are kept elsewhere (User.pm); a realm may require one.

    Without any, the identity provider of a realm may still require one.
    """
    rules = known.fields("realm", realm)
    if fields.get("keys") or "tfa" in rules.get("options", {}):
        return Factor.YES
    if "keys" not in fields or rules.get("type") == "openid":
        return Factor.UNKNOWN
    return Factor.NONE


def _token(table: AccessTable, known: AccountData, token: str, owner: str) -> Account:
    record, user = table.tokens[token], table.users.get(owner)
    ends = [expires for expires in (record.expires, user.expires if user else 0) if expires]
    return Account(
        principal=token,
        kind=TOKEN,
        realm=owner.rpartition("@")[2],
        login=login(table, token, known.now),
        expires=min(ends, default=0),
        comment=known.fields(TOKEN, token).get("comment", ""),
        groups=index_of(table).groups_of.get(owner, ()),
        owner=owner,
        privsep=record.privsep,
        age=known.ages.get(token),
        declared=known.is_declared(TOKEN, token),
    )


_OUT = {
    Login.DISABLED: Mark.DISABLED,
    Login.OWNER_DISABLED: Mark.DISABLED,
    Login.EXPIRED: Mark.EXPIRED,
    Login.OWNER_EXPIRED: Mark.EXPIRED,
    Login.OWNER_ABSENT: Mark.OWNERLESS,
    Login.ABSENT: Mark.GHOST,
}


def _marks(account: Account, now: int, *, possibly: bool) -> Iterator[Mark]:
    """The worst first. An account that holds nothing today counts as well: it may log in."""
    if possibly:
        yield Mark.NODE
    if account.kind == TOKEN:
        if not account.privsep:
            yield Mark.NO_PRIVSEP
        if not account.expires:
            yield Mark.NO_EXPIRY
    named_only = account.risk is Risk.NOTHING and account.login is Login.ABSENT
    if account.kind == USER and account.second_factor is Factor.NONE and not named_only:
        yield Mark.NO_SECOND_FACTOR
    if account.login in _OUT:
        yield _OUT[account.login]
    elif account.expires and now and account.expires <= now + REVIEW_PERIOD:
        yield Mark.SOON
    if account.twins:
        yield Mark.TWIN
    exists = account.principal != ROOT and account.login is not Login.ABSENT
    if account.declared is False and exists:
        yield Mark.UNDECLARED
