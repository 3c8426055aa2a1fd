"""Users to whom something is granted: by an entry of their own, of a group, or of a token."""

from __future__ import annotations

from reconciler.access.analysis.affected import owner_of
from reconciler.access.contents import GROUP, ROOT, TOKEN, USER
from reconciler.access.evaluate import index_of
from reconciler.access.table import AccessTable


def granted_users(table: AccessTable) -> frozenset[str]:
    """The users that an entry names, themselves or by a group or a token; root@pam always."""
    groups, owners = _named(table, GROUP), {owner_of(token) for token in _named(table, TOKEN)}
    members = {
        user for user, own in index_of(table).groups_of.items() if not groups.isdisjoint(own)
    }
    return frozenset({ROOT, *members, *_named(table, USER), *filter(None, owners)})


def _named(table: AccessTable, kind: str) -> set[str]:
    return {name for kinds in table.acl.values() for name in kinds.get(kind, ())}
