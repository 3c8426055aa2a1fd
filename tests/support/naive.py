"""Effective privileges from the text of user.cfg, as slowly and plainly as they can be told.

Written after PVE's own code (`parse_user_config`, `roles` of PVE::AccessControl; `permissions` of
PVE::RPCEnvironment) and sharing nothing with the product, which it is compared with. Pools only
grant on their members in it; propagation is not told, since the privileges on a path below tell it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.pve.release import NEWEST

BUILT_IN_ROLES = NEWEST.roles
PRIVILEGES = NEWEST.privileges

ROOT = "root@pam"


@dataclass
class Config:
    """What user.cfg says."""

    users: dict[str, tuple[bool, int]] = field(default_factory=dict)
    tokens: dict[str, tuple[int, bool]] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    roles: dict[str, frozenset[str]] = field(default_factory=lambda: dict(BUILT_IN_ROLES))
    members: dict[str, set[str]] = field(default_factory=dict)
    acl: list[tuple[str, bool, str, str]] = field(default_factory=list)
    """(path, propagate, `@group`, user or token, role)"""


def read(text: str) -> Config:
    """user.cfg in its normal form."""
    found = Config()
    for line in text.splitlines():
        kind, *rest = line.split(":")
        match kind:
            case "user":
                found.users[rest[0]] = (rest[1] == "1", int(rest[2] or 0))
            case "token":
                found.tokens[rest[0]] = (int(rest[1] or 0), rest[2] == "1")
            case "group":
                found.groups[rest[0]] = set(filter(None, rest[1].split(",")))
            case "role":
                found.roles[rest[0]] = frozenset(filter(None, rest[1].split(",")))
            case "pool":
                paths = {f"/vms/{guest}" for guest in rest[2].split(",") if guest}
                paths |= {f"/storage/{storage}" for storage in rest[3].split(",") if storage}
                found.members[rest[0]] = paths
            case "acl":
                found.acl += [
                    (rest[1], rest[0] == "1", who, role)
                    for who in rest[2].split(",")
                    for role in rest[3].split(",")
                ]
    return found


def logs_in(config: Config, who: str, now: int) -> bool:
    """A token needs its user."""
    user, mark, _ = who.partition("!")
    enabled, expires = config.users.get(user, (user == ROOT, 0))
    if mark:
        if who not in config.tokens:
            return False
        until = config.tokens[who][0]
        if until and until <= now:
            return False
    return enabled and not (expires and expires <= now)


def held(config: Config, who: str, path: str, now: int) -> frozenset[str]:
    """What `who` may do on `path`; nothing for one that cannot log in."""
    if not logs_in(config, who, now):
        return frozenset()
    user, mark, _ = who.partition("!")
    of_user = PRIVILEGES if user == ROOT else _privileges(config, user, path)
    separate = mark and config.tokens[who][1]
    return of_user & _privileges(config, who, path) if separate else frozenset(of_user)


def _privileges(config: Config, who: str, path: str) -> frozenset[str]:
    roles = _roles(config, who, path)
    if "NoAccess" not in roles:
        for pool, members in config.members.items():
            if path in members:
                roles = roles | _roles(config, who, f"/pool/{pool}")
    if "NoAccess" in roles:
        return frozenset()
    return frozenset().union(*(config.roles.get(role, frozenset()) for role in roles))


def _roles(config: Config, who: str, path: str) -> frozenset[str]:
    parts = path.strip("/").split("/") if path != "/" else []
    found: frozenset[str] = frozenset()
    for depth in range(len(parts) + 1):
        place = "/" + "/".join(parts[:depth])
        here = [one for one in config.acl if one[0] == place and (one[1] or place == path)]
        own = frozenset(role for _, _, name, role in here if name == who)
        shared = frozenset(
            role
            for _, _, name, role in here
            if name.startswith("@") and who in config.groups.get(name[1:], ())
        )
        found = own or shared or found
    return found
