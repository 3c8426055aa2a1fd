"""Clusters of a chosen size, in folders laid out like /etc/pve, and state folders that fit them."""

from __future__ import annotations

import shutil
from pathlib import Path

from reconciler.access.table import AccessTable
from reconciler.desired.export.toml_files import export, write_files
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.pve.release import NEWEST
from reconciler.sandbox.config.usercfg import AclNode, Group, Pool, Token, User, UserConfig
from reconciler.sandbox.config.userfile import render
from reconciler.sandbox.http.direct import SandboxApi
from tests.support.command import FIXTURES

BUILT_IN_ROLES = NEWEST.roles

ROOT_TOKEN = "root@pam!bootstrap"


def make_cluster(folder: Path, table: AccessTable) -> Path:
    """A cluster with the users, tokens, groups, roles, pools and entries of a table."""
    shutil.copytree(FIXTURES / "fresh", folder)
    (folder / "user.cfg").write_bytes(render(_user_cfg(table)))
    guests = folder / "nodes" / "demo-felhom" / "qemu-server"
    for vmid in sorted({vmid for pool in table.pools.values() for vmid in pool.guests}):
        (guests / f"{vmid}.conf").write_text(f"name: guest{vmid}\n")
    stores = {name for pool in table.pools.values() for name in pool.storages}
    with (folder / "storage.cfg").open("a") as file:
        file.writelines(f"dir: {name}\n\tpath /mnt/{name}\n\n" for name in sorted(stores))
    return folder


def _user_cfg(table: AccessTable) -> UserConfig:
    cfg = UserConfig(users={"root@pam": User(tokens={"bootstrap": Token(privsep=False)})})
    for name, user in table.users.items():
        if name not in cfg.users:
            cfg.users[name] = User(user.enabled, user.expires, comment=f"account of {name[:8]}")
    for name, token in table.tokens.items():
        owner, _, own = name.partition("!")
        cfg.users[owner].tokens[own] = Token(token.expires, token.privsep, "service account")
    for name, members in table.groups.items():
        cfg.groups[name] = Group(set(members), f"members of {name}")
    for name, pool in table.pools.items():
        cfg.pools[name] = Pool(None, set(pool.guests), set(pool.storages))
    custom = table.roles.keys() - BUILT_IN_ROLES.keys()
    cfg.roles = {name: set(table.roles[name]) for name in sorted(custom)}
    for path, kinds in table.acl.items():
        node = cfg.acl.setdefault(path, AclNode())
        for kind, holders in kinds.items():
            getattr(node, f"{kind}s").update(holders)
    return cfg


def declare_cluster(cluster: Path, folder: Path) -> Path:
    """A state folder that declares all of a cluster, as `pvectl import` writes it."""
    kinds = all_kinds()
    state, _ = read_state(SandboxApi(cluster), kinds, dict.fromkeys(kinds, EVERYTHING))
    write_files(export(state).files, folder)
    return folder


def write_settings(folder: Path, url: str, fingerprint: str) -> None:
    """pvectl.toml: the cluster at `url`, as root's token."""
    (folder / "pvectl.toml").write_text(
        f'[target]\nendpoint = "{url}"\ntoken_id = "{ROOT_TOKEN}"\nfingerprint = "{fingerprint}"\n'
    )
