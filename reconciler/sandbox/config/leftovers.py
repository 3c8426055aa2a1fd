"""Objects that older releases left in user.cfg and the API no longer accepts: written as found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.access.contents import GROUP, ROOT, TOKEN, USER, split_token
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.inventory import Facts
from reconciler.model.spec import Spec
from reconciler.sandbox.config.store import Store, editing_users
from reconciler.sandbox.config.usercfg import Group, Pool, Token, User, UserConfig


def is_writable(address: Address, spec: Spec) -> bool:
    """Whether an object can be a line of user.cfg: of these kinds, without colons in its fields and
    without line breaks. A cluster may send anything."""
    if address.kind not in KEPT:
        return False
    values = [address.id, *_strings(spec.model_dump())]
    return ":" not in _fields(address) and all(text.isprintable() for text in values)


def _fields(address: Address) -> str:
    """The part of an id that is written unchanged; an entry's id contains a colon itself."""
    if address.kind != "acl":
        return address.id
    entry = AclEntry.parse(address.id)
    return f"{entry.path}{entry.principal}{entry.role}"


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _strings(part)


def write_leftovers(folder: Path, objects: Mapping[Address, Spec], facts: Facts) -> None:
    """Add objects of the kinds `KEPT` to the folder's user.cfg, with the nonexistent members of
    groups and pools."""
    left = sorted(objects.items(), key=lambda pair: (list(KEPT).index(pair[0].kind), pair[0]))
    if not (left or facts.ghosts or facts.strays):
        return
    with editing_users(Store(folder), "") as cfg:
        for address, spec in left:
            KEPT[address.kind](cfg, address.id, spec)
        for user, groups in facts.ghosts.items():
            for group in groups:
                cfg.groups.setdefault(group, Group()).users.add(user)
        for name, (guests, storages) in facts.strays.items():
            pool = cfg.pools.setdefault(name, Pool())
            pool.vms.update(guests)
            pool.storage.update(storages)
    for address, spec in left:
        if address.kind == "acl" and AclEntry.parse(address.id).principal == ROOT:
            _append_entry(folder / "user.cfg", AclEntry.parse(address.id), spec)


def _append_entry(file: Path, entry: AclEntry, spec: Any) -> None:
    """An entry of root@pam, which PVE reads but drops at the next write."""
    with file.open("a", encoding="utf-8") as text:
        text.write(f"acl:{int(spec.propagate)}:{entry.path}:{entry.principal}:{entry.role}:\n")


def _role(cfg: UserConfig, name: str, spec: RoleSpec) -> None:
    cfg.roles[name] = set(spec.privileges)


def _group(cfg: UserConfig, name: str, spec: GroupSpec) -> None:
    cfg.groups.setdefault(name, Group()).comment = spec.comment


def _user(cfg: UserConfig, name: str, spec: UserSpec) -> None:
    cfg.users[name] = User(
        enable=spec.enabled,
        expire=spec.expires,
        firstname=spec.firstname,
        lastname=spec.lastname,
        email=spec.email,
        comment=spec.comment,
        tokens=cfg.users[name].tokens if name in cfg.users else {},
    )
    for group in spec.groups:
        cfg.groups.setdefault(group, Group()).users.add(name)


def _token(cfg: UserConfig, name: str, spec: TokenSpec) -> None:
    split = split_token(name)
    if split is not None and split[0] in cfg.users:
        token = Token(spec.expires, privsep=spec.privsep, comment=spec.comment)
        cfg.users[split[0]].tokens[split[1]] = token


def _pool(cfg: UserConfig, name: str, spec: PoolSpec) -> None:
    cfg.pools[name] = Pool(spec.comment, set(spec.guests), set(spec.storages or ()))


def _entry(cfg: UserConfig, name: str, spec: AclSpec) -> None:
    entry = AclEntry.parse(name)
    node = cfg.node(entry.path)
    holders = {USER: node.users, GROUP: node.groups, TOKEN: node.tokens}[entry.kind]
    holders.setdefault(entry.principal, {})[entry.role] = spec.propagate


KEPT: Mapping[str, Callable[[UserConfig, str, Any], None]] = {
    "role": _role,
    "group": _group,
    "user": _user,
    "token": _token,
    "pool": _pool,
    "acl": _entry,
}
"""The kinds of user.cfg, in the order in which they refer to each other."""
