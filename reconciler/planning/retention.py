"""What the retention of backup jobs removes of the archives that exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from reconciler.kinds.backup.run import is_saved_by, storage_of
from reconciler.kinds.backup.table import BackupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.storage.table import StorageSpec
from reconciler.model.address import Address
from reconciler.model.backups import Archive
from reconciler.model.inventory import Facts, Guest
from reconciler.model.spec import State
from reconciler.pve.retention import Saved, Verdict, rules_of, verdicts


class Job(NamedTuple):
    """What decides which archives a run of a job removes; no `rules` keep everything."""

    storage: str
    rules: Mapping[str, int]
    guests: frozenset[int]


class Loss(NamedTuple):
    """One guest of a job: the archives that are kept today and would be removed at its next run, of
    `all` that there are, and the oldest that stays."""

    job: str
    storage: str
    guest: int
    lost: tuple[Archive, ...]
    all: int
    oldest: Archive | None


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


def losses(live: State, planned: State, facts: Facts) -> list[Loss]:
    """By job and guest; as Proxmox VE's dry run counts, so before the next archive is made."""
    before, after = jobs_of(live, facts), jobs_of(planned, facts)
    gone = {volume for job in before.values() for volume in _removed(job, facts)}
    found = []
    for name, job in after.items():
        if before.get(name) == job:
            continue
        removed = _removed(job, facts)
        for guest in sorted(job.guests):
            own = [one for one in facts.kept.archives.get(job.storage, ()) if one.guest == guest]
            lost = tuple(one for one in own if one.volume in removed and one.volume not in gone)
            stay = [one for one in own if one.volume not in removed]
            if lost:
                oldest = min(stay, key=lambda one: one.made, default=None)
                found.append(Loss(name, job.storage, guest, lost, len(own), oldest))
    return found


def _removed(job: Job, facts: Facts) -> frozenset[str]:
    found = [one for one in facts.kept.archives.get(job.storage, ()) if one.guest in job.guests]
    seen = [Saved((one.kind, one.guest), one.made, one.protected, one.renamed) for one in found]
    marks = verdicts(seen, job.rules, facts.kept.zone)
    return frozenset(
        one.volume for one, mark in zip(found, marks, strict=True) if mark is Verdict.REMOVE
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


def _guests(spec: BackupSpec, state: State, facts: Facts) -> frozenset[int]:
    pool = state.get(Address("pool", spec.selection.pool)) if spec.selection.pool else None
    members: Iterable[Guest] = facts.guests.values()
    if isinstance(pool, PoolSpec):
        members = [
            guest._replace(pool=spec.selection.pool if guest.vmid in pool.guests else "")
            for guest in facts.guests.values()
        ]
    return frozenset(guest.vmid for guest in members if is_saved_by(spec, guest))
