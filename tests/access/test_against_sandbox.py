"""What is read over the API and evaluated here is what the embedded Proxmox VE answers itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from reconciler.access.contents import GROUP, Principal
from reconciler.access.delta import entry_keys
from reconciler.access.evaluate import effective, privileges
from reconciler.access.table import AccessTable
from reconciler.kinds import access_table
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.model.request import request
from reconciler.pve.release import NEWEST
from reconciler.sandbox.http.direct import SandboxApi
from tests.support.pve import FIXTURES
from tests.support.random_tables import GROUPS, TOKENS, USERS, tables

BUILT_IN_ROLES = NEWEST.roles

KINDS = ("role", "group", "user", "token", "acl", "pool")
UNLISTED = ("/vms/7777", "/storage/nas", "/nodes/n1")
"""Paths that Proxmox VE does not list, since nothing names them."""


def user_cfg(table: AccessTable) -> str:
    """The table as the file that would make it."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: AccessTable) -> Iterator[str]:
    for user, login in sorted(table.users.items()):
        yield f"user:{user}:{int(login.enabled)}:{login.expires}::::::"
    for token, login in sorted(table.tokens.items()):
        yield f"token:{token}:{login.expires}:{int(login.privsep)}::"
    for group in sorted({*GROUPS, *table.groups}):
        yield f"group:{group}:{','.join(sorted(table.groups.get(group, ())))}::"
    for pool, members in sorted(table.pools.items()):
        guests = ",".join(str(guest) for guest in sorted(members.guests))
        yield f"pool:{pool}::{guests}:{','.join(sorted(members.storages))}:"
    for role in sorted(table.roles.keys() - BUILT_IN_ROLES.keys()):
        yield f"role:{role}:{','.join(sorted(table.roles[role]))}:"
    for path, kind, who, role in sorted(entry_keys(table)):
        flag = int(table.acl[path][kind][who][role])
        yield f"acl:{flag}:{path}:{'@' if kind == GROUP else ''}{who}:{role}:"


def cluster(folder: Path) -> Path:
    """Both guests that may be in pools are there: Proxmox VE hides others."""
    guests = folder / "nodes" / "n1" / "qemu-server"
    guests.mkdir(parents=True, exist_ok=True)
    for vmid in (100, 101):
        (guests / f"{vmid}.conf").write_text("memory: 512\n")
    write_long_ago(folder / "storage.cfg", (FIXTURES / "fresh" / "storage.cfg").read_text())
    return folder


def write_long_ago(path: Path, text: str) -> None:
    """So that the embedded Proxmox VE reads it once: a file just changed may change again."""
    path.write_text(text)
    os.utime(path, (1_700_000_000, 1_700_000_000))


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_a_thousand_states_are_evaluated_as_the_embedded_pve_does(
    tmp_path: Path, table: AccessTable
) -> None:
    folder = cluster(tmp_path)
    table.users["root@pam"] = Principal()  # who asks
    write_long_ago(folder / "user.cfg", user_cfg(table))
    api = SandboxApi(folder, read_only=True)
    ours = access_table(read_state(api, KINDS, {"pool": EVERYTHING})[0])
    principals = (*(user for user in USERS if user in table.users), *TOKENS, "ghost@pve")
    asked = [request("GET", "access", "permissions", userid=who) for who in principals]
    for who, answer in zip(principals, api.get(asked), strict=True):
        found = {path: flags for path, flags in effective(ours, who).items() if flags}
        assert found == {
            path: {name: bool(flag) for name, flag in flags.items()}
            for path, flags in answer.items()
        }
    who = principals[len(table.acl) % len(principals)]
    for path in UNLISTED:
        (answer,) = api.get([request("GET", "access", "permissions", userid=who, path=path)])
        assert privileges(ours, who, path).keys() == answer[path].keys()
