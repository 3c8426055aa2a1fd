"""Which guests can be restored, for `pvectl backup status`, `drift` and `report`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Here, Loaded, drills_of, here, now
from reconciler.cli.terminal.output import show
from reconciler.errors import ExitStatus, RequestRefused
from reconciler.execution.backups.left_out import disks_left_out
from reconciler.execution.backups.survey import Survey, survey
from reconciler.execution.drills import store
from reconciler.kinds.shared.reader import RESOURCES, read_state
from reconciler.live.reader import PERMISSIONS, facts_of, held_on
from reconciler.model.api import Api
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding
from reconciler.model.inventory import Facts
from reconciler.model.recoverability import BackupStatus
from reconciler.planning.backups import freshness
from reconciler.planning.backups.drills import findings, in_one, with_drills
from reconciler.planning.backups.exempt_guests import unsaved
from reconciler.planning.lint.waive import OF_DRIFT, waive
from reconciler.render.view import View

Held = Mapping[str, Mapping[str, Any]]


def backup_status(common: CommonOptions, loaded: Loaded, api: Api) -> ExitStatus:
    """Read every storage, and compare each guest's archives with what the cluster's jobs
    promise.
    """
    moment = now()
    status = look_at_backups(api, loaded.desired, here(loaded.cluster, api), moment)
    show(common, "backup_status", status, View(now=moment))
    if loaded.settings.notify:
        from reconciler.cli import notices
        from reconciler.render.notice import backup_status as as_notice

        notices.tell(common, as_notice(status), loaded.settings.notify)
    return status.exit_status


def look_at_backups(api: Api, desired: Desired, place: Here, moment: int) -> BackupStatus:
    """Each storage is read once, or once per node where it is local; drills are those that this
    machine knows."""
    state, answers = read_state(api, ["backup"], {}, [RESOURCES, PERMISSIONS])
    held: Held = answers[PERMISSIONS]
    facts = facts_of({}, answers[RESOURCES])
    out = unsaved(desired, state, facts, moment).guests
    first, last = desired.policy.drill.range
    kept = {vmid: one for vmid, one in facts.guests.items() if not first <= vmid <= last}
    facts = Facts(facts.release, kept, facts.nodes, unsaved=out)
    seen = survey(api, answers[RESOURCES])
    guests = freshness.survey(
        state, facts, seen.found, frozenset(_visible(held, facts)), moment, seen.zone
    )
    jobs = {name for one in guests for name in one.jobs}
    disks = disks_left_out(api, sorted(jobs)) if jobs else {}
    guests = [
        one._replace(left_out=disks.get(one.guest, ())) if one.jobs else one for one in guests
    ]
    gone = freshness.orphans(facts, seen.found)
    known = store.results(drills_of(place))
    return BackupStatus(
        place.name,
        tuple(with_drills(guests, known, desired.policy.drill, moment)),
        tuple(gone.items()),
        seen.tasks,
        (*seen.unread, *_silent(held, answers[RESOURCES], seen)),
    )


def backup_findings(api: Api, desired: Desired, place: Here) -> tuple[Finding, ...]:
    """Stale backups and late drills, where the files declare backup jobs; but for waived ones."""
    if not any(address.kind == "backup" for address in desired.objects):
        return ()
    moment = now()
    status = look_at_backups(api, desired, place, moment)
    found = list(findings(status, desired.policy.drill, moment))
    waivers = [one for one in desired.waivers if one.code in OF_DRIFT]
    return tuple(in_one(waive(found, waivers, OF_DRIFT, moment).findings))


def backups_if_visible(api: Api, desired: Desired, place: Here) -> BackupStatus | None:
    """For a report whose reader may not be meant to see backups; None where jobs are hidden."""
    try:
        return look_at_backups(api, desired, place, now())
    except RequestRefused:
        return None


def _visible(held: Held, facts: Facts) -> Iterable[int]:
    """Whether the caller sees the archives of a guest. Proxmox VE silently omits archives of guests
    on which the caller lacks VM.Backup, unless it has Datastore.Allocate (`check_volume_access` of
    PVE::Storage).
    """
    everything = "Datastore.Allocate" in held_on(held, "/storage")
    for vmid in facts.guests:
        if everything or "VM.Backup" in held_on(held, f"/vms/{vmid}"):
            yield vmid


def _silent(held: Held, resources: Iterable[Mapping[str, Any]], seen: Survey) -> Iterable[Any]:
    """Storages whose content is not listed, because the caller may only see that they exist."""
    told = {storage for storage, _ in seen.found} | {
        name.split(" on ")[0] for name, _ in seen.unread
    }
    names = {
        row["storage"]
        for row in resources
        if row["type"] == "storage" and "backup" in (row.get("content") or "")
    }
    for name in sorted(names - told):
        if (
            not {"Datastore.Allocate", "Datastore.AllocateSpace"}
            & held_on(held, f"/storage/{name}").keys()
        ):
            yield name, f"Datastore.AllocateSpace on /storage/{name} is missing"
