"""The input of PVE's permission algorithm: roles, principals, entries, pools."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from reconciler.pve.release import NEWEST, Release

USER, GROUP, TOKEN = "user", "group", "token"

ROOT = "root@pam"
"""Holds every privilege everywhere; entries for it have no effect."""

_TOKEN_ID = re.compile(
    r"([^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+)!([A-Za-z][A-Za-z0-9.\-_]+)",
)


@lru_cache(maxsize=65536)
def split_token(principal: str) -> tuple[str, str] | None:
    """`user@realm!name` -> (`user@realm`, `name`); None for anything that is not a token ID."""
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
    """The direct members of a pool, without those of its sub-pools."""

    guests: frozenset[int] = frozenset()
    storages: frozenset[str] = frozenset()


@dataclass(slots=True)
class AccessContents:
    """All objects that decide access, without derived data."""

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

    def __post_init__(self) -> None:
        self.roles = {**self.release.roles, **self.roles}
