"""Privilege-escalation techniques that the PVE API permits.

Sources: User.pm, Role.pm, ACL.pm, Domains.pm of libpve-access-control. Only the last one goes
through a node's operating system.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.access.contents import ROOT, TOKEN, USER, Principal, split_token
from reconciler.access.delta import Delta, Member, Sides, apply_delta
from reconciler.access.escalation.step import FRESH, EscalationStep, Technique
from reconciler.access.evaluate import index_of, privileges
from reconciler.access.table import AccessTable
from reconciler.access.trace import deciding, trace_decision
from reconciler.model.acl_entry import AclEntry


class Useful(NamedTuple):
    """Principals with roles on the decisive paths.

    `acting`: users and tokens, `groups`: groups with roles there. `ghosts`: users that do not exist
    but have such roles. `placed`: groups with any role there. `own`: user -> its own
    entries there.
    """

    acting: frozenset[str]
    groups: frozenset[str]
    ghosts: frozenset[str]
    placed: frozenset[str]
    own: Mapping[str, tuple[object, ...]]


_TRIED = 20
"""Number of distinct users tried as new members of a group."""

GRANT_PATHS = ("/", "/access", "/access/groups", "/access/realm", "/nodes")
"""Paths on which Administrator leads to root; the outermost possible one is enough."""

NODE_PRIVILEGES = ("Sys.Console", "Sys.Modify")


def decisive(path: str) -> bool:
    """Whether roles on `path` can lead to root: on `/`, and below /access and /nodes."""
    return path == "/" or path.startswith(("/access", "/nodes"))


class AttackerState:
    """The identities that an attacker controls; its steps change the table."""

    def __init__(self, table: AccessTable, start: str) -> None:
        self.table = table
        self.identities = {start: None}
        self._done: list[Delta] = []

    def holds(self, who: str, privilege: str, path: str) -> bool:
        return privilege in privileges(self.table, who, path)

    @property
    def is_root(self) -> bool:
        """Whether one of the identities holds every privilege on `/`."""
        every = self.table.release.privileges
        return any(privileges(self.table, who, "/").keys() >= every for who in self.identities)

    def take(self, move: EscalationStep) -> None:
        """Apply a step."""
        if move.way in (Technique.MAKE_TOKEN, Technique.TAKE_REALM):
            self.identities[move.target] = None
        elif move.way is Technique.JOIN_GROUP:
            self._join(move.through, move.target)
        elif move.way is Technique.MAKE_USER:
            self._join(move.target, move.through)
        elif move.way is Technique.EDIT_ROLE:
            held = self.table.roles[move.target]
            self._apply(Delta(roles={move.target: (held, self.table.release.privileges)}))
        elif move.way is Technique.GRANT:
            self._apply(Delta(entries=self._administrator(move.actor, move.target)))

    def back(self) -> None:
        """Restore the table."""
        for delta in reversed(self._done):
            apply_delta(self.table, delta.inverse())
        self._done.clear()

    def _join(self, user: str, group: str) -> None:
        """The user of a step, created if it does not exist."""
        self.identities[user] = None
        new = {} if user in self.table.users else {user: (None, Principal())}
        absent = user not in self.table.groups[group]
        member = {Member(group, user): (None, True)} if absent else {}
        self._apply(Delta(users=new, members=member))

    def _apply(self, delta: Delta) -> None:
        apply_delta(self.table, delta)
        self._done.append(delta)

    def _administrator(self, who: str, path: str) -> Mapping[AclEntry, Sides[bool]]:
        """A token's user gets the entry, too: the actor may grant to both."""
        split = split_token(who)
        named = [(USER, who)] if split is None else [(TOKEN, who), (USER, split[0])]
        return {
            AclEntry(path, kind, name, "Administrator"): (self._flag(path, kind, name), True)
            for kind, name in named
        }

    def _flag(self, path: str, kind: str, name: str) -> bool | None:
        return self.table.acl.get(path, {}).get(kind, {}).get(name, {}).get("Administrator")


def possible_steps(reached: AttackerState, useful: Useful) -> Iterator[EscalationStep]:
    """All steps possible now, without proof."""
    for who in tuple(reached.identities):
        yield from _users(reached, who, useful)
        yield from _roles(reached, who)
        yield from _grants(reached, who)
        yield from _realms(reached, who, useful.acting)
        yield from _nodes(reached, who)


def proven_steps(reached: AttackerState, move: EscalationStep) -> EscalationStep:
    """The step with the entries that permit it as proof."""
    decision = trace_decision(reached.table, move.actor, move.path)
    return move._replace(proof=deciding(decision, reached.table, move.privilege))


def _named(reached: AttackerState, who: str) -> set[str]:
    """The paths with entries for a principal or, for a token, its user."""
    index = index_of(reached.table)
    split = split_token(who)
    return {*index.nodes(who), *(index.nodes(split[0]) if split else ())}


def _groups(reached: AttackerState, who: str, privilege: str) -> list[str]:
    """The groups on which a principal holds a privilege; those without entries are equivalent."""
    named = _named(reached, who)
    others = reached.holds(who, privilege, "/access/groups/-")
    return [
        group
        for group in sorted(reached.table.groups)
        for path in [f"/access/groups/{group}"]
        if (reached.holds(who, privilege, path) if path in named else others)
    ]


