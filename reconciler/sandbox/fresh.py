"""A new folder for the embedded Proxmox VE: as installed, with two guests and an API token."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import UsageError

TOKEN = "root@pam!pvectl"  # noqa: S105 - a name
"""The API token of a new folder: no privilege separation, so it may do what root@pam may."""

GUESTS = "guests 100 and 101"

NODE = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?")
"""Names of nodes (`pve-node` of PVE::JSONSchema)."""

_STORAGE = """dir: local
	path /var/lib/vz
	content iso,vztmpl,backup,import

lvmthin: local-lvm
	thinpool data
	vgname pve
	content rootdir,images
"""
_CONTAINER = """arch: amd64
cores: 1
features: nesting=1
hostname: web
memory: 512
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:01:01,ip=dhcp,type=veth
ostype: debian
rootfs: local-lvm:vm-101-disk-0,size=4G
swap: 512
unprivileged: 1
"""
_MACHINE = """boot: order=scsi0;net0
cores: 2
memory: 2048
name: db
net0: virtio=BC:24:11:00:01:00,bridge=vmbr0
ostype: l26
scsi0: local-lvm:vm-100-disk-0,size=8G
scsihw: virtio-scsi-single
sockets: 1
"""


def create(folder: Path, nodes: Sequence[str]) -> None:
    """Create `folder`, laid out like /etc/pve, with these nodes; raises UsageError, also if it
    already exists."""
    wrong = [name for name in nodes if not NODE.fullmatch(name)]
    if wrong or len(set(nodes)) != len(nodes) or not nodes:
        raise UsageError(
            f"'{','.join(nodes)}' is not a valid list of nodes", hint="--nodes pve1,pve2,pve3"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is not empty", hint="name a new folder, or serve this one without --new"
        )
    files = {
        "datacenter.cfg": "keyboard: en-us\n",
        "storage.cfg": _STORAGE,
        "user.cfg": f"user:root@pam:1:0:::root@example.invalid:::\ntoken:{TOKEN}:0:0::\n",
        f"nodes/{nodes[0]}/lxc/101.conf": _CONTAINER,
        f"nodes/{nodes[-1]}/qemu-server/100.conf": _MACHINE,
    }
    for name in nodes:
        (folder / "nodes" / name).mkdir(parents=True)
    for place, text in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    secrets = folder / "priv"
    secrets.mkdir(mode=0o700)
    secrets.joinpath("token.cfg").touch(mode=0o600)
    secrets.joinpath("token.cfg").write_text(f"{TOKEN} {uuid.uuid4()}\n", encoding="utf-8")
