"""What the retention of backup jobs removes of the archives that exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import NamedTuple

from reconciler.kinds.backup.run import is_saved_by, storage_of
from reconciler.kinds.backup.table import BackupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.storage.table import StorageSpec
from reconciler.model.address import Address
from reconciler.model.backups import Archive
from reconciler.model.inventory import ArchivePlace, Facts, Guest, Kept
from reconciler.model.spec import State
from reconciler.pve.retention import PruneMark, Saved, rules_of, spelled, verdicts


class Job(NamedTuple):
    """What decides which archives a run of a job removes; no `rules` keep everything."""

    storage: str
    rules: Mapping[str, int]
    guests: frozenset[Guest]


class Loss(NamedTuple):
    """One guest of a job: the archives that are kept today and would be removed at its next run, of
    `all` that there are, and the oldest that stays."""

    job: str
    storage: str
    guest: int
    lost: tuple[Archive, ...]
    all: int
    oldest: Archive | None


class DryRunDifference(NamedTuple):
    """Volumes that only Proxmox VE's dry run would remove, or only the algorithm here."""

    place: ArchivePlace
    rules: str
    only_dry_run: tuple[str, ...]
    only_here: tuple[str, ...]


def jobs_of(state: State, facts: Facts) -> dict[str, Job]:
    """The enabled jobs. A job without rules of its own has those of its storage
    (`new` of PVE::VZDump)."""
    return {
        address.id: Job(storage_of(spec), rules_of_job(spec, state), _guests(spec, state, facts))
        for address, spec in sorted(state.items())
        if isinstance(spec, BackupSpec) and spec.enabled
    }


def storages_concerned(live: State, planned: State, facts: Facts) -> frozenset[str]:
    """The storages of jobs for which a run would treat archives otherwise than before."""
    before, after = jobs_of(live, facts), jobs_of(planned, facts)
    return frozenset(
        job.storage for name, job in after.items() if job.rules and before.get(name) != job
    )


def rules_concerned(live: State, planned: State, facts: Facts) -> dict[str, frozenset[str]]:
    """Storage -> the rules, of today and as planned, whose effect on it has to be known."""
    jobs = [*jobs_of(live, facts).values(), *jobs_of(planned, facts).values()]
    return {
        storage: frozenset(
            spelled(job.rules) for job in jobs if job.storage == storage and job.rules
        )
        for storage in storages_concerned(live, planned, facts)
    }


def losses(live: State, planned: State, facts: Facts) -> list[Loss]:
    """By job and guest; as Proxmox VE's dry run counts, so before the next archive is made."""
    before, after = jobs_of(live, facts), jobs_of(planned, facts)
    gone = {
        (place, archive.volume)
        for job in before.values()
        for place, archive in _removed(job, facts.kept)
    }
    found = []
    for name, job in after.items():
        if before.get(name) == job:
            continue
        removed = {(place, archive.volume) for place, archive in _removed(job, facts.kept)}
        for guest in sorted(job.guests):
            own = list(_archives_of(guest, job.storage, facts.kept))
            lost = tuple(
                archive
                for place, archive in own
                if (place, archive.volume) in removed and (place, archive.volume) not in gone
            )
            stay = [archive for place, archive in own if (place, archive.volume) not in removed]
            if lost:
                oldest = min(stay, key=lambda one: one.made, default=None)
                found.append(Loss(name, job.storage, guest.vmid, lost, len(own), oldest))
    return found


def disagreements(kept: Kept) -> list[DryRunDifference]:
    """Where the dry run and the algorithm here differ; not where the clock of a node is unknown."""
    found = []
    for place in kept.places:
        for rules, theirs in sorted(place.removed.items()) if place.zone is not None else ():
            ours = _computed(place, rules_of(rules))
            if ours != theirs:
                pair = tuple(sorted(theirs - ours)), tuple(sorted(ours - theirs))
                found.append(DryRunDifference(place, rules, *pair))
    return found


def _removed(job: Job, kept: Kept) -> Iterator[tuple[str, Archive]]:
    """The node of the storage, and each archive that a run of the job removes there: on a local
    storage those of the guests of that node, and always of the kind that the guest has now."""
    for place in kept.places if job.rules else ():
        if place.storage != job.storage:
            continue
        theirs = place.removed.get(spelled(job.rules))
        marked = _computed(place, job.rules) if theirs is None else theirs
        mine = {(one.vmid, one.kind) for one in job.guests if place.node in ("", one.node)}
        for archive in place.archives:
            if archive.volume in marked and (archive.guest, archive.kind) in mine:
                yield place.node, archive


def _archives_of(guest: Guest, storage: str, kept: Kept) -> Iterator[tuple[str, Archive]]:
    for place in kept.places:
        if place.storage == storage and place.node in ("", guest.node):
            for archive in place.archives:
                if (archive.guest, archive.kind) == (guest.vmid, guest.kind):
                    yield place.node, archive


def _computed(place: ArchivePlace, rules: Mapping[str, int]) -> frozenset[str]:
    saved = [
        Saved((one.kind, one.guest), one.made, one.protected, one.renamed) for one in place.archives
    ]
    marks = verdicts(saved, rules, place.zone or UTC)
    return frozenset(
        one.volume
        for one, mark in zip(place.archives, marks, strict=True)
        if mark is PruneMark.REMOVE
    )


def rules_of_job(spec: BackupSpec, state: State) -> Mapping[str, int]:
    """Its own, or those of its storage; none keep everything."""
    if spec.option("remove") == "0":
        return {}
    storage = state.get(Address("storage", storage_of(spec)))
    own = spec.option("prune-backups")
    if not own and isinstance(storage, StorageSpec):
        given = dict(storage.options).get("prune-backups", "")
        own = given if isinstance(given, str) else ",".join(given)
    rules = rules_of(own)
    return {} if rules.get("keep-all") else rules


def _guests(spec: BackupSpec, state: State, facts: Facts) -> frozenset[Guest]:
    pool = state.get(Address("pool", spec.selection.pool)) if spec.selection.pool else None
    members: Iterable[Guest] = facts.guests.values()
    if isinstance(pool, PoolSpec):
        members = [
            guest._replace(pool=spec.selection.pool if guest.vmid in pool.guests else "")
            for guest in facts.guests.values()
        ]
    return frozenset(guest for guest in members if is_saved_by(spec, guest))
