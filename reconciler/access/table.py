"""What PVE's permission algorithm looks at, without anything else: roles, principals, entries, pools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.access.privileges import BUILT_IN_ROLES

USER, GROUP, TOKEN = "user", "group", "token"


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or a token as PVE sees it when it authenticates; `expires` in Unix seconds, 0 = never."""

    enabled: bool = True
    expires: int = 0
    privsep: bool = True


@dataclass(frozen=True, slots=True)
class PoolMembers:
    guests: frozenset[int] = frozenset()
    storages: frozenset[str] = frozenset()


@dataclass(slots=True)
class AccessTable:
    """Filled by the kinds (`Kind.grants`), read by `evaluate`; never changed afterwards."""

    roles: dict[str, frozenset[str]] = field(default_factory=lambda: dict(BUILT_IN_ROLES))
    groups: dict[str, set[str]] = field(default_factory=dict)
    """group -> members"""
    users: dict[str, Principal] = field(default_factory=dict)
    tokens: dict[str, Principal] = field(default_factory=dict)
    """full token id `user@realm!name` -> token"""
    acl: dict[str, dict[str, dict[str, dict[str, bool]]]] = field(default_factory=dict)
    """path -> kind of principal -> principal -> role -> propagate"""
    pools: dict[str, PoolMembers] = field(default_factory=dict)

    def add_entry(
        self, path: str, kind: str, principal: str, role: str, *, propagate: bool
    ) -> None:
        """Set one ACL entry, as PUT /access/acl does (the last propagate flag wins)."""
        self.acl.setdefault(path, {}).setdefault(kind, {}).setdefault(principal, {})[role] = (
            propagate
        )

    def add_members(self, user: str, groups: Iterable[str]) -> None:
        """Make `user` a member of `groups`."""
        for group in groups:
            self.groups.setdefault(group, set()).add(user)
