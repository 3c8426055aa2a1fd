"""The least-privilege grant that would provide a missing privilege."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.access.any_member import stands_for
from reconciler.access.contents import GROUP, ROOT, TOKEN, USER, split_token
from reconciler.access.delta import Delta, apply_delta
from reconciler.access.evaluate import own_privileges, privileges, roles
from reconciler.access.index import NO_ACCESS
from reconciler.access.review.privilege_catalog import breadth
from reconciler.access.table import AccessTable
from reconciler.access.trace import EntryEffect, TracedEntry, trace_decision

_LEAF = re.compile(r"/(?:vms|storage|nodes|access/groups|access/realm)/[^/]+")
"""Paths without children, where the propagate flag has no effect."""


@dataclass(frozen=True, slots=True)
class NewRole:
    """A role that would have to be created."""

    name: str
    privileges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remediation:
    """What to add, and which NoAccess entries to remove first, so that the privilege is there.

    It takes nothing away from the principal, and without `remove` gives nothing on other paths but
    the members of a pool that is the path. `extra`: what it gives on the path beyond the asked
    privilege, such as roles on pools that NoAccess kept away. `others`: groups whose other members
    feel it, too. `why`: what speaks for this way, in a sentence.
    """

    add: tuple[TracedEntry, ...]
    remove: tuple[TracedEntry, ...] = ()
    role: NewRole | None = None
    extra: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    why: str = ""


def least_privilege_grant(
    table: AccessTable, principal: str, path: str, privilege: str
) -> Remediation | None:
    """For a principal that lacks `privilege` on the normalised `path`.

    Uses a role that is there when one gives nothing else, or else a new one with this privilege
    alone. None where no entry helps: it is held already, the token does not exist, or PVE takes no
    entries on that path.
    """
    only = NewRole(_free_name(table, privilege), (privilege,))
    return _remedy(table, principal, path, privilege, only)


def with_existing_role(
    table: AccessTable, principal: str, path: str, privilege: str
) -> Remediation | None:
    """As `least_privilege_grant`, with the role that gives least beyond the privilege, even if it
    gives more. What may be done with more counts before how many privileges that are."""
    return _remedy(table, principal, path, privilege, None)


def with_role(
    table: AccessTable, principal: str, path: str, privilege: str, role: str
) -> Remediation | None:
    """As `least_privilege_grant`, with this very role."""
    return _remedy(table, principal, path, privilege, None, frozenset({role}))


def through_group(
    table: AccessTable, user: str, path: str, privilege: str, group: str
) -> Remediation | None:
    """As `least_privilege_grant`, by an entry of a group that has one on the path already."""
    only = NewRole(_free_name(table, privilege), (privilege,))
    return _remedy(table, user, path, privilege, only, group=group)


def _remedy(
    table: AccessTable,
    principal: str,
    path: str,
    privilege: str,
    new: NewRole | None,
    choice: frozenset[str] = frozenset(),
    group: str = "",
) -> Remediation | None:
    """`choice`: the roles to choose from, empty for all; `group`: who gets the entries instead."""
    held = privileges(table, principal, path)
    if privilege in held or not table.release.takes_path(path):
        return None
    asked = stands_for(principal)
    trial = _narrowed(table, principal)
    if new is not None:
        trial.roles[new.name] = frozenset(new.privileges)
    fix = _Fix(trial, path, privilege, choice, group or asked)
    if not all(fix.side(identity) for identity in _sides(table, principal)):
        return None
    found = privileges(trial, principal, path)
    if privilege not in found:
        return None
    made = new if new is not None and new.name not in table.roles else None
    groups = {one.principal for one in (*fix.remove, *fix.add) if one.kind == GROUP}
    return Remediation(
        add=tuple(sorted(fix.add)),
        remove=tuple(sorted(fix.remove)),
        role=made if made and any(entry.role == made.name for entry in fix.add) else None,
        extra=tuple(sorted(found.keys() - held.keys() - {privilege})),
        others=tuple(sorted(groups - {asked})),
    )


def _sides(table: AccessTable, principal: str) -> tuple[str, ...]:
    """Whose entries count: the user; the token and its user, unless that is root@pam."""
    split = split_token(principal)
    if split is None:
        return (principal,)
    token = table.tokens.get(principal)
    if token is None:
        return ()
    own = (principal,) if token.privsep else ()
    return own if split[0] == ROOT else (*own, split[0])


class _Fix:
    """Entries that are tried, on a table of its own."""

    def __init__(
        self, trial: AccessTable, path: str, privilege: str, choice: frozenset[str], group: str
    ) -> None:
        self.add: list[TracedEntry] = []
        self.remove: list[TracedEntry] = []
        self._trial = trial
        self._path = path
        self._privilege = privilege
        self._choice = choice or frozenset(trial.roles)
        self._group = group

    def side(self, identity: str) -> bool:
        """Give the privilege to one identity by its own entries; False if that is impossible."""
        before = own_privileges(self._trial, identity, self._path)
        while self._privilege not in own_privileges(self._trial, identity, self._path):
            denials = list(self._denials(identity))
            if not denials:
                return self._grant(identity, before.keys())
            for entry in dict.fromkeys(denials):
                self._put(entry, there=False)
                self.remove.append(entry)
        return True

    def _denials(self, identity: str) -> Iterator[TracedEntry]:
        """NoAccess that no entry of the identity on the path overrides: beside it, or by a pool."""
        for side in trace_decision(self._trial, identity, self._path).sides:
            for one in side.entries if side.principal == identity else ():
                entry = one.entry
                if entry.role == NO_ACCESS and one.effect in (
                    EntryEffect.DECIDES,
                    EntryEffect.NO_ACCESS,
                ):
                    beside = entry.path == self._path and entry.kind != GROUP
                    if beside or one.pool:
                        yield entry

    def _grant(self, identity: str, keep: Iterable[str]) -> bool:
        here = self._there(identity)
        present = {role for role in here if role in self._trial.roles}
        current = () if present else self._current(identity)
        marks = [
            (
                breadth(self._extra(identity, role, current, keep)),
                len(self._trial.roles[role]),
                role,
            )
            for role in sorted(self._choice)
            if self._privilege in self._trial.roles.get(role, ())
        ]
        if not marks:
            return False
        for role in self._needed(identity, min(marks)[2], current, keep):
            entry = self._entry(identity, role)
            self._put(entry, there=True)
            self.add.append(entry)
        return True

    def _current(self, identity: str) -> tuple[str, ...]:
        """The roles that an own entry on the path would take the place of."""
        return tuple(sorted(roles(self._trial, identity, self._path).keys() - {NO_ACCESS}))

    def _extra(
        self, identity: str, role: str, current: tuple[str, ...], keep: Iterable[str]
    ) -> frozenset[str]:
        """The privileges that the role grants in addition."""
        return self._tried(identity, (role, *current)) - set(keep) - {self._privilege}

    def _needed(
        self, identity: str, role: str, current: tuple[str, ...], keep: Iterable[str]
    ) -> tuple[str, ...]:
        """The role, and those of the current ones without which something would be lost."""
        needed = (role, *(one for one in current if one != role))
        for one in needed[1:]:
            without = tuple(kept for kept in needed if kept != one)
            if self._tried(identity, without) >= set(keep):
                needed = without
        return needed

    def _tried(self, identity: str, given: tuple[str, ...]) -> frozenset[str]:
        entries = [self._entry(identity, role) for role in dict.fromkeys(given)]
        here = self._there(identity)
        fresh = [entry for entry in entries if entry.role not in here]
        for entry in fresh:
            self._put(entry, there=True)
        found = frozenset(own_privileges(self._trial, identity, self._path))
        for entry in fresh:
            self._put(entry, there=False)
        return found

    def _holder(self, identity: str) -> tuple[str, str]:
        """Kind and name of the principal that gets the entries."""
        if self._group:
            return GROUP, self._group
        return (USER if split_token(identity) is None else TOKEN), identity

    def _there(self, identity: str) -> Mapping[str, bool]:
        """The roles that the holder of new entries has on the path itself."""
        kind, holder = self._holder(identity)
        return self._trial.acl.get(self._path, {}).get(kind, {}).get(holder, {})

    def _entry(self, identity: str, role: str) -> TracedEntry:
        leaf = _LEAF.fullmatch(self._path) is not None
        return TracedEntry(self._path, *self._holder(identity), role, propagate=leaf)

    def _put(self, entry: TracedEntry, *, there: bool) -> None:
        key = entry.key
        sides = (None, entry.propagate) if there else (entry.propagate, None)
        apply_delta(self._trial, Delta(entries={key: sides}))


def _narrowed(table: AccessTable, principal: str) -> AccessTable:
    """Only what concerns the principal and, for a token, its user."""
    split = split_token(principal)
    user = split[0] if split else principal
    groups = {group for group, members in table.groups.items() if user in members}
    wanted = {USER: {user}, TOKEN: {principal}, GROUP: groups}
    small = AccessTable(
        roles=dict(table.roles),
        groups={group: {user} for group in sorted(groups)},
        users={name: login for name, login in table.users.items() if name == user},
        tokens={name: login for name, login in table.tokens.items() if name == principal},
        pools=dict(table.pools),
        release=table.release,
    )
    for path, kinds in table.acl.items():
        for kind, holders in kinds.items():
            for who, held in holders.items():
                if who in wanted[kind]:
                    for role, propagate in held.items():
                        small.add_entry(path, kind, who, role, propagate=propagate)
    return small


def _free_name(table: AccessTable, privilege: str) -> str:
    """`Only-VM.Snapshot`, or with a number where a role of that name holds something else."""
    name, number = f"Only-{privilege}", 2
    while table.roles.get(name, frozenset({privilege})) != {privilege}:
        name, number = f"Only-{privilege}-{number}", number + 1
    return name
