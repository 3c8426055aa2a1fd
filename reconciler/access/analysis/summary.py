"""Effects on access for people: groups instead of members, pools instead of guests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from reconciler.access.analysis.affected import owner_of
from reconciler.access.analysis.effects import AccessEffect
from reconciler.access.analysis.impact import Impact
from reconciler.access.analysis.path_groups import PathGroup, PathGroups
from reconciler.access.any_member import stands_for
from reconciler.access.contents import GROUP
from reconciler.access.evaluate import index_of
from reconciler.access.index import NO_ACCESS
from reconciler.access.login import active
from reconciler.access.table import AccessTable
from reconciler.pve.acl_paths import chain
from reconciler.text.humanize import SHOWN, counts, in_prose

_LOOKED_AT = 20
"""Number of paths of an effect checked for being caused by a group."""


class PrincipalGroup(NamedTuple):
    """The members of `group` with their tokens; without a group, individual principals."""

    group: str
    users: tuple[str, ...]
    tokens: tuple[str, ...]

    def __str__(self) -> str:
        known = [user for user in self.users if not stands_for(user)]
        if self.group and (known or not self.users):
            return f"{self.group} ({_count(known, self.tokens)})"
        return in_prose((*self.users, *self.tokens))


class PrivilegeSet(NamedTuple):
    """Privileges; `role`: one that holds exactly these, if any."""

    privileges: tuple[str, ...]
    role: str = ""

    def __str__(self) -> str:
        if self.role == "Administrator":
            return "every privilege"
        if len(self.privileges) <= SHOWN:
            return in_prose(self.privileges)
        if self.role:
            return f"the {len(self.privileges)} privileges of {self.role}"
        shown = ", ".join(self.privileges[:SHOWN])
        return f"{shown} and {len(self.privileges) - SHOWN} more privileges"


class Statement(NamedTuple):
    """One sentence: who gains and loses which privileges where."""

    who: tuple[PrincipalGroup, ...]
    gains: PrivilegeSet
    loses: PrivilegeSet
    where: tuple[PathGroup, ...]

    def __str__(self) -> str:
        """`VM-Operators (12 users, 3 tokens) gain VM.Snapshot on 14 guests of pool Dev`."""
        one = self.size == 1
        return self._told(*(("gains", "loses") if one else ("gain", "lose")))

    def in_past(self) -> str:
        """`alice@pve has gained VM.Snapshot on /vms/100`."""
        has = "has" if self.size == 1 else "have"
        return self._told(f"{has} gained", f"{has} lost")

    def _told(self, gain: str, lose: str) -> str:
        what = [
            f"{verb} {rights}"
            for verb, rights in ((gain, self.gains), (lose, self.loses))
            if rights.privileges
        ]
        who = " and ".join(str(crowd) for crowd in self.who)
        return f"{who} {' and '.join(what)} on {in_prose([str(area) for area in self.where])}"

    @property
    def mark(self) -> str:
        """`+` for gains only, `-` for losses only, `~` for both."""
        if not self.loses.privileges:
            return "+"
        return "~" if self.gains.privileges else "-"

    @property
    def principals(self) -> tuple[str, ...]:
        """All who are meant."""
        return tuple(one for crowd in self.who for one in (*crowd.users, *crowd.tokens))

    @property
    def size(self) -> int:
        """Number of principals."""
        return len(self.principals)

    @property
    def is_everything(self) -> bool:
        """Whether it says of each that it gains every privilege everywhere, and nothing else."""
        where = [(one.path, bool(one.below), one.but) for one in self.where]
        every = self.gains.role == "Administrator" and not self.loses.privileges
        return every and where == [("/", True, ())]

    def to_json(self) -> dict[str, Any]:
        return {
            "who": [crowd._asdict() for crowd in self.who],
            "gains": self.gains._asdict(),
            "loses": self.loses._asdict(),
            "where": [area._asdict() for area in self.where],
            "mark": self.mark,
            "text": str(self),
        }


def summarise(impact: Impact, table: AccessTable, now: int = 0) -> tuple[Statement, ...]:
    """The effects as few sentences, those with most principals first.

    `table`: the table after the change, for groups and pools. Principals that can no longer log in
    lose everything; `impact.logins` says so, and no line here repeats it.
    """
    out = {who for change in impact.logins if change.after != "active" for who in change.principals}
    named = {key.principal for key in impact.delta.entries if key.kind == GROUP}
    groups = _groups(table, named, now)
    roles = _roles(table)
    places = PathGroups(impact.paths, index_of(table).members)
    lines = []
    for effect in impact.effects:
        who = [principal for principal in effect.principals if principal not in out]
        if who:
            lines.append(
                Statement(
                    _crowds(who, [one for one in groups if _gives(table, one[0], effect)]),
                    _rights(effect.gained, roles),
                    _rights(effect.lost, roles),
                    places.of(effect.paths),
                )
            )
    return tuple(sorted(lines, key=lambda line: (-line.size, line)))


def _groups(table: AccessTable, named: set[str], now: int) -> list[tuple[str, set[str]]]:
    """Groups with their members that can log in, largest first.

    A group of one represents its member only if the change names the group.
    """
    found = []
    for group in sorted(table.groups):
        members = {user for user in table.groups[group] if active(table, user, now)}
        if len(members) > 1 or (members and group in named):
            found.append((group, members))
    return sorted(found, key=lambda item: (item[0] not in named, -len(item[1]), item[0]))


def _gives(table: AccessTable, group: str, effect: AccessEffect) -> bool:
    """Whether members gain through the group, so that later members gain the same."""
    gained = frozenset(effect.gained)
    return all(gained <= _of_members(table, group, path) for path in effect.paths[:_LOOKED_AT])


def _of_members(table: AccessTable, group: str, path: str) -> frozenset[str]:
    """The privileges of a member without own entries through this group alone."""
    roles = _given(table, group, path)
    if NO_ACCESS not in roles:
        for pool in index_of(table).pools_of.get(path, ()):
            roles = roles | _given(table, group, pool)
    if NO_ACCESS in roles:
        return frozenset()
    return frozenset().union(*(table.roles.get(role, frozenset()) for role in roles))


def _given(table: AccessTable, group: str, path: str) -> frozenset[str]:
    found: frozenset[str] = frozenset()
    for place in chain(path):
        roles = table.acl.get(place, {}).get(GROUP, {}).get(group, {})
        found = frozenset(r for r, spreads in roles.items() if spreads or place == path) or found
    return found


def _crowds(
    who: Sequence[str], groups: Iterable[tuple[str, set[str]]]
) -> tuple[PrincipalGroup, ...]:
    """Groups whose members are all affected, then the other principals."""
    rest = {principal for principal in who if owner_of(principal) is None}
    tokens: dict[str, list[str]] = {user: [] for user in sorted(rest)}
    alone = []
    for principal in who:
        owner = owner_of(principal)
        if owner in rest:
            tokens[owner].append(principal)
        elif owner is not None:
            alone.append(principal)
    crowds = []
    for group, members in groups:
        if members <= rest:
            rest -= members
            users = tuple(sorted(members))
            crowds.append(
                PrincipalGroup(group, users, tuple(t for user in users for t in tokens[user]))
            )
    if rest or alone:
        owned = [token for user in sorted(rest) for token in tokens[user]]
        crowds.append(PrincipalGroup("", tuple(sorted(rest)), tuple(sorted([*alone, *owned]))))
    return tuple(crowds)


def _roles(table: AccessTable) -> Mapping[tuple[str, ...], str]:
    """Privileges -> the role that holds exactly these; built-in ones last."""
    found: dict[tuple[str, ...], str] = {}
    for role in sorted(table.roles, key=lambda role: (role.startswith("PVE"), role)):
        found.setdefault(tuple(sorted(table.roles[role])), role)
    return found


def _rights(privileges: tuple[str, ...], roles: Mapping[tuple[str, ...], str]) -> PrivilegeSet:
    return PrivilegeSet(privileges, roles.get(privileges, "") if privileges else "")


def _count(users: Sequence[str], tokens: Sequence[str]) -> str:
    return counts([(len(users), "user"), (len(tokens), "token")])
