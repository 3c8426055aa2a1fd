"""What PVE's permission algorithm looks at: roles, principals, entries, pools; nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.pve.release import NEWEST, Release

if TYPE_CHECKING:
    from reconciler.access.index import Index

USER, GROUP, TOKEN = "user", "group", "token"

ROOT = "root@pam"
"""Holds every privilege everywhere; entries for it mean nothing."""

_TOKEN_ID = re.compile(
    r"([^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+)!([A-Za-z][A-Za-z0-9.\-_]+)",
)


@lru_cache(maxsize=65536)
def split_token(principal: str) -> tuple[str, str] | None:
    """`user@realm!name` -> (`user@realm`, `name`); None for anything that is no token id."""
    match = _TOKEN_ID.fullmatch(principal)
    return (match[1], match[2]) if match else None


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or a token as PVE sees it at login; `expires` in Unix seconds, 0 = never."""

    enabled: bool = True
    expires: int = 0
    privsep: bool = True


@dataclass(frozen=True, slots=True)
class PoolMembers:
    """The direct members of a pool; those of its sub-pools are not among them."""

    guests: frozenset[int] = frozenset()
    storages: frozenset[str] = frozenset()


@dataclass(slots=True)
class AccessTable:
    """Filled by the kinds (`Kind.grants`), read by `evaluate`; later changes go through `delta`."""

    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    """role -> privileges; the built-in roles of `release` are always among them"""
    groups: dict[str, set[str]] = field(default_factory=dict)
    """group -> members"""
    users: dict[str, Principal] = field(default_factory=dict)
    tokens: dict[str, Principal] = field(default_factory=dict)
    """full token id `user@realm!name` -> token"""
    acl: dict[str, dict[str, dict[str, dict[str, bool]]]] = field(default_factory=dict)
    """path -> kind of principal -> principal -> role -> propagate"""
    pools: dict[str, PoolMembers] = field(default_factory=dict)
    release: Release = NEWEST
    index: Index | None = field(default=None, init=False, repr=False, compare=False)
    """Made by `evaluate` at the first question; forgotten by `add_entry` and `add_members`."""

    def __post_init__(self) -> None:
        self.roles = {**self.release.roles, **self.roles}

    def copy(self) -> AccessTable:
        """One that can change without changing this one."""
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
