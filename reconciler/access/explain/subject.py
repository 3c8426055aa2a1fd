"""What a user, a token, a group or a role is and has, in a few lines."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from reconciler.access.analysis.affected import owner_of
from reconciler.access.any_member import stands_for
from reconciler.access.contents import GROUP, ROOT, TOKEN, USER
from reconciler.access.evaluate import index_of
from reconciler.access.login import Login, login
from reconciler.access.review.privilege_catalog import privilege_in_words
from reconciler.access.table import AccessTable
from reconciler.access.trace import TracedEntry
from reconciler.text.humanize import count

_EVERYTHING = "every privilege everywhere, without any entry"


class Subject(NamedTuple):
    """A title, and lines with a label each; a line without text is not for showing."""

    title: str
    lines: tuple[tuple[str, str], ...]


def of_principal(table: AccessTable, who: str, now: int = 0) -> Subject:
    """Identity, groups, paths and roles of a user or token."""
    owner = owner_of(who)
    user = owner or who
    groups = index_of(table).groups_of.get(user, ())
    entries = list(_entries(table, {(TOKEN if owner else USER, who)}))
    through = list(_entries(table, {(GROUP, group) for group in groups}))
    tokens = sorted(token for token in table.tokens if owner_of(token) == who)
    state = login(table, who, now)
    kind = f"token of {owner}" if owner else "user"
    record = table.tokens.get(who)
    if owner and record is not None:
        kind += (
            f", with privilege separation: it has what both {owner} and it are granted"
            if record.privsep
            else f", without privilege separation: it has all that {owner} has"
        )
    return Subject(
        f"{who}: {kind}; {'can log in' if state is Login.ACTIVE else state}",
        (
            ("groups", ", ".join(groups) or "none"),
            ("own", _EVERYTHING if who == ROOT else _granted(entries) or "no entries"),
            ("by its user", _of_owner(table, owner) if owner else ""),
            ("by groups", _granted(through, of_groups=True)),
            ("tokens", ", ".join(tokens)),
        ),
    )


def _of_owner(table: AccessTable, owner: str) -> str:
    return _EVERYTHING if owner == ROOT else _granted(_entries(table, {(USER, owner)}))


def of_group(table: AccessTable, group: str, now: int = 0) -> Subject:
    """Members, and what they have by the group."""
    members = sorted(one for one in table.groups[group] if not stands_for(one))
    told = [
        who if login(table, who, now) is Login.ACTIVE else f"{who} ({login(table, who, now)})"
        for who in members
    ]
    entries = list(_entries(table, {(GROUP, group)}))
    words = [
        f"{entry.path}: {privilege_in_words(table.roles.get(entry.role, frozenset()))}"
        for entry in entries
    ]
    return Subject(
        f"group {group}: {count(len(members), 'member')}",
        (
            ("members", ", ".join(told) or "none"),
            ("granted", _granted(entries) or "nothing"),
            ("in words", "; ".join(words)),
        ),
    )


def of_role(table: AccessTable, role: str, needed: Collection[str]) -> Subject:
    """Privileges, who holds it where; `needed`: what expectations ask for, empty for unknown."""
    held = table.roles[role]
    holders = [entry for entry in _everything(table) if entry.role == role]
    where = [f"{entry.kind} {entry.principal} on {entry.path}" for entry in holders]
    idle = sorted(held - set(needed)) if needed else []
    return Subject(
        f"role {role}: {count(len(held), 'privilege')}"
        + (", built in" if role in table.release.roles else ""),
        (
            ("privileges", ", ".join(sorted(held)) or "none"),
            ("in words", privilege_in_words(held) if held else ""),
            ("held by", "; ".join(where) or "no one"),
            ("not needed", f"by any [[expect]]: {', '.join(idle)}" if idle else ""),
        ),
    )


def of_roles(table: AccessTable, first: str, second: str) -> Subject:
    """What one role has more than the other."""
    one, two = table.roles[first], table.roles[second]
    return Subject(
        f"role {first} and role {second}: " + ("the same" if one == two else "different"),
        (
            (f"only {first}", ", ".join(sorted(one - two)) or "nothing"),
            (f"only {second}", ", ".join(sorted(two - one)) or "nothing"),
            ("both", ", ".join(sorted(one & two)) or "nothing"),
        ),
    )


def _everything(table: AccessTable) -> Iterator[TracedEntry]:
    for path in sorted(table.acl):
        for kind, holders in sorted(table.acl[path].items()):
            for who, roles in sorted(holders.items()):
                for role, propagate in sorted(roles.items()):
                    yield TracedEntry(path, kind, who, role, propagate)


def _entries(table: AccessTable, holders: Collection[tuple[str, str]]) -> Iterator[TracedEntry]:
    return (one for one in _everything(table) if (one.kind, one.principal) in holders)


def _granted(entries: Iterator[TracedEntry] | list[TracedEntry], *, of_groups: bool = False) -> str:
    """`PVEVMAdmin on /pool/Dev; PVEAuditor on / (this path only)`"""
    return "; ".join(
        f"{one.role} on {one.path}"
        + ("" if one.propagate else " (this path only)")
        + (f" by {one.principal}" if of_groups else "")
        for one in entries
    )
