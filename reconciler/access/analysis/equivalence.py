"""Equivalence classes of principals and paths with identical privileges.

What a principal may do on a path depends on the entries above the path that concern it, and on its
roles on the pools of which the path is a member. So all paths between two such entries are
equivalent if their pools are, and so are all principals of the same groups without entries of
their own. One evaluation per class covers all of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence, Set
from typing import NamedTuple

from reconciler.access.analysis.affected import Affected, owner_of
from reconciler.access.analysis.path_partition import PathPartition
from reconciler.access.contents import ROOT
from reconciler.access.evaluate import index_of, privileges
from reconciler.access.index import Flags
from reconciler.access.login import active
from reconciler.access.path_index import PathIndex
from reconciler.access.table import AccessTable


class EquivalenceClass(NamedTuple):
    """In each of the tables all `principals` hold the same privileges on all `paths`."""

    principals: tuple[str, ...]
    paths: tuple[str, ...]
    held: tuple[Flags, ...]
    """usable privileges, table by table"""


def held(table: AccessTable, principal: str, path: str, now: int = 0) -> Flags:
    """The privileges of a principal that can log in; nothing for any other."""
    return privileges(table, principal, path) if active(table, principal, now) else {}


def equivalence_classes(
    tables: Sequence[AccessTable],
    touched: Affected,
    paths: PathIndex,
    now: int = 0,
    ground: PathPartition | None = None,
) -> Iterator[EquivalenceClass]:
    """Every pair of an affected principal and a path that its roots reach is in exactly one class.

    Left out: principals that can use nothing in any of the tables. `now` in Unix seconds; with 0
    nothing counts as expired. `ground`: the partition of the same tables and paths, for repeated
    calls; it is valid until the members of a pool change.
    """
    alike: dict[tuple[frozenset[str], tuple[Hashable, ...]], list[str]] = {}
    for principal, roots in touched.items():
        signs = tuple(signature(table, principal, now) for table in tables)
        if any(sign is not None for sign in signs):
            alike.setdefault((roots, signs), []).append(principal)
    ground = ground or PathPartition(tables, paths)
    for (roots, signs), who in alike.items():
        here = [
            (table, who[0]) if sign is not None else None
            for table, sign in zip(tables, signs, strict=True)
        ]
        for part in ground.parts(_identities(tables, who[0]), roots):
            flags = tuple(privileges(*one, part[0]) if one else {} for one in here)
            yield EquivalenceClass(tuple(who), tuple(part), flags)


def signature(table: AccessTable, principal: str, now: int = 0) -> Hashable:
    """A key equal for principals with identical privileges; None for those without any."""
    index = index_of(table)
    if not active(table, principal, now):
        return None
    owner = owner_of(principal)
    if owner is not None and not table.tokens[principal].privsep:
        principal, owner = owner, None
    if principal == ROOT:
        return ROOT
    nodes = index.nodes(principal)
    if not nodes:
        return None
    if owner is None or owner == ROOT:
        return id(nodes)
    above = index.nodes(owner)
    return (id(nodes), id(above)) if above else None


def granted_anywhere(table: AccessTable, principal: str) -> Set[str]:
    """Every privilege that an entry grants the principal on some path, and maybe more: it holds no
    other anywhere. Costs its entries, not the paths."""
    index = index_of(table)
    token = index.tokens.get(principal)
    owner = owner_of(principal)
    if owner is not None and (token is None or not token.privsep):
        principal = owner
    if principal == ROOT:
        return index.everything_granted.keys()
    found: set[str] = set()
    for node in index.nodes(principal).values():
        for roles in node:
            if roles is not None:
                found.update(roles.privileges)
    return found


def _identities(tables: Sequence[AccessTable], principal: str) -> tuple[str, ...]:
    """Principals whose entries may apply in one of the tables."""
    owner = owner_of(principal)
    if owner is None:
        return (principal,)
    tokens = [table.tokens.get(principal) for table in tables]
    own = (principal,) if any(token is not None and token.privsep for token in tokens) else ()
    return (*own, owner)
