"""Backup archives of the sandbox: small files in `FOLDER.run/storage/ID/dump/`.

Those of the other nodes are in `FOLDER.run/nodes/NODE/storage/ID/dump/`, unless the storage is
shared. They have PVE's names, with `.log`, `.notes` and `.protected` beside them, and
`.verification` on a backup server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from reconciler.pve.retention import PruneMark, Saved, moment_named, verdicts
from reconciler.sandbox.backup.listed import Listed, listed, strike
from reconciler.sandbox.clock import stamp
from reconciler.sandbox.config.storagecfg import storages
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import died
from reconciler.sandbox.guests import LXC, Guest

_EXTENSION = r"tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?"
_FILE = re.compile(rf".+?\.({_EXTENSION})")
_TYPED = re.compile(r"vzdump-(lxc|openvz|qemu)-.+")
_GUEST = re.compile(r".*?-([1-9][0-9]{2,8})-.+")
_STANDARD = re.compile(
    r"vzdump-(?:lxc|openvz|qemu)-([1-9][0-9]{2,8})-(\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d)"
)
REMOVE = str(PruneMark.REMOVE)

PROTECTED_LIMIT = 5
"""Protected archives per guest for callers without Datastore.Allocate; the storage may set another
limit."""

_TIME = "%Y_%m_%d-%H_%M_%S"
_VERIFY_TASK = "UPID:backup:00000001:00000001:00000001:00000001:verificationjob::root@pam:"
_SAME_SECOND = 2
"""PVE names archives by the second, and a backup takes several. Here nothing is copied: a run
within this many seconds of the guest's previous one gets the same name and replaces its archive."""


@dataclass(frozen=True, slots=True)
class Archive:
    """`type` and `guest`: what was saved; `ctime` in Unix seconds; `format` as in `tar.zst`.
    `standard`: the name has PVE's form. Other names may contain neither type nor guest.
    """

    path: Path
    type: str
    guest: int | None
    ctime: int
    format: str
    standard: bool = True
    listed: Listed | None = None

    @property
    def size(self) -> int:
        """Bytes; 0 if it is listed without its size."""
        return (self.listed.size or 0) if self.listed else self.path.stat().st_size

    @property
    def is_sized(self) -> bool:
        """Whether a content list shows it."""
        return self.listed is None or self.listed.size is not None

    @property
    def protected(self) -> bool:
        if self.listed is not None:
            return self.listed.protected
        return beside(self.path, ".protected").exists()

    @property
    def notes(self) -> str:
        return _text(beside(self.path, ".notes"))

    @property
    def verification(self) -> str:
        """`ok` or `failed`, as verified by a backup server; empty before verification."""
        if self.listed is not None:
            return self.listed.verified
        return _text(beside(self.path, ".verification")).strip()

    def volume(self, storage: str, kind: str) -> str:
        """The volume id; on a backup server it consists of type, guest and time."""
        if kind != "pbs":
            return f"{storage}:backup/{self.path.name}"
        group = "ct" if self.type == LXC else "vm"
        return f"{storage}:backup/{group}/{self.guest}/{stamp(self.ctime, '%Y-%m-%dT%H:%M:%SZ')}"

    def row(self, storage: str, kind: str) -> dict[str, Any]:
        """The row in the content list of the storage."""
        pbs_format = "pbs-ct" if self.type == LXC else "pbs-vm"
        row: dict[str, Any] = {
            "volid": self.volume(storage, kind),
            "content": "backup",
            "format": pbs_format if kind == "pbs" else self.format,
            "subtype": self.type,
            "ctime": self.ctime,
            "size": self.size,
        }
        if self.guest is not None:
            row["vmid"] = self.guest
        if self.protected:
            row["protected"] = 1
        if self.notes:
            row["notes"] = self.notes if kind == "pbs" else self.notes.split("\n", 1)[0]
        if kind == "pbs" and self.verification:
            row["verification"] = {"state": self.verification, "upid": _VERIFY_TASK}
        return row


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""


def beside(path: Path, extension: str) -> Path:
    return path.with_name(path.name + extension)


def archives(ctx: Context, storage: str) -> list[Archive]:
    """All archives of a storage as the node at work sees it, sorted by name."""
    folder = dump_folder(ctx, storage)
    found = (_archive(path) for path in sorted(folder.glob("[!.]*")) if path.is_file())
    there = [archive for archive in found if archive is not None]
    rows = listed(ctx, storage)
    return sorted([*there, *_listed(folder, rows)], key=lambda one: one.path) if rows else there


