"""What it takes to run backup jobs and restore drills, from the files alone."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.errors import UsageError
from reconciler.kinds.backup.drill import ZONE, guest_needs, storage_needs
from reconciler.kinds.backup.run import storage_of
from reconciler.kinds.backup.table import BackupSpec
from reconciler.kinds.kind import Need, need
from reconciler.model.backups import Archive
from reconciler.model.declared import Desired
from reconciler.model.drill import DrillPlan
from reconciler.model.policy import Drill
from reconciler.pve.guest_config import LXC, QEMU
from reconciler.pve.release import Release


def saving_needs(desired: Desired) -> Iterator[Need]:
    """To run the declared backup jobs (`backup run`), as far as their options need no more."""
    for job in _jobs(desired):
        for place, below in _guests(job):
            yield need(place, "VM.Backup", propagated=below)
            yield need(place, "VM.Audit", propagated=below)
        yield need(f"/storage/{storage_of(job)}", "Datastore.AllocateSpace")


def drilling_needs(desired: Desired) -> Iterator[Need]:
    """To restore the archives of the declared jobs as [drill] says.

    The bridges that they name are unknown, so all bridges of the node are assumed. Raises
    UsageError without a pool: Proxmox VE deletes what is granted on a guest together with the
    guest.
    """
    drill = desired.policy.drill
    for job in _jobs(desired):
        for place, below in _guests(job):
            yield need(place, "VM.Backup", propagated=below)
            if not job.selection.guests:
                yield need(place, "VM.Audit", propagated=below)
        yield from storage_needs(storage_of(job))
    yield from storage_needs(drill.storage)
    yield need(f"/sdn/zones/{ZONE}", "SDN.Use", propagated=True)
    if drill.start:
        yield need("/nodes", "Sys.Audit", propagated=True)
    if not drill.pool:
        raise UsageError(
            "[drill] says nothing about pool, on which a token could be granted what it needs",
            hint='set pool = "drills" in [drill]: grants on /vms/ID go with the guest of that id',
        )
    for kind in (LXC, QEMU):
        for one in guest_needs(_plan(drill, kind), 0, None):
            yield _of_release(one, desired.release)


def _jobs(desired: Desired) -> list[BackupSpec]:
    specs = (declared.spec for declared in desired.objects.values())
    found = [spec for spec in specs if isinstance(spec, BackupSpec) and spec.enabled]
    if not found:
        raise UsageError(
            "the files declare no enabled backup job", hint="declare one: [backup.nightly]"
        )
    return found


def _guests(job: BackupSpec) -> Iterator[tuple[str, bool]]:
    """Paths of the guests of a job, and whether everything below is meant."""
    chosen = job.selection
    if chosen.pool:
        yield f"/pool/{chosen.pool}", True
    elif chosen.all:
        yield "/vms", True
    else:
        for guest in chosen.guests:
            yield f"/vms/{guest}", False


def _plan(drill: Drill, kind: str) -> DrillPlan:
    """A drill of any guest of this kind."""
    tables = [*drill.guest.values(), *drill.tag.values()]
    return DrillPlan(
        guest=0,
        kind=kind,
        node="",
        archive=Archive("", 0, 0, 0),
        ids=drill.range,
        storage=drill.storage,
        mark="",
        cluster="",
        pool=drill.pool,
        network=drill.network,
        start=drill.start,
        checks=tuple(one.check for one in tables) if kind == QEMU else (),
    )


def _of_release(one: Need, release: Release) -> Need:
    """Only alternatives that the release knows."""
    known = [way for way in one.any_of if all(name in release.privileges for _, name in way)]
    return one._replace(any_of=tuple(known))
