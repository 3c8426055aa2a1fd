"""user.cfg, read exactly as PVE does (`parse_user_config`).

Users, groups, roles, tokens, pools and ACL entries are all in this file. Reading never fails: PVE
skips what it does not understand, and the next write loses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from reconciler.access.contents import GROUP, ROOT, TOKEN, USER, split_token
from reconciler.pve.acl_paths import normalize_path
from reconciler.pve.formats import is_username, split_list
from reconciler.pve.release import NEWEST, Release
from reconciler.sandbox.config.perltext import decode_text, file_text, true

_NAME = re.compile(r"[A-Za-z0-9.\-_]+")
_POOL = re.compile(rf"{_NAME.pattern}(?:/{_NAME.pattern}){{0,2}}")
_STORAGE = re.compile(r"[A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]")
_NUMBER = re.compile(r"[0-9]+")

Roles = dict[str, bool]
"""role -> propagate"""


@dataclass(slots=True)
class Token:
    """`expire` in Unix seconds, 0 = never; None if the call that created it did not set it."""

    expire: int | None = 0
    privsep: bool = True
    comment: str = ""


@dataclass(slots=True)
class User:
    """None if the line lacks the field; PVE returns `""` for an empty email."""

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
    """The whole file. `roles` holds custom roles only; `release` has the others."""

    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    roles: dict[str, set[str]] = field(default_factory=dict)
    acl: dict[str, AclNode] = field(default_factory=dict)
    release: Release = NEWEST

    def has_role(self, role: str) -> bool:
        return role in self.release.roles or role in self.roles

    def privileges_of(self, role: str) -> Iterable[str]:
        return self.release.roles[role] if role in self.release.roles else self.roles[role]

    def node(self, path: str) -> AclNode:
        """The entries of a path, made when there are none. PVE skips a segment `0`."""
        names = [name for name in path.split("/") if name not in ("", "0")]
        return self.acl.setdefault("/" + "/".join(names), AclNode())

    def pool_of(self, guest: int) -> str | None:
        return next((name for name, pool in self.pools.items() if guest in pool.vms), None)

    def groups_of(self, user: str) -> list[str]:
        return sorted(name for name, group in self.groups.items() if user in group.users)

    def delete_acl_below(self, path: str) -> bool:
        """Remove the entries on `path` and below; returns whether there were any."""
        gone = [node for node in self.acl if node == path or node.startswith(f"{path}/")]
        for node in gone:
            del self.acl[node]
        return bool(gone)


Note = Callable[[int, str], None]
"""(line, what is skipped)"""


def _unnoticed(_line: int, _text: str) -> None:
    """Never called."""


def parse(raw: bytes, note: Note = _unnoticed, release: Release = NEWEST) -> UserConfig:
    """Lines may be in any order, but a user, group, role or token must precede an entry that names
    it. `note` is called for what is skipped. `release`: of the Proxmox VE that reads the file.
    """
    cfg = UserConfig(users={ROOT: User()}, release=release)
    for number, line in enumerate(file_text(raw).split("\n"), 1):
        fields = [part.strip(" \t\r\f\v") for part in line.strip(" \t\r\f\v").split(":")]
        while fields and not fields[-1]:
            fields.pop()
        if not fields or fields[0].startswith("#"):
            continue
        data = _Fields(fields[1:], partial(note, number))
        if read := _READERS.get(fields[0]):
            read(cfg, data)
        else:
            data.drop("this line, which it does not understand")
    return cfg


class _Fields(list[str]):
    """The fields of a line after the first."""

    def __init__(self, fields: list[str], note: Callable[[str], None]) -> None:
        super().__init__(fields)
        self._note = note

    def drop(self, what: str) -> None:
        """Report a part of this line as skipped."""
        self._note(what)

    def kept(self, names: Iterable[str], check: Callable[[str], object], what: str) -> list[str]:
        """The valid names; `{}` in `what` is an invalid one."""
        kept = []
        for name in names:
            if check(name):
                kept.append(name)
            else:
                self.drop(what.replace("{}", name))
        return kept

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
        data.drop(f"user '{name}': its {'expiry' if is_username(name) else 'name'} is not valid")
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
        known = split is None or split[0] in cfg.users
        why = "its name or expiry is not valid" if known else "its user does not exist"
        data.drop(f"token '{data.at(0)}': {why}")
        return
    token = cfg.users[split[0]].tokens.setdefault(split[1], Token())
    token.expire, token.privsep = expire, true(data.at(2))
    token.comment = data.text(3) or token.comment


def _read_group(cfg: UserConfig, data: _Fields) -> None:
    name = data.at(0)
    if not _NAME.fullmatch(name):
        data.drop(f"group '{name}': its name is not valid")
        return
    group = cfg.groups.setdefault(name, Group())
    group.comment = data.text(2) or group.comment
    what = f"member '{{}}' of group {name}: it is not the name of a user"
    group.users.update(data.kept(split_list(data.at(1)), is_username, what))


def _read_role(cfg: UserConfig, data: _Fields) -> None:
    name = data.at(0)
    if not _NAME.fullmatch(name) or name in cfg.release.roles:
        why = "it is built in" if name in cfg.release.roles else "its name is not valid"
        data.drop(f"role '{name}': {why}")
        return
    role = cfg.roles.setdefault(name, set())
    what = f"privilege '{{}}' of role {name}: this release does not know it"
    role.update(data.kept(split_list(data.at(1)), cfg.release.privileges.__contains__, what))


def _read_pool(cfg: UserConfig, data: _Fields) -> None:
    if not _POOL.fullmatch(data.at(0)):
        data.drop(f"pool '{data.at(0)}': its name is not valid")
        return
    names = data.at(0).split("/")
    for depth in range(1, len(names)):
        cfg.pools.setdefault("/".join(names[:depth]), Pool())
    pool = cfg.pools.setdefault(data.at(0), Pool())
    pool.comment = data.text(1) or pool.comment
    where = f"of pool {data.at(0)}"
    what = f"guest '{{}}' {where}: it is not the id of a guest"
    for guest in map(int, data.kept(split_list(data.at(2)), _NUMBER.fullmatch, what)):
        other = cfg.pool_of(guest)
        if other is None:
            pool.vms.add(guest)
        elif other != data.at(0):
            data.drop(f"guest '{guest}' {where}: it is in pool {other} already")
    what = f"storage '{{}}' {where}: it is not the name of a storage"
    pool.storage.update(data.kept(split_list(data.at(3)), _STORAGE.fullmatch, what))


def _read_acl(cfg: UserConfig, data: _Fields) -> None:
    """Nonexistent users and groups are kept, nonexistent roles and tokens are not."""
    path = normalize_path(data.at(1))
    if path is None:
        data.drop(f"the entries on '{data.at(1)}': it is not a valid path")
        return
    what = f"role '{{}}' of the entries on {path}: it does not exist"
    roles = data.kept(split_list(data.at(3)), cfg.has_role, what)
    if not roles:
        return
    flag = true(data.at(0))
    what = f"'{{}}' in the entries on {path}: {{}} does not exist, or its name is not valid"
    names = data.kept(split_list(data.at(2)), partial(_principal, cfg), what)
    found = [known for name in names if (known := _principal(cfg, name))]
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
