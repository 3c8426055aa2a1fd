"""The access review: who can do what, by which grants, what is risky, what has changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, NamedTuple

from reconciler.access.escalation.search import Escalation
from reconciler.access.graph import Graph, graph
from reconciler.access.review.accounts import REVIEW_PERIOD, Account, AccountData, Age, accounts
from reconciler.access.review.comparison import (
    FORMAT,
    ReviewComparison,
    compare_reviews,
    review_snapshot,
)
from reconciler.access.review.deciding_entries import EntriesBehind
from reconciler.access.review.profiles import Holdings, holdings
from reconciler.access.table import AccessTable
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired, Waiver
from reconciler.model.finding import Finding
from reconciler.model.inventory import Facts
from reconciler.model.recoverability import BackupStatus
from reconciler.model.spec import State, digest

MOST_DRAWN = 500
"""Accounts and entries of a cluster that may fit into a picture."""


class GrantRow(NamedTuple):
    """A live ACL entry; `expires` (Unix seconds, 0 = never) and `reason` as declared.

    `declared` None: there are no state files.
    """

    path: str
    kind: str
    principal: str
    role: str
    propagate: bool
    reason: str = ""
    expires: int = 0
    declared: bool | None = None


class RoleUse(NamedTuple):
    """A role with what the state files say about it and where it is used.

    `privileges` are the live ones. `outside`: paths with grants that `allowed_paths` excludes.
    `holders`: users, groups and tokens that have entries with it.
    """

    role: str
    privileges: tuple[str, ...]
    built_in: bool
    purpose: str = ""
    owner: str = ""
    allowed_paths: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    declared: bool | None = None


class GroupUse(NamedTuple):
    """A group with its members."""

    group: str
    comment: str
    members: tuple[str, ...]


class Ending(NamedTuple):
    """Something that has expired, or will before the next review; `expires` in Unix seconds."""

    kind: str
    subject: str
    expires: int
    past: bool


class About(NamedTuple):
    """The source of a review. `taken`: Unix seconds; `actor`: the reader, "" for files.

    `source`: the commit of the state files, where known. `health`: of the cluster, in words.
    """

    cluster: str
    taken: int
    actor: str = ""
    source: str = ""
    health: str = ""


@dataclass(frozen=True)
class Review:
    """The content of a review; deterministic."""

    about: About
    release: str
    accounts: tuple[Account, ...]
    holdings: Holdings
    grants: tuple[GrantRow, ...] = ()
    roles: tuple[RoleUse, ...] = ()
    groups: tuple[GroupUse, ...] = ()
    ways: tuple[Escalation, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    findings: tuple[Finding, ...] = ()
    """findings of the rules in order, without waived ones"""
    waived: tuple[tuple[Finding, Waiver], ...] = ()
    endings: tuple[Ending, ...] = ()
    since: ReviewComparison | None = None
    backups: BackupStatus | None = None
    guests: Mapping[str, str] = field(default_factory=dict)
    """ACL path -> name"""
    graph: Graph | None = None
    """who reaches what; None where that is too much for a picture"""
    table: AccessTable = field(default_factory=AccessTable)
    """what the review was made from; no part of any document"""

    @cached_property
    def behind(self) -> EntriesBehind:
        """Which entries give an account what it holds."""
        return EntriesBehind(self.table)

    @property
    def due(self) -> int:
        """The day of the next review, Unix seconds; 0 where it is unknown when this one was."""
        taken = self.about.taken
        return (taken + REVIEW_PERIOD) // 86400 * 86400 if taken else 0

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, which ties a signed copy to its file."""
        return digest(self._json)

    def to_json(self) -> Mapping[str, Any]:
        """Complete; `profiles` are numbered from 0, and `accounts` name theirs."""
        return self._json

    @cached_property
    def _json(self) -> Mapping[str, Any]:
        return {
            **self.about._asdict(),
            "kind": "review",
            "format": FORMAT,
            "release": self.release,
            "due": self.due,
            "accounts": [one.to_json() for one in self.accounts],
            "profiles": [
                [
                    {
                        "sort": str(one.sort),
                        "level": one.level.name.lower(),
                        "privileges": list(one.privileges),
                        "places": list(one.places),
                    }
                    for one in profile
                ]
                for profile in self.holdings.profiles
            ],
            "pools": {pool: list(paths) for pool, paths in self.holdings.pools.items()},
            "grants": [one._asdict() for one in self.grants],
            "roles": [one._asdict() for one in self.roles],
            "groups": [one._asdict() for one in self.groups],
            "ways": [{**one.to_json(), "key": list(one.key)} for one in self.ways],
            "waivers": [_waiver_json(one) for one in self.waivers],
            "findings": [one.to_json() for one in self.findings],
            "waived": [
                {"finding": finding.to_json(), "waiver": _waiver_json(waiver)}
                for finding, waiver in self.waived
            ],
            "endings": [one._asdict() for one in self.endings],
            "recoverability": self.backups and [one.to_json() for one in self.backups.guests],
            "since": None if self.since is None else self.since.to_json(),
            "guests": dict(self.guests),
        }


def _waiver_json(waiver: Waiver) -> dict[str, Any]:
    return {**waiver._asdict(), "source": waiver.source.to_json()}


