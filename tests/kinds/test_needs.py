"""The privileges that a change is said to need are enough, and each of them is necessary."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reconciler.access.table import AccessTable
from reconciler.errors import RequestRefused
from reconciler.kinds import all_kinds
from reconciler.model.change import Change
from reconciler.model.request import request
from reconciler.sandbox.http.direct import SandboxApi
from tests.kinds.samples import SECRETS, carried, change, declared, fresh_folder

WHO = "limited@pve"
LDAP = {"type": "ldap", "server1": "a", "base_dn": "dc=x", "user_attr": "uid"}
JOB = {"schedule": "02:30", "storage": "local", "guests": [9001]}


def spec(kind: str, name: str, table: dict[str, Any], parent: str = "") -> Any:
    return all_kinds()[kind].writes.merge_with_live(declared(kind, name, table, parent), None)


def between(kind: str, name: str, *tables: dict[str, Any] | None, parent: str = "") -> Change:
    before, after = (None if t is None else spec(kind, name, t, parent) for t in tables)
    return change(kind, name, before, after)


CHANGES = [
    between("pool", "dev", None, {"guests": [9000], "storages": ["local"]}),
    between("pool", "dev", {"guests": [9000]}, {"guests": [9001], "comment": "x"}),
    between("pool", "dev", {"guests": [9000]}, None),
    between("storage", "usb", None, {"type": "dir", "path": "/mnt/usb"}),
    between(
        "storage",
        "usb",
        {"type": "dir", "path": "/mnt/usb"},
        {"type": "dir", "path": "/mnt/usb", "keep": {"last": 1}},
    ),
    between("storage", "usb", {"type": "dir", "path": "/mnt/usb"}, None),
    between("realm", "corp", None, LDAP),
    between("realm", "corp", LDAP, {**LDAP, "comment": "x"}),
    between("realm", "corp", LDAP, None),
    between("realm_sync", "j1", None, {"schedule": "03:00"}, parent="ldap"),
    between("realm_sync", "j1", {"schedule": "03:00"}, {"schedule": "04:00"}, parent="ldap"),
    between("realm_sync", "j1", {"schedule": "03:00"}, None, parent="ldap"),
    between("backup", "j1", None, JOB),
    between("backup", "j1", None, {"schedule": "02:30", "pool": "base"}),
    between("backup", "j1", JOB, {**JOB, "storage": "local-lvm", "ionice": 8}),
    between("backup", "j1", JOB, {**JOB, "fleecing": {"enabled": True, "storage": "local-lvm"}}),
    between("backup", "j1", JOB, {"schedule": "02:30", "guests": [9001]}),
    between("backup", "j1", JOB, None),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cluster with the pool `base`, the realm `ldap` and a user without any grant."""
    folder = fresh_folder(tmp_path / "pve")
    api = SandboxApi(folder)
    api.send(request("POST", "access", "users", userid=WHO))
    for made in (between("pool", "base", None, {}), between("realm", "ldap", None, LDAP)):
        for sent, _ in carried(made):
            api.send(sent)
    return folder


def send_all(api: SandboxApi, wanted: Change) -> None:
    for sent, _ in carried(wanted):
        api.send(sent, SECRETS)


def try_with(folder: Path, held: Sequence[tuple[str, str]], wanted: Change) -> None:
    """As a user with exactly these (path, privilege): a role per path."""
    root = SandboxApi(folder)
    for path, pairs in itertools.groupby(sorted(held), key=lambda pair: pair[0]):
        role = f"r{path.replace('/', '-')}"
        privs = ",".join(privilege for _, privilege in pairs)
        root.send(request("POST", "access", "roles", roleid=role, privs=privs))
        entry = {"path": path, "users": WHO, "roles": role, "propagate": False}
        root.send(request("PUT", "access", "acl", **entry))
    send_all(SandboxApi(folder, WHO), wanted)


@pytest.mark.parametrize("wanted", CHANGES, ids=lambda c: f"{c.action} {c.address}")
def test_needs_are_enough_and_necessary(folder: Path, wanted: Change) -> None:
    if wanted.before is not None:
        send_all(SandboxApi(folder), wanted._replace(before=None, after=wanted.before))
    kind = all_kinds()[wanted.address.kind]
    needed = [pair for need in kind.writes.needs(wanted, AccessTable()) for pair in need.any_of[0]]
    for number, left_out in enumerate(needed):
        copy = Path(shutil.copytree(folder, folder.with_name(f"without-{number}")))
        with pytest.raises(RequestRefused) as refused:
            try_with(copy, [pair for pair in needed if pair != left_out], wanted)
        assert refused.value.forbidden
    try_with(folder, needed, wanted)
