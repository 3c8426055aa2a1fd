"""user.cfg, read and written exactly as PVE does (`parse_user_config`, `write_user_config`).

Users, groups, roles, tokens, pools and ACL entries stand in this one file. Reading never fails:
what PVE does not understand it skips, and the next write loses it. Writing gives PVE's normal form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.access.table import GROUP, ROOT, TOKEN, USER, split_token
from reconciler.pve.acl_paths import normalize_path, segments
from reconciler.pve.builtin_roles import BUILT_IN_ROLES, PRIVILEGES
from reconciler.pve.formats import is_username, split_list
from reconciler.sandbox.config.perltext import (
    decode_text,
    encode_text,
    file_bytes,
    file_text,
    number_text,
    true,
)

_NAME = re.compile(r"[A-Za-z0-9.\-_]+")
_POOL = re.compile(rf"{_NAME.pattern}(?:/{_NAME.pattern}){{0,2}}")
_STORAGE = re.compile(r"[A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]")
_NUMBER = re.compile(r"[0-9]+")

Roles = dict[str, bool]
"""role -> propagate"""


@dataclass(slots=True)
class Token:
    """`expire` in Unix seconds, 0 = never; None where the call that made it did not say."""

    expire: int | None = 0
    privsep: bool = True
    comment: str = ""


@dataclass(slots=True)
class User:
    """None for what the line does not hold; PVE answers with `""` for an email that is there."""

    enable: bool = True
    expire: int | None = None
    firstname: str | None = None
    lastname: str | None = None
    email: str | None = None
    comment: str | None = None
    keys: str | None = None
    tokens: dict[str, Token] = field(default_factory=dict)


@dataclass(slots=True)
class Group:
    """Members need not exist."""

    users: set[str] = field(default_factory=set)
    comment: str | None = None


@dataclass(slots=True)
class Pool:
    """Members need not exist; a guest is in one pool only."""

    comment: str | None = None
    vms: set[int] = field(default_factory=set)
    storage: set[str] = field(default_factory=set)


@dataclass(slots=True)
class AclNode:
    """The entries of one path, by kind of principal."""

    users: dict[str, Roles] = field(default_factory=dict)
    groups: dict[str, Roles] = field(default_factory=dict)
    tokens: dict[str, Roles] = field(default_factory=dict)

    def kinds(self) -> Iterable[tuple[str, dict[str, Roles]]]:
        return ((USER, self.users), (GROUP, self.groups), (TOKEN, self.tokens))


@dataclass(slots=True)
class UserConfig:
    """The whole file. `roles` holds custom roles only."""

    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    roles: dict[str, set[str]] = field(default_factory=dict)
    acl: dict[str, AclNode] = field(default_factory=dict)

    def has_role(self, role: str) -> bool:
        return role in BUILT_IN_ROLES or role in self.roles

    def privileges_of(self, role: str) -> Iterable[str]:
        return BUILT_IN_ROLES[role] if role in BUILT_IN_ROLES else self.roles[role]

    def node(self, path: str) -> AclNode:
        """The entries of a path, made when there are none. PVE skips a segment `0`."""
        names = [name for name in path.split("/") if name not in ("", "0")]
        return self.acl.setdefault("/" + "/".join(names), AclNode())

    def pool_of(self, guest: int) -> str | None:
        return next((name for name, pool in self.pools.items() if guest in pool.vms), None)

    def groups_of(self, user: str) -> list[str]:
        return sorted(name for name, group in self.groups.items() if user in group.users)

    def delete_acl_below(self, path: str) -> bool:
        """Remove the entries of `path` and of everything below it; whether there were any."""
        gone = [node for node in self.acl if node == path or node.startswith(f"{path}/")]
        for node in gone:
            del self.acl[node]
        return bool(gone)


def parse(raw: bytes) -> UserConfig:
    """Lines in any order, but a user, group, role or token stands before an entry that names it."""
    cfg = UserConfig(users={ROOT: User()})
    for line in file_text(raw).split("\n"):
        fields = [part.strip(" \t\r\f\v") for part in line.strip(" \t\r\f\v").split(":")]
        while fields and not fields[-1]:
            fields.pop()
        if fields and (read := _READERS.get(fields[0])):
            read(cfg, _Fields(fields[1:]))
    return cfg


class _Fields(list[str]):
    def at(self, place: int) -> str:
        return self[place] if place < len(self) else ""

    def text(self, place: int) -> str | None:
        """Decoded; None when empty or `0`."""
        return decode_text(self.at(place)) if true(self.at(place)) else None


def _expire(text: str) -> int | None:
    if not true(text):
        return 0
    return int(text) if _NUMBER.fullmatch(text) else None


def _read_user(cfg: UserConfig, data: _Fields) -> None:
    name, expire = data.at(0), _expire(data.at(2))
    if not is_username(name) or expire is None:
        return
    cfg.users[name] = User(
        enable=true(data.at(1)),
        expire=expire,
        firstname=data.text(3),
        lastname=data.text(4),
        email=data[5] if len(data) > 5 else None,
        comment=data.text(6),
        keys=data.at(7) if true(data.at(7)) else None,
    )


def _read_token(cfg: UserConfig, data: _Fields) -> None:
    split, expire = split_token(data.at(0)), _expire(data.at(1))
    if split is None or expire is None or split[0] not in cfg.users:
        return
    token = cfg.users[split[0]].tokens.setdefault(split[1], Token())
    token.expire, token.privsep = expire, true(data.at(2))
    token.comment = data.text(3) or token.comment


def _read_group(cfg: UserConfig, data: _Fields) -> None:
    if not _NAME.fullmatch(data.at(0)):
        return
    group = cfg.groups.setdefault(data.at(0), Group())
    group.comment = data.text(2) or group.comment
    group.users.update(user for user in split_list(data.at(1)) if is_username(user))


def _read_role(cfg: UserConfig, data: _Fields) -> None:
    if not _NAME.fullmatch(data.at(0)) or data.at(0) in BUILT_IN_ROLES:
        return
    role = cfg.roles.setdefault(data.at(0), set())
    role.update(privilege for privilege in split_list(data.at(1)) if privilege in PRIVILEGES)


def _read_pool(cfg: UserConfig, data: _Fields) -> None:
    if not _POOL.fullmatch(data.at(0)):
        return
    names = data.at(0).split("/")
    for depth in range(1, len(names)):
        cfg.pools.setdefault("/".join(names[:depth]), Pool())
    pool = cfg.pools.setdefault(data.at(0), Pool())
    pool.comment = data.text(1) or pool.comment
    guests = (int(guest) for guest in split_list(data.at(2)) if _NUMBER.fullmatch(guest))
    pool.vms.update(guest for guest in guests if cfg.pool_of(guest) is None)
    pool.storage.update(name for name in split_list(data.at(3)) if _STORAGE.fullmatch(name))


def _read_acl(cfg: UserConfig, data: _Fields) -> None:
    """Users and groups that do not exist are kept, roles and tokens that do not exist are not."""
    path = normalize_path(data.at(1))
    roles = [role for role in split_list(data.at(3)) if cfg.has_role(role)]
    if path is None or not roles:
        return
    flag = true(data.at(0))
    found = [known for name in split_list(data.at(2)) if (known := _principal(cfg, name))]
    if not found:
        return
    node = cfg.node(path)
    kinds = {"users": node.users, "groups": node.groups, "tokens": node.tokens}
    for kind, name in found:
        kinds[kind].setdefault(name, {}).update(dict.fromkeys(roles, flag))


def _principal(cfg: UserConfig, name: str) -> tuple[str, str] | None:
    """The field of AclNode that it belongs to, and its name there; None for what PVE skips."""
    if name.startswith("@") and _NAME.fullmatch(name[1:]):
        return "groups", name[1:]
    if is_username(name):
        return "users", name
    split = split_token(name)
    if split is not None and split[0] in cfg.users and split[1] in cfg.users[split[0]].tokens:
        return "tokens", name
    return None


_READERS = {
    "user": _read_user,
    "token": _read_token,
    "group": _read_group,
    "role": _read_role,
    "pool": _read_pool,
    "acl": _read_acl,
}


def render(cfg: UserConfig) -> bytes:
    """Users with their tokens, groups, pools, roles, then the ACL tree; a blank line between."""
    blocks = [
        [line for name in sorted(cfg.users) for line in _user_lines(name, cfg.users[name])],
        [
            _line("group", name, ",".join(sorted(group.users)), _text(group.comment))
            for name, group in sorted(cfg.groups.items())
        ],
        [
            _line("pool", name, _text(pool.comment), _joined(pool.vms), _joined(pool.storage))
            for name, pool in sorted(cfg.pools.items())
        ],
        [_line("role", name, ",".join(sorted(cfg.roles[name]))) for name in sorted(cfg.roles)],
        [
            line
            for path in sorted(cfg.acl, key=segments)
            for line in _acl_lines(path, cfg.acl[path])
        ],
    ]
    return file_bytes("\n".join("".join(block) for block in blocks))


def _line(*fields: object) -> str:
    return ":".join(str(part) for part in fields) + ":\n"


def _text(value: str | None) -> str:
    return encode_text(value) if true(value) else ""


def _joined(names: Iterable[object]) -> str:
    return ",".join(sorted(str(name) for name in names))


def _user_lines(name: str, user: User) -> Iterable[str]:
    yield _line(
        "user",
        name,
        int(user.enable),
        number_text(user.expire),
        _text(user.firstname),
        _text(user.lastname),
        user.email if true(user.email) else "",
        _text(user.comment),
        user.keys if true(user.keys) else "",
    )
    for sub in sorted(user.tokens):
        token = user.tokens[sub]
        yield _line(
            "token",
            f"{name}!{sub}",
            number_text(token.expire),
            int(token.privsep),
            _text(token.comment),
        )


def _acl_lines(path: str, node: AclNode) -> Iterable[str]:
    """Principals with the same roles and flag share a line; entries of root@pam are never kept."""
    for flag in (False, True):
        holders: dict[str, list[str]] = {}
        for kind, principals in node.kinds():
            for name, roles in principals.items():
                given = ",".join(sorted(role for role, value in roles.items() if value == flag))
                if given and (kind, name) != (USER, ROOT):
                    holders.setdefault(given, []).append(f"@{name}" if kind == GROUP else name)
        for given in sorted(holders):
            yield _line("acl", int(flag), path, ",".join(sorted(holders[given])), given)
