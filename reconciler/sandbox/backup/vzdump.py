"""A run of vzdump: permission per guest, the archives, pruning, and the log.

PVE source: `new`, `exec_backup`, `exec_backup_task` of PVE::VZDump. A guest that is stopped is
always backed up in mode `stop`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reconciler.pve.backup_options import VZDUMP_DEFAULTS
from reconciler.sandbox.backup.archives import (
    PROTECTED_LIMIT,
    archives_of,
    beside,
    new_archive,
    remove_archive,
    to_prune,
)
from reconciler.sandbox.backup.contents import write_archive, write_log
from reconciler.sandbox.backup.job import Options, truthy
from reconciler.sandbox.backup.listed import zone_of
from reconciler.sandbox.clock import stamp
from reconciler.sandbox.config.jobcfg import properties
from reconciler.sandbox.config.sections import Section
from reconciler.sandbox.config.storagecfg import storages
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, died
from reconciler.sandbox.guest.config_file import editing_guest, load
from reconciler.sandbox.guests import LXC, Guest, guests
from reconciler.sandbox.storage.disks import Disk, backed_up, disks
from reconciler.sandbox.storage.plugins import check_online
from reconciler.sandbox.tasks import Interrupted, Worker


@dataclass(slots=True)
class _Run:
    """One run on one storage; `lines` is the log of the current guest."""

    ctx: Context
    worker: Worker
    options: Options
    storage: str
    section: Section
    keep: Mapping[str, Any]
    lines: list[str] = field(default_factory=list)

    def info(self, text: str) -> None:
        self.worker.log(f"INFO: {text}")
        self.lines.append(f"{stamp(self.ctx.now)} INFO: {text}")


def run(
    ctx: Context, worker: Worker, options: Options, storage: str, wanted: list[int], command: str
) -> None:
    """Back up the guests one after the other; raises when something failed. Without `all` the first
    guest that the caller may not back up ends the run before anything is saved; with `all` such
    guests are silently skipped.
    """
    options = {**VZDUMP_DEFAULTS, "prune-backups": None, **options}
    section, keep = _open_storage(ctx, storage, options)
    job = _Run(ctx, worker, options, storage, section, keep)
    job.info(f"starting new backup job: {command}")
    known = {guest.vmid: guest for guest in guests(ctx.store)}
    chosen = [guest for guest in sorted(wanted) if _may_back_up(ctx, known, options, guest)]
    failed = [guest for guest in chosen if not _back_up(job, guest, known.get(guest))]
    job.info(f"Backup job finished {'with errors' if failed else 'successfully'}")
    if failed:
        raise died("job errors")


def _open_storage(
    ctx: Context, storage: str, options: Options
) -> tuple[Section, Mapping[str, Any]]:
    """The storage and the effective retention; all errors at once."""
    section = storages(ctx.store).get(storage)
    wrong = [
        f"{what} '{storage}': {complaint}"
        for what, complaint in (
            ("could not activate storage", _activation_complaint(ctx, storage, section)),
            ("could not get storage information for", _use_complaint(storage, section)),
        )
        if complaint
    ]
    if wrong or section is None:
        raise died("\n".join(wrong))
    keep = options["prune-backups"]
    if keep is None:
        configured = section.values.get("prune-backups")
        keep = properties("prune-backups", "keep-all=1" if configured is None else configured)
    return section, keep


def _activation_complaint(ctx: Context, storage: str, section: Section | None) -> str:
    node = ctx.node
    if section is None:
        return f"storage '{storage}' does not exist"
    if section.values.get("disable"):
        return f"storage '{storage}' is disabled"
    if section.values.get("nodes") and node not in section.values["nodes"]:
        return f"storage '{storage}' is not available on node '{node}'"
    try:
        check_online(storage, section)
    except ApiError as refusal:
        return str(refusal).strip()
    return ""


def _use_complaint(storage: str, section: Section | None) -> str:
    if section is None:
        return f"storage '{storage}' does not exist"
    if "backup" not in section.values["content"]:
        return f"can't use storage '{storage}' for backups - wrong content type"
    return ""


def _may_back_up(ctx: Context, known: Mapping[int, Guest], options: Options, guest: int) -> bool:
    if guest not in known:
        return True
    if truthy(options["all"]):
        return ctx.may(f"/vms/{guest}", ["VM.Backup"])
    ctx.require(f"/vms/{guest}", ["VM.Backup"])
    return True


def _back_up(job: _Run, number: int, guest: Guest | None) -> bool:
    """Whether it succeeded; the log has the errors."""
    job.lines.clear()
    try:
        if guest is None:
            raise died(f"unable to find VM '{number}'")
        _check_limits(job, guest)
        with _locked(job.ctx, guest):
            _save(job, guest)
    except Interrupted as error:
        job.worker.log(f"ERROR: Backup of VM {number} failed - interrupted by signal")
        raise died("interrupted by signal") from error
    except ApiError as error:
        job.worker.log(f"ERROR: Backup of VM {number} failed - {str(error).strip()}")
        job.info(f"Failed at {stamp(job.ctx.now)}")
        return False
    job.info(f"Finished Backup of VM {number} (00:00:00)")
    job.info(f"Backup finished at {stamp(job.ctx.now)}")
    return True


@contextmanager
def _locked(ctx: Context, guest: Guest) -> Iterator[None]:
    """The guest is locked while it is backed up; visible only if tasks take time."""
    load(ctx, guest.kind, guest.vmid).check_lock()
    if not ctx.store.task_time:
        yield
        return
    with editing_guest(ctx, guest.kind, guest.vmid) as file:
        file.check_lock()
        file.values["lock"] = "backup"
    try:
        yield
    finally:
        with editing_guest(ctx, guest.kind, guest.vmid) as file:
            file.values.pop("lock", None)


def _check_limits(job: _Run, guest: Guest) -> None:
    """The limit of archives, if the run itself does not prune."""
    options = job.options
    limit = sum(int(count) for key, count in job.keep.items() if key != "keep-all")
    found = archives_of(job.ctx, job.storage, guest)
    if truthy(options.get("protected")):
        most = job.section.values.get("max-protected-backups")
        if most is None:
            free = job.ctx.may(f"/storage/{job.storage}", ["Datastore.Allocate"])
            most = -1 if free else PROTECTED_LIMIT
        if -1 < most <= sum(archive.protected for archive in found):
            raise died(
                f"The number of protected backups per guest is limited to {most} "
                f"on storage '{job.storage}'"
            )
    elif 0 < limit <= sum(not archive.protected for archive in found) and not truthy(
        options["remove"]
    ):
        raise died(
            f"There is a max backup limit of {limit} enforced by the target storage or the "
            "vzdump parameters. Either increase the limit or delete old backups."
        )


def _save(job: _Run, guest: Guest) -> None:
    options, kind = job.options, job.section.type
    job.info(f"Starting Backup of VM {guest.vmid} ({guest.kind})")
    job.info(f"Backup started at {stamp(job.ctx.now)}")
    running = guest.started is not None
    job.info(f"status = {'running' if running else 'stopped'}")
    job.info(f"backup mode: {options['mode'] if running else 'stop'}")
    if truthy(options["bwlimit"]):
        job.info(f"bandwidth limit: {options['bwlimit']} KiB/s")
    job.info(f"ionice priority: {options['ionice']}")
    job.info(f"{'CT' if guest.kind == 'lxc' else 'VM'} Name: {guest.name}")
    for disk in disks(guest) if guest.kind != LXC else ():
        job.info(_disk_line(guest, disk))
    archive = new_archive(job.ctx, job.storage, guest, str(options["compress"]))
    volume = archive.volume(job.storage, kind)
    if kind == "pbs":
        target = volume.partition(":backup/")[2]
        job.info(f"creating Proxmox Backup Server archive '{target}'")
    else:
        job.info(f"creating vzdump archive '{job.section.values['path']}/dump/{archive.path.name}'")
    job.worker.spend()
    write_archive(job.ctx.store, job.storage, archive, guest, load(job.ctx, guest.kind, guest.vmid))
    write_log(archive, job.lines)
    if kind != "pbs":
        job.info(f"archive file size: {archive.size // 1024}KB")
    if truthy(options.get("notes-template")):
        job.info("adding notes to backup")
        notes = _notes(job, guest, str(options["notes-template"]))
        beside(archive.path, ".notes").write_text(notes, "utf-8")
    if truthy(options.get("protected")):
        job.info("marking backup as protected")
        beside(archive.path, ".protected").touch()
    if truthy(options["remove"]) and not truthy(job.keep.get("keep-all")):
        _prune(job, guest)


def _disk_line(guest: Guest, disk: Disk) -> str:
    if not backed_up(guest, disk)[0]:
        return f"exclude disk '{disk.key}' '{disk.volume}' (backup=no)"
    size = disk.options.get("size", "")
    return f"include disk '{disk.key}' '{disk.volume}' {size}".rstrip()


def _notes(job: _Run, guest: Guest, template: str) -> str:
    values = {
        "cluster": "standalone node",
        "guestname": guest.name,
        "node": job.ctx.node,
        "vmid": str(guest.vmid),
    }
    text = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], template)
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values.get(found[1], found[0]), text)


def _prune(job: _Run, guest: Guest) -> None:
    rules = ", ".join(f"{key}={job.keep[key]}" for key in sorted(job.keep))
    job.info(f"prune older backups with retention: {rules}")
    gone = to_prune(archives_of(job.ctx, job.storage, guest), job.keep, zone_of(job.ctx.store))
    for archive in gone:
        job.info(f"removing backup '{archive.volume(job.storage, job.section.type)}'")
        remove_archive(archive)
    policy = " not covered by keep-retention policy" if gone else ""
    job.info(f"pruned {len(gone)} backup(s){policy}")