class ReviewContext(NamedTuple):
    """Inputs of a review besides the cluster's state.

    `desired`: None where there are no state files. `ages`: tokens whose secret's age is known.
    `earlier`: the JSON document of the review before. `findings` and `waived`: findings of
    rules, and those of them that are waived. `backups`: what can be restored; None where that was
    not looked at.
    """

    desired: Desired | None = None
    facts: Facts = Facts()
    ages: Mapping[str, Age] = {}
    earlier: Mapping[str, Any] | None = None
    findings: tuple[Finding, ...] = ()
    waived: tuple[tuple[Finding, Waiver], ...] = ()
    backups: BackupStatus | None = None


def review(
    about: About,
    state: State,
    table: AccessTable,
    ways: Sequence[Escalation],
    beside: ReviewContext,
) -> Review:
    """`table` is that of `state`, `ways` are its ways to root.

    Raises ValueError when the earlier document cannot be compared.
    """
    objects = beside.desired.objects if beside.desired else {}
    declared = frozenset(objects) if beside.desired else None
    held = holdings(table)
    known = AccountData(state, about.taken, declared, _ages(beside))
    everybody = accounts(table, known, held, ways)
    grants = tuple(_grants(table, objects, known))
    waivers = beside.desired.waivers if beside.desired else ()
    found = Review(
        about=about,
        release=beside.facts.release,
        accounts=everybody,
        holdings=held,
        grants=grants,
        roles=tuple(_roles(table, grants, objects, known)),
        groups=tuple(
            GroupUse(group, known.fields("group", group).get("comment", ""), tuple(sorted(members)))
            for group, members in sorted(table.groups.items())
        ),
        ways=tuple(ways),
        waivers=tuple(waivers),
        findings=beside.findings,
        waived=beside.waived,
        backups=beside.backups,
        table=table,
        endings=tuple(sorted(_endings(everybody, grants, waivers, about.taken), key=_by_date)),
        guests={
            f"/vms/{vmid}": guest.name for vmid, guest in beside.facts.guests.items() if guest.name
        },
    )
    if len(table.users) + len(table.tokens) + len(grants) <= MOST_DRAWN:
        found = replace(found, graph=graph(table, about.cluster, (), ()))
    if beside.earlier is None:
        return found
    return replace(found, since=compare_reviews(beside.earlier, found.to_json()))


def _ages(beside: ReviewContext) -> dict[str, Age]:
    """A token is at least as old as the earlier review that names it; known ages win."""
    found = {} if beside.earlier is None else review_snapshot(beside.earlier)
    for token, age in beside.ages.items():
        known = found.get(token)
        if known is None or not known.exact or known.since < age.since:
            found[token] = age
    return found


def _grants(
    table: AccessTable, objects: Mapping[Address, Declared], known: AccountData
) -> Iterator[GrantRow]:
    """Sorted by path, then by principal."""
    for path in sorted(table.acl):
        for kind, holders in sorted(table.acl[path].items()):
            for principal, roles in sorted(holders.items()):
                for role, propagate in sorted(roles.items()):
                    entry = AclEntry(path, kind, principal, role)
                    said = objects.get(entry.address)
                    yield GrantRow(
                        *entry,
                        propagate,
                        str(said.notes.get("reason", "")) if said else "",
                        said.expires if said else 0,
                        known.is_declared("acl", str(entry)),
                    )


def _roles(
    table: AccessTable,
    grants: Sequence[GrantRow],
    objects: Mapping[Address, Declared],
    known: AccountData,
) -> Iterator[RoleUse]:
    """Own roles, and built-in ones that are used."""
    used: dict[str, list[GrantRow]] = {}
    for grant in grants:
        used.setdefault(grant.role, []).append(grant)
    for role in sorted(table.roles, key=lambda role: (role in table.release.roles, role)):
        if role in table.release.roles and role not in used:
            continue
        said = objects.get(Address("role", role))
        notes = said.notes if said else {}
        allowed = tuple(notes.get("allowed_paths", ()))
        paths = tuple(sorted({grant.path for grant in used.get(role, ())}))
        yield RoleUse(
            role=role,
            privileges=tuple(sorted(table.roles[role])),
            built_in=role in table.release.roles,
            purpose=str(notes.get("purpose", "")),
            owner=str(notes.get("owner", "")),
            allowed_paths=allowed,
            paths=paths,
            outside=tuple(path for path in paths if allowed and not _fits(path, allowed)),
            holders=tuple(sorted({f"{one.kind} {one.principal}" for one in used.get(role, ())})),
            declared=None if role in table.release.roles else known.is_declared("role", role),
        )


def _fits(path: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(path, glob) for glob in globs)


def _endings(
    everybody: Sequence[Account], grants: Sequence[GrantRow], waivers: Sequence[Waiver], now: int
) -> Iterator[Ending]:
    dated = [(one.kind, one.principal, one.expires) for one in everybody]
    dated += [
        ("grant", f"{one.role} for {one.kind} {one.principal} on {one.path}", one.expires)
        for one in grants
    ]
    dated += [("waiver", f"{one.code} {one.address}", one.expires) for one in waivers]
    for kind, subject, expires in dated:
        if expires and now and expires <= now + REVIEW_PERIOD:
            yield Ending(kind, subject, expires, expires <= now)


def _by_date(one: Ending) -> tuple[int, str, str]:
    return one.expires, one.kind, one.subject