def _users(reached: AttackerState, who: str, useful: Useful) -> Iterator[EscalationStep]:
    """User.pm, `userid-group`: User.Modify on /access/groups counts for every user, on a group for
    its members; a created or changed user may be added only to such groups."""
    table = reached.table
    if reached.holds(who, "User.Modify", "/access/groups"):
        yield EscalationStep(Technique.MAKE_TOKEN, who, "User.Modify", "/access/groups", ROOT)
        return
    controlled = _groups(reached, who, "User.Modify")
    paths = {group: f"/access/groups/{group}" for group in controlled}
    for group, path in paths.items():
        for user in sorted(table.groups[group] & (useful.acting | {ROOT})):
            yield EscalationStep(Technique.MAKE_TOKEN, who, "User.Modify", path, user)
    open_groups = [group for group in controlled if group in useful.groups]
    joining = _joining(reached, who, controlled, useful) if open_groups else []
    for group in open_groups:
        for user in joining or [f"{FRESH}{group}@{realm}" for realm in _filled(reached, who)[:1]]:
            if user not in table.groups[group]:
                yield EscalationStep(
                    Technique.JOIN_GROUP, who, "User.Modify", paths[group], group, through=user
                )
    for ghost in sorted(useful.ghosts - table.users.keys()):
        path = f"/access/realm/{ghost.rpartition('@')[2]}"
        if reached.holds(who, "Realm.AllocateUser", path):
            for group in controlled:
                move = EscalationStep(
                    Technique.MAKE_USER, who, "Realm.AllocateUser", path, ghost, through=group
                )
                yield move


def _filled(reached: AttackerState, who: str) -> list[str]:
    """Realms in which a principal may create users; they need not exist (User.pm)."""
    below = "/access/realm/"
    named = (path for path in sorted(_named(reached, who)) if path.startswith(below))
    return [
        path.removeprefix(below)
        for path in (f"{below}pve", *named)
        if reached.holds(who, "Realm.AllocateUser", path)
    ]


def _joining(
    reached: AttackerState, who: str, controlled: Sequence[str], useful: Useful
) -> list[str]:
    """Existing users that a principal may add to another group, one per equivalence class.

    None if the principal may create users, which have no conflicting entries.
    """
    if _filled(reached, who):
        return []
    table = reached.table
    alike: dict[object, str] = {}
    members = {user for group in controlled for user in table.groups[group]}
    for user in sorted(members & table.users.keys()):
        groups = {*index_of(table).groups_of.get(user, ())} & useful.placed
        alike.setdefault((useful.own.get(user, ()), frozenset(groups)), user)
    fewest = sorted(alike.values(), key=lambda user: (len(useful.own.get(user, ())), user))
    return fewest[:_TRIED]


def _roles(reached: AttackerState, who: str) -> Iterator[EscalationStep]:
    """Role.pm: Sys.Modify on /access; what the editor holds does not matter."""
    if not reached.holds(who, "Sys.Modify", "/access"):
        return
    index = index_of(reached.table)
    held = {
        role
        for identity in reached.identities
        for owner in (identity, (split_token(identity) or ("",))[0])
        for path, node in index.nodes(owner).items()
        if decisive(path)
        for found in (node.last, node.inherited)
        if found is not None
        for role in found.roles
    }
    for role in sorted(held - reached.table.release.roles.keys()):
        if reached.table.roles[role] != reached.table.release.privileges:
            yield EscalationStep(Technique.EDIT_ROLE, who, "Sys.Modify", "/access", role)


def _grants(reached: AttackerState, who: str) -> Iterator[EscalationStep]:
    """ACL.pm: Permissions.Modify on a path suffices to grant anything there and below."""
    open_groups = _groups(reached, who, "Permissions.Modify")
    groups = [f"/access/groups/{group}" for group in open_groups]
    found: list[str] = []
    for path in (*GRANT_PATHS, *groups):
        if any(above == "/" or path.startswith(f"{above}/") for above in found):
            continue
        held = privileges(reached.table, who, path)
        if "Permissions.Modify" in held:
            found.append(path)
            if not (held.keys() >= reached.table.release.privileges and all(held.values())):
                yield EscalationStep(Technique.GRANT, who, "Permissions.Modify", path, path)


def _realms(reached: AttackerState, who: str, useful: frozenset[str]) -> Iterator[EscalationStep]:
    """Domains.pm: Realm.Allocate; users of pam and pve are not stored elsewhere."""
    if reached.holds(who, "Realm.Allocate", "/access/realm"):
        for user in sorted(useful & reached.table.users.keys()):
            if "@" in user and user.rpartition("@")[2] not in {"pam", "pve"}:
                yield EscalationStep(
                    Technique.TAKE_REALM, who, "Realm.Allocate", "/access/realm", user
                )


def _nodes(reached: AttackerState, who: str) -> Iterator[EscalationStep]:
    """Console, network, certificates, package sources: the effect depends on the node."""
    named = sorted(path for path in _named(reached, who) if path.startswith("/nodes/"))
    for path in ("/nodes", *named):
        for privilege in NODE_PRIVILEGES:
            if reached.holds(who, privilege, path):
                yield EscalationStep(Technique.NODE, who, privilege, path, path)
                return
