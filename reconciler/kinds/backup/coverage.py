"""Jobs that Proxmox VE accepts silently, but that leave guests without a backup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from reconciler.kinds.backup.table import BackupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.storage.table import StorageSpec
from reconciler.model.address import Address
from reconciler.model.finding import NOT_BACKED_UP, Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.model.spec import Spec
from reconciler.pve.calendar.event import parse
from reconciler.pve.calendar.overlap import same_hour
from reconciler.pve.calendar.runs import CalendarEvent
from reconciler.pve.storage_options import STORAGE_TYPES
from reconciler.text.humanize import in_prose

_SHOWN = 8
"""Number of guests that a finding names."""


class _Job(NamedTuple):
    """A job with the guests that it backs up, as far as they are known."""

    address: Address
    spec: BackupSpec
    guests: frozenset[int]
    event: CalendarEvent | None


def survey(planned: Mapping[Address, Spec], facts: Facts) -> Iterable[Finding]:
    """Findings about all jobs of the planned state, declared or not."""
    jobs = [
        _job(address, spec, planned, facts)
        for address, spec in sorted(planned.items(), key=lambda item: item[0])
        if isinstance(spec, BackupSpec)
    ]
    knows_storages = any(address.kind == "storage" for address in planned)
    for job in jobs:
        if knows_storages:
            yield from _storage(job, planned, facts)
        yield from _guests(job, facts)
    enabled = [job for job in jobs if job.spec.enabled]
    yield from _unsaved(enabled, facts)
    yield from _same_hour(enabled)


def _job(address: Address, spec: BackupSpec, planned: Mapping[Address, Spec], facts: Facts) -> _Job:
    chosen = spec.selection
    guests = frozenset(chosen.guests)
    if chosen.all:
        guests = frozenset(facts.guests) - frozenset(chosen.exclude)
    elif chosen.pool:
        pool = planned.get(Address("pool", chosen.pool))
        guests = frozenset(pool.guests if isinstance(pool, PoolSpec) else ())
    node = spec.option("node")
    if node:
        guests = frozenset(
            v for v in guests if v not in facts.guests or facts.guests[v].node == node
        )
    try:
        event = parse(spec.schedule)
    except ValueError:
        event = None
    return _Job(address, spec, guests, event)


def _storage(job: _Job, planned: Mapping[Address, Spec], facts: Facts) -> Iterable[Finding]:
    """The storage must exist, be enabled, take backups, and reach the nodes of the guests."""
    name = job.spec.option("storage") or "local"
    storage = planned.get(Address("storage", name))
    if not isinstance(storage, StorageSpec):
        if facts.complete:
            yield _warn(job, "NO_SUCH_STORAGE", f"backs up to storage {name}, which does not exist")
        return
    given = dict(storage.options)
    if given.get("disable") == "1":
        yield _warn(job, "STORAGE_DISABLED", f"backs up to storage {name}, which is disabled")
    if "content" in given and "backup" not in given["content"]:
        hint = f'add "backup" to the content of storage {name}'
        kind = STORAGE_TYPES.get(storage.type)
        if kind is not None and "backup" not in kind.content:
            able = [a.id for a, one in sorted(planned.items()) if _holds_backups(one)]
            other = f"such as {in_prose(able)}" if able else "of the type dir, nfs, cifs or pbs"
            hint = f"name another storage, {other}: one of the type {storage.type} holds no backups"
        yield _warn(
            job,
            "NOT_FOR_BACKUPS",
            f"backs up to storage {name}, which does not accept backups",
            hint,
        )
    nodes = given.get("nodes", ())
    wanted = {facts.guests[vmid].node for vmid in job.guests if vmid in facts.guests}
    wanted |= {job.spec.option("node")} - {""}
    beyond = sorted(wanted - set(nodes)) if nodes else []
    if beyond:
        text = f"backs up to storage {name}, which is not available on {', '.join(beyond)}"
        yield _warn(job, "STORAGE_NOT_THERE", text)
    yield from _retention(job, name, storage)


def _holds_backups(spec: Spec) -> bool:
    given = dict(spec.options) if isinstance(spec, StorageSpec) else {}
    return "backup" in given.get("content", ()) and given.get("disable") != "1"


def _retention(job: _Job, name: str, storage: StorageSpec) -> Iterable[Finding]:
    """A backup server has its own retention; any other storage fills up without one."""
    rules = job.spec.option("prune-backups") or dict(storage.options).get("prune-backups", "")
    keeps_all = rules in {"", "keep-all=1"} or job.spec.option("remove") == "0"
    if keeps_all and storage.type != "pbs":
        text = f"never removes old backups, so storage {name} fills up"
        yield _warn(job, "KEEPS_EVERYTHING", text, "set a retention, such as keep = { last = 3 }")


def _guests(job: _Job, facts: Facts) -> Iterable[Finding]:
    missing = sorted(set(job.spec.selection.guests) - set(facts.guests)) if facts.nodes else []
    if missing:
        yield _warn(
            job, "NO_SUCH_GUEST", f"names {_list(missing)}, which the cluster does not have"
        )
    elif facts.nodes and not job.guests:
        yield _warn(job, "SAVES_NOTHING", "backs up no guest")


def _unsaved(jobs: Sequence[_Job], facts: Facts) -> Iterable[Finding]:
    saved = {vmid for job in jobs for vmid in job.guests}
    rest = sorted(set(facts.guests) - saved - facts.unsaved)
    if rest:
        yield Finding(
            NOT_BACKED_UP,
            Severity.WARNING if jobs else Severity.NOTE,
            f"in no enabled backup job: {_list(rest)}",
            hint="add them to a job, or to the pool of one, or to a no_backup table with a reason",
        )
    both = sorted(saved & facts.unsaved)
    if both:
        yield Finding(
            "SAVED_ALL_THE_SAME",
            Severity.NOTE,
            f"exempt from backups, but in an enabled job: {_list(both)}",
            hint="exclude them from the job, or remove them from [[no_backup]]",
        )


def _same_hour(jobs: Sequence[_Job]) -> Iterable[Finding]:
    for one, other in combinations(jobs, 2):
        both = sorted(one.guests & other.guests)
        if both and one.event and other.event and same_hour(one.event, other.event):
            text = f"and {other.address} back up {_list(both)} in the same hour"
            yield _warn(
                one, "SAME_HOUR", text, "a guest cannot have two backups at once; reschedule one"
            )


def _warn(job: _Job, code: str, text: str, hint: str = "") -> Finding:
    return Finding(code, Severity.WARNING, f"{job.address} {text}", hint, job.address)


def _list(guests: Sequence[int]) -> str:
    shown = ", ".join(map(str, guests[:_SHOWN]))
    more = f" and {len(guests) - _SHOWN} more" if len(guests) > _SHOWN else ""
    return f"guest {shown}{more}" if len(guests) == 1 else f"guests {shown}{more}"
