"""The options of storages, all 14 types (PVE::Storage::Plugin and the plugins, PVE 9).

`since`: from the git history of pve-storage, at the version that each release shipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.pve.schema import Param, ParameterTable, Secrecy
from reconciler.pve.sections import (
    BOOLEAN,
    STRING,
    SectionType,
    choice,
    formatted,
    integer,
    matching,
    secret,
    section_type,
    since,
    string,
)

STORAGE_OPTIONS: ParameterTable = {
    "authsupported": STRING,
    "base": formatted("pve-volume-id"),
    "blocksize": formatted("pve-storage-zfs-blocksize"),
    "bwlimit": formatted("bwlimit"),
    "comstar_hg": STRING,
    "comstar_tg": STRING,
    "content": formatted("pve-storage-content-list"),
    "content-dirs": formatted("pve-dir-override-list"),
    "create-base-path": since("8.0", BOOLEAN),
    "create-subdirs": since("8.0", BOOLEAN),
    "data-pool": STRING,
    "datastore": STRING,
    "disable": BOOLEAN,
    "domain": string(256),
    "encryption-key": secret(Secrecy.PRESENCE),
    "export": formatted("pve-storage-path"),
    "fingerprint": matching(r"([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}"),
    "format": choice("raw", "qcow2", "subvol", "vmdk"),
    "fs-name": formatted("pve-configid"),
    "fuse": BOOLEAN,
    "is_mountpoint": STRING,
    "iscsiprovider": STRING,
    "keyring": secret(Secrecy.KEPT),
    "krbd": BOOLEAN,
    "lio_tpg": STRING,
    "master-pubkey": secret(Secrecy.PRESENCE),
    "max-protected-backups": integer(-1),
    "mkdir": BOOLEAN,
    "monhost": formatted("pve-storage-portal-dns-list"),
    "mountpoint": formatted("pve-storage-path"),
    "namespace": STRING,
    "nocow": BOOLEAN,
    "nodes": formatted("pve-node-list"),
    "nowritecache": BOOLEAN,
    "options": formatted("pve-storage-options"),
    "password": secret(Secrecy.KEPT, max_length=256),
    "path": formatted("pve-storage-path"),
    "pool": STRING,
    "port": integer(1, 65535),
    "portal": formatted("pve-storage-portal-dns"),
    "preallocation": choice("off", "metadata", "falloc", "full"),
    "prune-backups": formatted("prune-backups"),
    "saferemove": BOOLEAN,
    "saferemove-stepsize": Param(
        type="integer", enum=("1", "2", "4", "8", "16", "32"), optional=True, since="9.1"
    ),
    "saferemove_throughput": STRING,
    "server": formatted("pve-storage-server"),
    "share": STRING,
    "shared": BOOLEAN,
    "skip-cert-verification": since("8.2", BOOLEAN),
    "smbversion": choice("default", "2.0", "2.1", "3", "3.0", "3.11"),
    "snapshot-as-volume-chain": since("9.0", BOOLEAN),
    "sparse": BOOLEAN,
    "subdir": formatted("pve-storage-path"),
    "tagged_only": BOOLEAN,
    "target": STRING,
    "thinpool": formatted("pve-storage-vgname"),
    "username": STRING,
    "vgname": formatted("pve-storage-vgname"),
    "zfs-base-path": since("9.0", formatted("pve-storage-path")),
}
"""The options of all types; `storage`, `type`, `delete` and `digest` are not options."""

STORAGE_TRUE_BY_DEFAULT: frozenset[str] = frozenset({"create-base-path", "create-subdirs", "mkdir"})
"""Booleans that default to true; all others default to false."""


@dataclass(frozen=True, slots=True)
class StorageType:
    """The properties of one type of storage. `content`: the content types that it can hold;
    `default_content` is what PVE shows when none is set. `formats`: the values of the option
    `format`. `shared`: PVE forces `shared` to 1. `mounted`: the path is `/mnt/pve/ID` when none is
    given. `folder`: the path is any folder, stored in its canonical form. `completed`: options that
    PVE sets itself when the storage is created without them.
    """

    section: SectionType
    content: frozenset[str]
    default_content: frozenset[str]
    formats: frozenset[str] = frozenset()
    shared: bool = False
    mounted: bool = False
    folder: bool = False
    completed: frozenset[str] = frozenset()


_COMPLETED = {"zfs": "zfs-base-path", "zfspool": "mountpoint"}
"""The hooks `on_add_hook` of ZFSPlugin.pm and ZFSPoolPlugin.pm."""

_DIRECTORY = "images rootdir vztmpl iso backup snippets import"
_BLOCK = "images rootdir"


def _storage(
    name: str,
    options: str,
    content: tuple[str, str],
    *,
    formats: str = "",
) -> StorageType:
    return StorageType(
        section=section_type(name, options, STORAGE_OPTIONS),
        content=frozenset(content[0].split()),
        default_content=frozenset(content[1].split()),
        formats=frozenset(formats.split()),
        shared=name in {"cephfs", "cifs", "iscsi", "iscsidirect", "nfs", "pbs", "rbd", "zfs"},
        mounted=name in {"cephfs", "cifs", "nfs"},
        folder=name in {"btrfs", "dir"},
        completed=frozenset(_COMPLETED.get(name, "").split()),
    )


STORAGE_TYPES: Mapping[str, StorageType] = {
    kind.section.name: kind
    for kind in (
        _storage(
            "btrfs",
            "path^! nodes shared disable prune-backups max-protected-backups content format "
            "is_mountpoint nocow mkdir create-base-path create-subdirs preallocation",
            (f"{_DIRECTORY} none", _BLOCK),
            formats="raw subvol",
        ),
        _storage(
            "cephfs",
            "path^! content-dirs monhost nodes subdir disable options username content format "
            "mkdir create-base-path create-subdirs fuse bwlimit keyring prune-backups "
            "max-protected-backups fs-name",
            ("vztmpl iso backup snippets import", "backup"),
        ),
        _storage(
            "cifs",
            "path^! content-dirs server^! share^! subdir nodes disable prune-backups "
            "max-protected-backups content format username password domain smbversion mkdir "
            "create-base-path create-subdirs bwlimit preallocation options "
            "snapshot-as-volume-chain^",
            (_DIRECTORY, "images"),
            formats="raw qcow2 vmdk",
        ),
        _storage(
            "dir",
            "path^! content-dirs nodes shared disable prune-backups max-protected-backups content "
            "format mkdir create-base-path create-subdirs is_mountpoint bwlimit preallocation "
            "snapshot-as-volume-chain^",
            (f"{_DIRECTORY} none", _BLOCK),
            formats="raw qcow2 vmdk subvol",
        ),
        _storage(
            "esxi",
            "nodes shared disable content server! username! password skip-cert-verification port",
            ("import", "import"),
            formats="raw qcow2 vmdk",
        ),
        _storage(
            "iscsi",
            "portal^! target^! nodes disable content bwlimit",
            ("images none", "images"),
        ),
        _storage(
            "iscsidirect",
            "portal^! target^! nodes disable content bwlimit",
            ("images none", "images"),
        ),
        _storage(
            "lvm",
            "vgname^! nodes shared disable saferemove saferemove-stepsize saferemove_throughput "
            "content base^ tagged_only bwlimit snapshot-as-volume-chain",
            (_BLOCK, "images"),
            formats="raw qcow2",
        ),
        _storage(
            "lvmthin",
            "thinpool^! vgname^! nodes disable content bwlimit",
            (_BLOCK, _BLOCK),
        ),
        _storage(
            "nfs",
            "path^! content-dirs server^! export^! nodes disable prune-backups "
            "max-protected-backups options content format mkdir create-base-path create-subdirs "
            "bwlimit preallocation snapshot-as-volume-chain^",
            (_DIRECTORY, "images"),
            formats="raw qcow2 vmdk",
        ),
        _storage(
            "pbs",
            "server^! datastore^! namespace port nodes disable content username password "
            "encryption-key master-pubkey prune-backups max-protected-backups fingerprint",
            ("backup none", "backup"),
        ),
        _storage(
            "rbd",
            "nodes disable monhost pool data-pool namespace username content krbd keyring bwlimit",
            (_BLOCK, "images"),
        ),
        _storage(
            "zfs",
            "nodes disable portal^! target^! pool^! blocksize^! iscsiprovider^! nowritecache "
            "sparse comstar_hg comstar_tg lio_tpg content bwlimit zfs-base-path",
            ("images", "images"),
        ),
        _storage(
            "zfspool",
            "pool^! blocksize sparse nodes disable content bwlimit mountpoint",
            (_BLOCK, _BLOCK),
            formats="raw subvol",
        ),
    )
}

STORAGE_SECTIONS: Mapping[str, SectionType] = {
    name: kind.section for name, kind in STORAGE_TYPES.items()
}
