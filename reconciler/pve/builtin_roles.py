"""Privilege names and built-in roles of Proxmox VE 9 (libpve-access-control, `create_roles`)."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.pve.privileges import PRIVILEGES

_ROOT_ONLY = frozenset(
    {
        "Mapping.Modify",
        "Permissions.Modify",
        "Realm.Allocate",
        "Sys.AccessNetwork",
        "Sys.Incoming",
        "Sys.Modify",
        "Sys.PowerMgmt",
    }
)

BUILT_IN_ROLES: Mapping[str, frozenset[str]] = {
    "Administrator": PRIVILEGES,
    "NoAccess": frozenset(),
    "PVEAdmin": PRIVILEGES - _ROOT_ONLY,
    "PVEAuditor": frozenset(
        {
            "Datastore.Audit",
            "Mapping.Audit",
            "Pool.Audit",
            "SDN.Audit",
            "Sys.Audit",
            "VM.Audit",
            "VM.GuestAgent.Audit",
        }
    ),
    "PVEDatastoreAdmin": frozenset(
        {
            "Datastore.Allocate",
            "Datastore.AllocateSpace",
            "Datastore.AllocateTemplate",
            "Datastore.Audit",
        }
    ),
    "PVEDatastoreUser": frozenset(
        {
            "Datastore.AllocateSpace",
            "Datastore.Audit",
        }
    ),
    "PVEMappingAdmin": frozenset(
        {
            "Mapping.Audit",
            "Mapping.Modify",
            "Mapping.Use",
        }
    ),
    "PVEMappingUser": frozenset(
        {
            "Mapping.Audit",
            "Mapping.Use",
        }
    ),
    "PVEPoolAdmin": frozenset(
        {
            "Pool.Allocate",
            "Pool.Audit",
        }
    ),
    "PVEPoolUser": frozenset(
        {
            "Pool.Audit",
        }
    ),
    "PVESDNAdmin": frozenset(
        {
            "SDN.Allocate",
            "SDN.Audit",
            "SDN.Use",
        }
    ),
    "PVESDNUser": frozenset(
        {
            "SDN.Audit",
            "SDN.Use",
        }
    ),
    "PVESysAdmin": frozenset(
        {
            "Sys.Audit",
            "Sys.Console",
            "Sys.Syslog",
        }
    ),
    "PVETemplateUser": frozenset(
        {
            "VM.Audit",
            "VM.Clone",
        }
    ),
    "PVEUserAdmin": frozenset(
        {
            "Group.Allocate",
            "Realm.AllocateUser",
            "User.Modify",
        }
    ),
    "PVEVMAdmin": frozenset(
        {
            "VM.Allocate",
            "VM.Audit",
            "VM.Backup",
            "VM.Clone",
            "VM.Config.CDROM",
            "VM.Config.CPU",
            "VM.Config.Cloudinit",
            "VM.Config.Disk",
            "VM.Config.HWType",
            "VM.Config.Memory",
            "VM.Config.Network",
            "VM.Config.Options",
            "VM.Console",
            "VM.GuestAgent.Audit",
            "VM.GuestAgent.FileRead",
            "VM.GuestAgent.FileSystemMgmt",
            "VM.GuestAgent.FileWrite",
            "VM.GuestAgent.Unrestricted",
            "VM.Migrate",
            "VM.PowerMgmt",
            "VM.Replicate",
            "VM.Snapshot",
            "VM.Snapshot.Rollback",
        }
    ),
    "PVEVMUser": frozenset(
        {
            "VM.Audit",
            "VM.Backup",
            "VM.Config.CDROM",
            "VM.Config.Cloudinit",
            "VM.Console",
            "VM.GuestAgent.Audit",
            "VM.GuestAgent.FileRead",
            "VM.GuestAgent.FileSystemMgmt",
            "VM.GuestAgent.FileWrite",
            "VM.PowerMgmt",
        }
    ),
}
"""Cannot be changed or deleted and never stand in user.cfg."""

GONE: Mapping[str, str] = {
    "VM.Monitor": "use VM.GuestAgent.* for the guest agent, Sys.Audit for the QEMU monitor",
}
"""Privileges of earlier releases -> what replaces them."""
