"""Objects as a state file would declare them, and changes of them, for the tests of the kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.kinds import all_kinds
from reconciler.kinds.shared.reader import read_state
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.request import Request
from reconciler.model.spec import Spec

NODE = "demo-felhom"
SECRETS = {
    "password": "s3cret-s3cret",
    "client-key": "k3y",
    "encryption-key": '{"data": "s3cret-key", "fingerprint": "aa:bb"}',
    "master-pubkey": "s3cretPEM",
}


def declared(kind: str, name: str, table: Mapping[str, Any], parent: str = "") -> Spec:
    """The spec of one TOML table; raises ValueError (pydantic's included) when it is refused."""
    found = all_kinds()[kind]
    found.toml.check_name(name, parent)
    (only,) = found.toml.declare(name, parent, found.toml.table.model_validate(dict(table)))
    return only.spec


def change(kind: str, name: str, before: Spec | None, after: Spec | None) -> Change:
    return Change(Address(kind, name), before, after, Reason(Cause.DIFFERS, "test"))


def requests(*changes: Change) -> list[tuple[str, str, dict[str, Any]]]:
    """What is sent for these changes of one kind: method, path, parameters."""
    return [(sent.method, sent.target, dict(sent.params)) for sent, _ in carried(*changes)]


def carried(*changes: Change) -> Sequence[tuple[Request, tuple[Change, ...]]]:
    """The requests with the changes that each of them carries."""
    kind = all_kinds()[changes[0].address.kind]
    return kind.writes.requests([piece for one in changes for piece in kind.writes.split(one)])


def fresh_folder(path: Path) -> Path:
    """A cluster as it is after installation: one node, two guests, two storages."""
    files = {
        "user.cfg": "user:root@pam:1:0:::root@example.invalid:::\n",
        "storage.cfg": "dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup,import\n\n"
        "lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n",
        f"nodes/{NODE}/qemu-server/9000.conf": "name: demo-vm\nmemory: 2048\n",
        f"nodes/{NODE}/lxc/9001.conf": "hostname: demo-ct\nmemory: 512\n",
    }
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def live(api: Api, kind: str, name: str) -> Spec | None:
    """One object as it is now."""
    return read_state(api, [kind], {kind: frozenset({name})})[0].get(Address(kind, name))


def reach(api: Api, kind: str, name: str, spec: Spec | None) -> Spec | None:
    """Bring one object to what is declared; a second plan is empty, and so is one of its import."""
    found = all_kinds()[kind]
    before = live(api, kind, name)
    after = None if spec is None else found.writes.merge_with_live(spec, before)
    if after != before:
        for request, _ in carried(change(kind, name, before, after)):
            api.send(request, SECRETS)
    seen = live(api, kind, name)
    wanted = None if after is None else found.reads.as_read(after)
    if before is None and wanted is not None:
        wanted = found.writes.completed(wanted, seen)
    assert seen == wanted
    assert spec is None or found.writes.merge_with_live(spec, seen) == seen
    if seen is not None:
        parent, own_name = found.toml.name_of(name, seen)
        imported = declared(kind, own_name, found.toml.export(name, seen), parent)
        assert found.writes.merge_with_live(imported, seen) == seen
    return seen
