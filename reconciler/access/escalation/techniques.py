"""Single steps by which somebody can come to hold more than it was given.

Each is something that PVE's API allows (User.pm, Role.pm, ACL.pm, Domains.pm of
libpve-access-control), but for the last one, which leads through a node's operating system.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.access.contents import ROOT, TOKEN, USER, Principal, split_token
from reconciler.access.delta import Delta, Member, Sides, apply_delta
from reconciler.access.escalation.step import FRESH, EscalationStep, Technique
from reconciler.access.evaluate import index_of, privileges
from reconciler.access.explain.explain import deciding
from reconciler.access.table import AccessTable
from reconciler.access.trace import trace_decision
from reconciler.model.acl_entry import AclEntry


class Useful(NamedTuple):
    """What in the decisive places leads on.

    `acting`: users and tokens, `groups`: groups with roles there. `ghosts`: users that do not exist
    and have such roles all the same. `placed`: groups with any role there. `own`: user -> its own
    entries there.
    """

    acting: frozenset[str]
    groups: frozenset[str]
    ghosts: frozenset[str]
    placed: frozenset[str]
    own: Mapping[str, tuple[object, ...]]


_TRIED = 20
"""How many users that are not alike are tried as new members of a group."""

GRANT_PATHS = ("/", "/access", "/access/groups", "/access/realm", "/nodes")
"""Where Administrator leads to root; of several that are open, the outermost is enough."""

NODE_PRIVILEGES = ("Sys.Console", "Sys.Modify")


def decisive(path: str) -> bool:
    """Whether roles on `path` can lead to root: on `/`, and below /access and /nodes."""
    return path == "/" or path.startswith(("/access", "/nodes"))


class AttackerState:
    """Who somebody can act as, and the table as its steps have made it. Changes the table."""

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
        """What the move leads to."""
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
        """Make the table what it was."""
        for delta in reversed(self._done):
            apply_delta(self.table, delta.inverse())
        self._done.clear()

    def _join(self, user: str, group: str) -> None:
        """A user that is made for that where it does not exist."""
        self.identities[user] = None
        new = {} if user in self.table.users else {user: (None, Principal())}
        absent = user not in self.table.groups[group]
        member = {Member(group, user): (None, True)} if absent else {}
        self._apply(Delta(users=new, members=member))

    def _apply(self, delta: Delta) -> None:
        apply_delta(self.table, delta)
        self._done.append(delta)

    def _administrator(self, who: str, path: str) -> Mapping[AclEntry, Sides[bool]]:
        """For a token its user gets the entry, too: whoever may grant may grant to both."""
        split = split_token(who)
        named = [(USER, who)] if split is None else [(TOKEN, who), (USER, split[0])]
        return {
            AclEntry(path, kind, name, "Administrator"): (self._flag(path, kind, name), True)
            for kind, name in named
        }

    def _flag(self, path: str, kind: str, name: str) -> bool | None:
        return self.table.acl.get(path, {}).get(kind, {}).get(name, {}).get("Administrator")


def possible_steps(reached: AttackerState, useful: Useful) -> Iterator[EscalationStep]:
    """All single steps that are open now, without proof."""
    for who in tuple(reached.identities):
        yield from _users(reached, who, useful)
        yield from _roles(reached, who)
        yield from _grants(reached, who)
        yield from _realms(reached, who, useful.acting)
        yield from _nodes(reached, who)


def proven_steps(reached: AttackerState, move: EscalationStep) -> EscalationStep:
    """With the entries by which the actor can make the move now."""
    decision = trace_decision(reached.table, move.actor, move.path)
    return move._replace(proof=deciding(decision, reached.table, move.privilege))


def _named(reached: AttackerState, who: str) -> set[str]:
    """The paths with entries for somebody or, for a token, its user."""
    index = index_of(reached.table)
    split = split_token(who)
    return {*index.nodes(who), *(index.nodes(split[0]) if split else ())}


def _groups(reached: AttackerState, who: str, privilege: str) -> list[str]:
    """The groups on which somebody holds a privilege; those without entries are all alike."""
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
    its members; whoever is made or changed may be put into such groups alone."""
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
    """Realms in which somebody may make users; none of them needs to exist (User.pm)."""
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
    """Existing users that somebody may put into another group, one of those that are alike.

    Nobody where he may make users of his own, which have no entries in the way.
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
    """ACL.pm: Permissions.Modify on a path is enough to grant anything there and below."""
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
    """Domains.pm: Realm.Allocate; users of pam and pve are not kept elsewhere."""
    if reached.holds(who, "Realm.Allocate", "/access/realm"):
        for user in sorted(useful & reached.table.users.keys()):
            if "@" in user and user.rpartition("@")[2] not in {"pam", "pve"}:
                yield EscalationStep(
                    Technique.TAKE_REALM, who, "Realm.Allocate", "/access/realm", user
                )


def _nodes(reached: AttackerState, who: str) -> Iterator[EscalationStep]:
    """Console, network, certificates, package sources: how far that leads depends on the node."""
    named = sorted(path for path in _named(reached, who) if path.startswith("/nodes/"))
    for path in ("/nodes", *named):
        for privilege in NODE_PRIVILEGES:
            if reached.holds(who, privilege, path):
                yield EscalationStep(Technique.NODE, who, privilege, path, path)
                return