def _listed(folder: Path, rows: Iterable[Listed]) -> Iterable[Archive]:
    for row in rows:
        path = folder / row.file_name
        archive = _archive(path, row.ctime) if not path.exists() else None
        if archive is not None:
            yield replace(archive, ctime=row.ctime, listed=row)


def archive_named(ctx: Context, storage: str, volume: str) -> Archive | None:
    """The archive of a volume name: `backup/FILE`, on a backup server `backup/GROUP/ID/TIME`."""
    name = volume.removeprefix("backup/")
    path = dump_folder(ctx, storage) / name
    if "/" not in name and path.is_file():
        return _archive(path)
    kind = "dir" if "/" not in name else "pbs"
    found = {archive.volume(storage, kind): archive for archive in archives(ctx, storage)}
    return found.get(f"{storage}:backup/{name}")


def _archive(path: Path, ctime: int | None = None) -> Archive | None:
    """An archive by its name; `ctime`: if there is no file."""
    file = _FILE.fullmatch(path.name)
    if file is None:
        return None
    stem = path.name.removesuffix(f".{file[1]}")
    typed, standard = _TYPED.fullmatch(path.name), _STANDARD.fullmatch(stem)
    kind = typed[1] if typed is not None else "unknown"
    if standard is not None:
        made = moment_named(standard[2], UTC)
        if made is not None:
            return Archive(path, kind, int(standard[1]), int(made.timestamp()), file[1])
        kind = "unknown"
    guest = _GUEST.fullmatch(stem)
    number = int(guest[1]) if guest is not None else None
    made_at = int(path.stat().st_mtime) if ctime is None else ctime
    return Archive(path, kind, number, made_at, file[1], standard=False)


def archives_of(ctx: Context, storage: str, guest: Guest) -> list[Archive]:
    """The newest first."""
    mine = [
        archive
        for archive in archives(ctx, storage)
        if (archive.type, archive.guest) == (guest.kind, guest.vmid)
    ]
    return sorted(mine, key=lambda archive: -archive.ctime)


def new_archive(ctx: Context, storage: str, guest: Guest, compress: str) -> Archive:
    """The destination of a backup of the guest; nothing is written yet."""
    folder, now = dump_folder(ctx, storage), ctx.now
    before = next(iter(archives_of(ctx, storage, guest)), None)
    if before is not None and 0 <= now - before.ctime < _SAME_SECOND:
        now = before.ctime
    extension = "tar" if guest.kind == LXC else "vma"
    packed = {"zstd": ".zst", "gzip": ".gz", "lzo": ".lzo", "1": ".lzo"}.get(compress, "")
    name = f"vzdump-{guest.kind}-{guest.vmid}-{stamp(now, _TIME)}.{extension}{packed}"
    folder.mkdir(parents=True, exist_ok=True)
    return Archive(folder / name, guest.kind, guest.vmid, now, extension + packed)


def refuse_listed(archive: Archive | None) -> None:
    """Raises for an archive that is only listed."""
    if archive is not None and archive.listed is not None:
        raise died(f"'{archive.path.name}' is only listed, as part of a snapshot")


def remove_archive(archive: Archive) -> None:
    if archive.listed is not None:
        strike(archive.listed)
        return
    kept = (beside(archive.path, extension) for extension in (".notes", ".verification"))
    for path in (archive.path, log_of(archive), *kept):
        path.unlink(missing_ok=True)


def marked(
    found: Iterable[Archive], keep: Mapping[str, Any], zone: tzinfo
) -> list[tuple[Archive, str]]:
    """What pruning does with each archive, guest by guest."""
    those = list(found)
    rules = {name: int(count) for name, count in keep.items()}
    seen = [
        Saved((one.type, one.guest or 0), one.ctime, one.protected, renamed=not one.standard)
        for one in those
    ]
    return list(zip(those, map(str, verdicts(seen, rules, zone)), strict=True))


def to_prune(found: Iterable[Archive], keep: Mapping[str, Any], zone: tzinfo) -> list[Archive]:
    """The archives that pruning removes, in the given order."""
    return [archive for archive, mark in marked(found, keep, zone) if mark == REMOVE]


def dump_folder(ctx: Context, storage: str) -> Path:
    """The folder of a storage's archives; a storage that is not shared has one per node."""
    section = storages(ctx.store).get(storage)
    shared = section is not None and section.values.get("shared")
    run = ctx.store.run_folder
    base = run if shared or ctx.node == ctx.store.node else run / "nodes" / ctx.node
    return base / "storage" / storage / "dump"


def log_of(archive: Archive) -> Path:
    return archive.path.with_name(archive.path.name.removesuffix(f".{archive.format}") + ".log")
