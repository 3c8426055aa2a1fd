"""Access of all principals as one value: its contents, and the index that answers queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.access.contents import AccessContents
from reconciler.access.index import Index


@dataclass(slots=True)
class AccessTable(AccessContents):
    """Filled by the kinds (`Kind.fill_access`), read by `evaluate`, changed by way of `delta`."""

    index: Index | None = field(default=None, init=False, repr=False, compare=False)
    """Built by `evaluate` at the first query; discarded by `add_entry` and `add_members`."""

    def copy(self) -> AccessTable:
        """An independent copy."""
        return AccessTable(
            roles=dict(self.roles),
            groups={group: set(members) for group, members in self.groups.items()},
            users=dict(self.users),
            tokens=dict(self.tokens),
            acl={
                path: {
                    kind: {who: dict(roles) for who, roles in holders.items()}
                    for kind, holders in kinds.items()
                }
                for path, kinds in self.acl.items()
            },
            pools=dict(self.pools),
            release=self.release,
        )

    def add_entry(
        self, path: str, kind: str, principal: str, role: str, *, propagate: bool
    ) -> None:
        """Set one ACL entry, as PUT /access/acl does (the last propagate flag wins)."""
        self.index = None
        self.acl.setdefault(path, {}).setdefault(kind, {}).setdefault(principal, {})[role] = (
            propagate
        )

    def add_members(self, user: str, groups: Iterable[str]) -> None:
        """Make `user` a member of `groups`."""
        self.index = None
        for group in groups:
            self.groups.setdefault(group, set()).add(user)
