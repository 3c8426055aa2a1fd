"""Packs of expectations: what common types of accounts need, and what they must not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

_GUESTS = ("VM.Allocate", "VM.Config.Disk", "VM.Config.Network", "VM.Migrate", "VM.PowerMgmt")
_ROOT = ("Permissions.Modify", "Realm.Allocate", "Sys.Modify", "User.Modify")
"""On / each of them leads to every other privilege, or to other people's logins."""


class Pack(NamedTuple):
    """`can` and `cannot`: on the paths that are given; `never`: on /. `about`: whom it is for."""

    about: str
    can: tuple[str, ...]
    cannot: tuple[str, ...] = ()
    never: tuple[str, ...] = _ROOT


PACKS: Mapping[str, Pack] = {
    "auditors": Pack(
        "people and tools that only look",
        ("VM.Audit",),
        (*_GUESTS, "Datastore.Allocate", "Datastore.AllocateSpace", "VM.Backup", "VM.Console"),
        (*_ROOT, "Sys.Console", "Sys.PowerMgmt"),
    ),
    "backup": Pack(
        "a tool that backs up guests and cannot change them",
        ("VM.Audit", "VM.Backup"),
        _GUESTS,
    ),
    "ci": Pack("a token in a pipeline, whatever it is for", (), (), _ROOT),
    "csi": Pack(
        "a CSI driver that attaches disks to the nodes of a Kubernetes cluster",
        ("VM.Audit", "VM.Config.Disk"),
        ("VM.Allocate", "VM.Console", "VM.PowerMgmt"),
    ),
    "monitoring": Pack(
        "prometheus-pve-exporter and its like",
        ("Sys.Audit", "VM.Audit", "Datastore.Audit"),
        (*_GUESTS, "Datastore.AllocateSpace", "VM.Console"),
        (*_ROOT, "Sys.Console", "Sys.PowerMgmt"),
    ),
    "operators": Pack(
        "people who run guests and do not change what they are",
        ("VM.Audit", "VM.Console", "VM.PowerMgmt"),
        ("Permissions.Modify", "VM.Allocate"),
    ),
    "terraform": Pack(
        "Terraform or OpenTofu, on the pool whose guests it makes",
        ("VM.Allocate", "VM.Audit", "VM.Config.Disk", "VM.Config.Network", "VM.PowerMgmt"),
        ("Permissions.Modify",),
    ),
}
