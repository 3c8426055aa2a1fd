"""Backup archives of the sandbox: small files in `FOLDER.run/storage/ID/dump/`.

They are named as PVE names them; `.log`, `.notes` and `.protected` lie beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.sandbox.clock import stamp
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.guests import LXC, Guest
from reconciler.sandbox.tasks import run_folder

_NAME = re.compile(
    r"vzdump-(lxc|qemu)-(\d+)-(\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d)\.((?:tar|vma)(?:\.(?:gz|lzo|zst))?)"
)
_TIME = "%Y_%m_%d-%H_%M_%S"
_SAME_SECOND = 2
"""PVE names archives by the second, and a backup takes some. Here nothing is copied: a guest's run
within so many seconds of the one before takes its name and replaces its archive."""


@dataclass(frozen=True, slots=True)
class Archive:
    """`type` and `guest`: what was saved; `ctime` in Unix seconds; `format` as in `tar.zst`."""

    path: Path
    type: str
    guest: int
    ctime: int
    format: str

    @property
    def protected(self) -> bool:
        return beside(self.path, ".protected").exists()

    @property
    def notes(self) -> str:
        try:
            return beside(self.path, ".notes").read_text("utf-8")
        except FileNotFoundError:
            return ""

    def volume(self, storage: str, kind: str) -> str:
        """The volume id; on a backup server it is made of type, guest and time."""
        if kind != "pbs":
            return f"{storage}:backup/{self.path.name}"
        group = "ct" if self.type == LXC else "vm"
        return f"{storage}:backup/{group}/{self.guest}/{stamp(self.ctime, '%Y-%m-%dT%H:%M:%SZ')}"

    def row(self, storage: str, kind: str) -> dict[str, Any]:
        """As the content list of the storage shows it."""
        pbs_format = "pbs-ct" if self.type == LXC else "pbs-vm"
        row: dict[str, Any] = {
            "volid": self.volume(storage, kind),
            "content": "backup",
            "format": pbs_format if kind == "pbs" else self.format,
            "subtype": self.type,
            "ctime": self.ctime,
            "size": self.path.stat().st_size,
            "vmid": self.guest,
        }
        if self.protected:
            row["protected"] = 1
        if self.notes:
            row["notes"] = self.notes.split("\n", 1)[0]
        return row


def beside(path: Path, extension: str) -> Path:
    return path.with_name(path.name + extension)


def archives(store: Store, storage: str) -> list[Archive]:
    """All archives of a storage, sorted by name."""
    found = []
    for path in sorted(_folder(store, storage).glob("vzdump-*")):
        name = _NAME.fullmatch(path.name)
        if name is not None:
            made = datetime.strptime(name[3], _TIME).replace(tzinfo=UTC)
            found.append(Archive(path, name[1], int(name[2]), int(made.timestamp()), name[4]))
    return found


def archives_of(store: Store, storage: str, guest: Guest) -> list[Archive]:
    """The newest first."""
    mine = [
        archive
        for archive in archives(store, storage)
        if (archive.type, archive.guest) == (guest.kind, guest.vmid)
    ]
    return sorted(mine, key=lambda archive: -archive.ctime)


def new_archive(store: Store, storage: str, guest: Guest, now: int, compress: str) -> Archive:
    """Where a backup of the guest goes; nothing is written yet."""
    before = next(iter(archives_of(store, storage, guest)), None)
    if before is not None and 0 <= now - before.ctime < _SAME_SECOND:
        now = before.ctime
    extension = "tar" if guest.kind == LXC else "vma"
    packed = {"zstd": ".zst", "gzip": ".gz", "lzo": ".lzo", "1": ".lzo"}.get(compress, "")
    name = f"vzdump-{guest.kind}-{guest.vmid}-{stamp(now, _TIME)}.{extension}{packed}"
    folder = _folder(store, storage)
    return Archive(folder / name, guest.kind, guest.vmid, now, extension + packed)


def write_archive(archive: Archive, log: Iterable[str]) -> None:
    """The archive and the log beside it."""
    archive.path.parent.mkdir(parents=True, exist_ok=True)
    kind = "CT" if archive.type == LXC else "VM"
    archive.path.write_text(f"simulated backup of {kind} {archive.guest}", "utf-8")
    _log(archive).write_text("".join(f"{line}\n" for line in log), "utf-8")


def remove_archive(archive: Archive) -> None:
    for path in (archive.path, _log(archive), beside(archive.path, ".notes")):
        path.unlink(missing_ok=True)


def to_prune(found: Iterable[Archive], keep: Mapping[str, Any]) -> list[Archive]:
    """What retention removes of one guest's archives, given the newest first.

    The rules with shorter periods choose first; what one of them keeps counts for the longer ones
    without using up their number. Protected archives are neither counted nor removed.
    """
    counts = {name: int(keep.get(name, 0)) for name in _PERIODS}
    if not any(counts.values()):
        return []
    candidates = [archive for archive in found if not archive.protected]
    kept: set[int] = set()
    dropped: set[int] = set()
    for name, period in _PERIODS.items():
        taken = {period(archive.ctime) for archive in candidates if archive.ctime in kept}
        new: set[str] = set()
        for archive in candidates if counts[name] else ():
            label = period(archive.ctime)
            if archive.ctime in kept | dropped or label in taken:
                continue
            if label in new:
                dropped.add(archive.ctime)
            elif len(new) < counts[name]:
                new.add(label)
                kept.add(archive.ctime)
            else:
                break
    return [archive for archive in candidates if archive.ctime not in kept]


def _period(pattern: str) -> Callable[[int], str]:
    return lambda seconds: stamp(seconds, pattern)


_PERIODS: Mapping[str, Callable[[int], str]] = {
    "keep-last": str,
    "keep-hourly": _period("%H/%d/%m/%Y"),
    "keep-daily": _period("%d/%m/%Y"),
    "keep-weekly": _period("%V/%G"),
    "keep-monthly": _period("%m/%Y"),
    "keep-yearly": _period("%Y"),
}


def _folder(store: Store, storage: str) -> Path:
    return run_folder(store) / "storage" / storage / "dump"


def _log(archive: Archive) -> Path:
    return archive.path.with_name(archive.path.name.removesuffix(f".{archive.format}") + ".log")
