"""Choose the archives that `pvectl drill` restores, and where."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from reconciler.cli.backup.run import declared_job
from reconciler.cli.context import Here, Loaded
from reconciler.errors import Blind, RequestRefused, UsageError
from reconciler.execution.backups.survey import Survey
from reconciler.execution.drills.context import saved_config
from reconciler.kinds.backup.drill import storage_of_archive
from reconciler.kinds.backup.run import is_saved_by
from reconciler.kinds.backup.table import BackupSpec
from reconciler.model.api import Api
from reconciler.model.backups import Archive
from reconciler.model.drill import MARK, Drilled, DrillPlan
from reconciler.model.inventory import Facts
from reconciler.model.policy import Drill
from reconciler.planning.backups.drills import checks_of, newest, sampled
from reconciler.pve.guest_config import LXC, QEMU, GuestConfig
from reconciler.text.humanize import listed
from reconciler.text.period import seconds_of

Row = Mapping[str, Any]

SETTINGS = """write in pvectl.toml, with ids that no other guest will ever have:
[drill]
ids = "9900-9999"
storage = "local-lvm"
"""


_SEEING = (
    "`pvectl backup status` shows which guests have one; it needs VM.Backup on the guest, and "
    "Datastore.Audit and Datastore.AllocateSpace on the storage"
)


class Wanted(NamedTuple):
    """What the command line asks for. `sample`: 0 for what the settings say."""

    job: str = ""
    guests: tuple[int, ...] = ()
    oldest: bool = False
    archive: str = ""
    sample: int = 0


class Cluster(NamedTuple):
    """What was read of the cluster: the rows of /cluster/resources, and every archive."""

    rows: Sequence[Row]
    facts: Facts
    seen: Survey

    def archives_of(self, guest: int) -> list[Archive]:
        """Not those of a guest of the other kind that had the id before."""
        there = self.facts.guests.get(guest)
        found = (archive for _, archive in self.seen.found if archive.guest == guest)
        return [one for one in found if there is None or one.kind in ("", there.kind)]

    def node_of(self, archive: Archive) -> str:
        """The node that listed an archive."""
        pairs = zip(self.seen.found, self.seen.nodes, strict=True)
        return next(node for (_, one), node in pairs if one == archive)

    def storage(self, name: str, node: str) -> Row | None:
        """The row of a storage on a node that can use it."""
        for row in self.rows:
            if row["type"] == "storage" and (row["storage"], row["node"]) == (name, node):
                return row if row.get("status") == "available" else None
        return None


class Chosen(NamedTuple):
    """One drill, and the configuration in its archive; `failure`: why that cannot be read."""

    plan: DrillPlan
    saved: GuestConfig
    failure: str = ""


def require_settings(drill: Drill) -> None:
    """Raises UsageError where a drill could have no id or no storage."""
    missing = [
        name for name, value in (("ids", drill.ids), ("storage", drill.storage)) if not value
    ]
    if missing:
        raise UsageError(f"[drill] does not set {' and '.join(missing)}", hint=SETTINGS)


def choose(
    api: Api,
    loaded: Loaded,
    place: Here,
    cluster: Cluster,
    known: Mapping[int, Drilled],
    wanted: Wanted,
    warn: Callable[[str], None],
) -> list[Chosen]:
    """The drills in order; `warn` hears of guests that are left out. Raises UsageError, Blind."""
    drill = loaded.desired.policy.drill
    found = []
    for guest in _guests(loaded, cluster, known, wanted, warn):
        archive = _archive(cluster, guest, wanted, api.actor)
        node = _node(cluster, archive, guest, drill.storage)
        saved, failure = _saved(api, node, archive)
        found.append(Chosen(_plan(drill, place, archive, node, saved), saved, failure))
    return found


def _saved(api: Api, node: str, archive: Archive) -> tuple[GuestConfig, str]:
    """The configuration in an archive, or why there is none: a broken archive has failed its drill,
    and keeps no other from its turn."""
    try:
        return saved_config(api, node, archive.volume), ""
    except RequestRefused as refused:
        if refused.forbidden:
            raise
        return {}, f"the configuration in the archive cannot be read: {refused.reason}"


def _guests(
    loaded: Loaded,
    cluster: Cluster,
    known: Mapping[int, Drilled],
    wanted: Wanted,
    warn: Callable[[str], None],
) -> list[int]:
    """Those named, or the next ones of the job, or of all jobs that the files declare."""
    if wanted.archive:
        return [_named(cluster, wanted.archive).guest]
    if wanted.guests:
        return list(wanted.guests)
    drill = loaded.desired.policy.drill
    first, last = drill.range
    saved = {archive.guest for _, archive in cluster.seen.found if archive.good}
    saved -= {0, *range(first, last + 1)}
    jobs = [declared_job(loaded, wanted.job)] if wanted.job else _jobs(loaded)
    if jobs:
        chosen = {guest for job in jobs for guest in _of_job(job, cluster.facts)}
        lacking = sorted(chosen - saved)
        saved &= chosen
        if lacking:
            words = f"no good archive is visible of guest {listed(list(map(str, lacking)), 8)}"
            if not saved:
                raise Blind(words, hint=_SEEING)
            warn(f"{words}: skipped")
    if not saved:
        raise Blind("no archive to restore is visible", hint=_SEEING)
    return sampled(saved, known, wanted.sample or drill.sample)


def _jobs(loaded: Loaded) -> list[BackupSpec]:
    specs = (declared.spec for declared in loaded.desired.objects.values())
    return [spec for spec in specs if isinstance(spec, BackupSpec) and spec.enabled]


def _of_job(spec: BackupSpec, facts: Facts) -> set[int]:
    """The guests that a job saves; those that it names count also where they cannot be seen."""
    seen = {guest.vmid for guest in facts.guests.values() if is_saved_by(spec, guest)}
    return seen | set(spec.selection.guests)


def _named(cluster: Cluster, volume: str) -> Archive:
    found = next((one for _, one in cluster.seen.found if one.volume == volume), None)
    if found is None or not found.guest:
        raise UsageError(
            f"no archive {volume} of a guest is visible",
            hint="for example local:backup/vzdump-lxc-100-2026_01_31-02_30_00.tar.zst; "
            "`pvectl backup status --format json` lists them",
        )
    return found


def _archive(cluster: Cluster, guest: int, wanted: Wanted, actor: str) -> Archive:
    if wanted.archive:
        return _named(cluster, wanted.archive)
    archive = newest(cluster.archives_of(guest), oldest=wanted.oldest)
    if archive is None:
        raise Blind(
            f"no good archive is visible of guest {guest}",
            hint=f"{_SEEING}, for {actor} on /vms/{guest} and the storage",
        )
    return archive


def _node(cluster: Cluster, archive: Archive, guest: int, storage: str) -> str:
    """Where both storages can be used: the guest's own node if it is one of them."""
    source = storage_of_archive(archive.volume)
    listed_by = cluster.node_of(archive)
    row = cluster.storage(source, listed_by)
    nodes = [listed_by]
    if row is not None and int(row.get("shared") or 0):
        home = cluster.facts.guests.get(guest)
        nodes = [home.node] if home is not None else []
        nodes += sorted(set(cluster.facts.nodes) - set(nodes))
    for node in nodes:
        if cluster.storage(source, node) and cluster.storage(storage, node):
            return node
    raise UsageError(
        f"storage {storage} is not available on {listed(nodes, 4)}, where {archive.volume} is",
        hint=f"correct [drill] storage, enable it there, or grant Datastore.Audit on "
        f"/storage/{storage}",
    )


def _plan(drill: Drill, place: Here, archive: Archive, node: str, saved: GuestConfig) -> DrillPlan:
    kind = archive.kind or (LXC if "-lxc-" in archive.volume or "/ct/" in archive.volume else QEMU)
    tags = saved.get("tags", "").replace(",", ";").split(";")
    return DrillPlan(
        guest=archive.guest,
        kind=kind,
        node=node,
        archive=archive,
        ids=drill.range,
        storage=drill.storage,
        mark=MARK + secrets.token_hex(8),
        cluster=place.name,
        identity=place.identity,
        pool=drill.pool,
        network=drill.network,
        start=drill.start and saved.get("template") != "1",
        timeout=seconds_of(drill.timeout),
        checks=checks_of(drill, archive.guest, map(str.strip, tags)),
    )


def tell(chosen: Iterable[Chosen]) -> list[str]:
    """What will be done, for the question."""
    return [
        f"  guest {plan.guest}: {plan.archive.volume} to {plan.storage} on {plan.node}, "
        f"network {plan.network}{'' if plan.start else ', not started'}"
        for plan, _, failure in chosen
        if not failure
    ]
