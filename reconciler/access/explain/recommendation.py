"""Recommend a grant for a missing privilege: the one that allows least."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from reconciler.access.any_member import stands_for
from reconciler.access.contents import GROUP, ROOT, TOKEN, USER, split_token
from reconciler.access.delta import Delta, apply_delta
from reconciler.access.evaluate import own_privileges, privileges, roles
from reconciler.access.explain.call import Missing
from reconciler.access.explain.remediation import (
    Remediation,
    least_privilege_grant,
    through_group,
    with_existing_role,
    with_role,
)
from reconciler.access.review.privilege_catalog import Level, breadth, least, level
from reconciler.access.table import AccessTable
from reconciler.access.trace import EntryEffect, TracedEntry, trace_decision


def recommended(
    table: AccessTable, principal: str, path: str, privilege: str
) -> tuple[Remediation, ...]:
    """Ways to give a missing privilege on the normalised `path`, best first; empty where none is.

    First what completes a pair: the token's own role for its user. Then an entry of a group of the
    user that has one on the path. Then a role that is there and adds nothing but what can be seen,
    as PVEAuditor does. Then a new role with the privilege alone; and last one that is there and
    gives more, but nothing of a higher level, nor what leads to other privileges.
    """
    found: dict[tuple[object, ...], Remediation] = {}
    for way in _ways(table, principal, path, privilege):
        found.setdefault((way.add, way.remove), way)
    return tuple(found.values())


def for_missing(
    table: AccessTable, principal: str, missing: Iterable[Missing]
) -> tuple[Remediation, ...]:
    """The best way for each in turn, as it is after those before."""
    trial, found = table.copy(), []
    for path, names, some in missing:
        for privilege in (least(names),) if some else names:
            for way in recommended(trial, principal, path, privilege)[:1]:
                apply_remediation(trial, way)
                found.append(way)
    return tuple(found)


def apply_remediation(table: AccessTable, remedy: Remediation) -> None:
    """Change the table as the commands would change the cluster."""
    if remedy.role is not None:
        table.roles[remedy.role.name] = frozenset(remedy.role.privileges)
    for entries, there in ((remedy.remove, False), (remedy.add, True)):
        for entry in entries:
            key = entry.key
            sides = (None, entry.propagate) if there else (entry.propagate, None)
            apply_delta(table, Delta(entries={key: sides}))


def _ways(table: AccessTable, principal: str, path: str, privilege: str) -> Iterator[Remediation]:
    only = least_privilege_grant(table, principal, path, privilege)
    if only is None:
        return
    if not only.add:
        yield only
        return
    yield from _completed_pair(table, principal, path, privilege)
    yield from _by_group(table, principal, path, privilege)
    existing = with_existing_role(table, principal, path, privilege)
    names = ", ".join(sorted({entry.role for entry in existing.add})) if existing else ""
    wider, leading, _ = breadth(existing.extra if existing else ())
    if existing is not None and wider <= Level.VIEW:
        more = "adds only read privileges" if existing.extra else "grants nothing else"
        yield replace(existing, why=f"{names} already exists and {more}")
    yield replace(only, why=f"A role with {privilege} alone" if only.role else "")
    if existing is not None and wider <= level((privilege,)) and not leading:
        yield replace(existing, why=f"{names} already exists and grants more")


def _completed_pair(
    table: AccessTable, token: str, path: str, privilege: str
) -> Iterator[Remediation]:
    """The role by which a token has the privilege, for its user, who lacks it."""
    split, record = split_token(token), table.tokens.get(token)
    if split is None or record is None or not record.privsep or split[0] == ROOT:
        return
    if privilege not in own_privileges(table, token, path):
        return
    for side in trace_decision(table, token, path).sides:
        giving = {
            one.entry.role: one.entry.path if one.pool else path
            for one in side.entries
            if side.principal == token
            and one.effect is EntryEffect.DECIDES
            and privilege in table.roles.get(one.entry.role, ())
        }
        for role in sorted(giving, key=lambda name: (breadth(table.roles[name]), name)):
            for place in dict.fromkeys((giving[role], path)):
                way = with_role(table, token, place, privilege, role)
                if way is None:
                    continue
                way = replace(way, add=tuple(_as_the_token(table, token, one) for one in way.add))
                if place == path or _leads_to(table, token, path, privilege, way):
                    why = "gets the role that its token has there; a token has only what both have"
                    yield replace(way, why=f"{split[0]} {why}")
                    return


def _leads_to(table: AccessTable, token: str, path: str, privilege: str, way: Remediation) -> bool:
    """Whether a way on a pool gives the privilege on the path of a member and takes nothing there,
    which NoAccess on that path would prevent."""
    trial, user = table.copy(), token.partition("!")[0]
    apply_remediation(trial, way)
    kept = privileges(trial, user, path).keys() >= privileges(table, user, path).keys()
    return kept and privilege in privileges(trial, token, path)


def _as_the_token(table: AccessTable, token: str, entry: TracedEntry) -> TracedEntry:
    """The entry of the user with the flag of its token's, where that takes nothing from the user:
    with no role on the path it inherits none that would end there."""
    own = table.acl.get(entry.path, {}).get(TOKEN, {}).get(token, {})
    if own.get(entry.role) and not roles(table, entry.principal, entry.path):
        return replace(entry, propagate=True)
    return entry


def _by_group(table: AccessTable, user: str, path: str, privilege: str) -> Iterator[Remediation]:
    """Through a group of the user with an entry on the very path, where the user has none."""
    here = table.acl.get(path, {})
    if split_token(user) is not None or stands_for(user) or here.get(USER, {}).get(user):
        return
    real = [name for name, held in here.get(GROUP, {}).items() if held.keys() & table.roles.keys()]
    for group in _own_groups(table, user, real):
        way = through_group(table, user, path, privilege, group)
        if way is not None:
            others = table.groups[group] - {user}
            why = f"{user} has its roles there through group {group}"
            yield replace(way, why=why, others=(group,) if others else ())
            return


def _own_groups(table: AccessTable, user: str, named: Iterable[str]) -> list[str]:
    """The smallest first: fewest others get what is given to it."""
    own = [group for group in named if user in table.groups.get(group, ())]
    return sorted(own, key=lambda group: (len(table.groups[group]), group))
