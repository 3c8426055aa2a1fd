"""Run a backup job now: the vzdump requests, and options that the caller may not set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from reconciler.kinds.backup.table import BackupSpec
from reconciler.kinds.shared.options import to_param
from reconciler.kinds.storage.table import StorageSpec
from reconciler.model.address import Address
from reconciler.model.inventory import Facts, Guest
from reconciler.model.request import Request, Value
from reconciler.model.spec import State
from reconciler.pve.backup_options import ROOT_ONLY, SELECTION, VZDUMP_OPTIONS

_NEEDS = {
    "prune-backups": "Datastore.Allocate",
    "bwlimit": "Sys.Modify",
    "ionice": "Sys.Modify",
    "performance": "Sys.Modify",
}
"""Options that need more privileges (VZDump.pm): retention on the storage, others on /."""

_OF_THE_SCHEDULE = frozenset({"node", "schedule", "starttime", "dow"})


class BackupRun(NamedTuple):
    """One request per node; `left_out`: option -> the privilege that the caller lacks for it."""

    node: str
    guests: tuple[int, ...]
    request: Request
    left_out: Mapping[str, str]


def storage_of(spec: BackupSpec) -> str:
    """The storage of a job; PVE's default if it names none."""
    return spec.option("storage") or "local"


def inherited(spec: BackupSpec, planned: State) -> Mapping[str, str]:
    """Retention is the storage's where the job has none (`new` of PVE::VZDump)."""
    where = Address("storage", storage_of(spec))
    storage = planned.get(where)
    said = dict(storage.options).get("prune-backups") if isinstance(storage, StorageSpec) else None
    if not said or spec.option("prune-backups") or spec.option("remove") == "0":
        return {}
    return {"prune-backups": f"{said} (from {where})"}


def backup_runs(
    spec: BackupSpec,
    facts: Facts,
    on_root: Collection[str],
    on_storage: Collection[str],
    *,
    prune: bool = False,
) -> list[BackupRun]:
    """The runs that back up what the job would back up now; without `prune` nothing is removed.

    A guest that the job names but the caller cannot see is requested on the job's node, or on the
    only one: the task reports what is missing. `on_root`, `on_storage`: the caller's privileges on
    `/` and on the job's storage.
    """
    options, left_out = _options(spec, on_root, on_storage)
    if not prune:
        left_out.pop("prune-backups", None)
        options = [*((k, v) for k, v in options if k not in _PRUNES), _keeping(on_storage)]
    by_node: dict[str, list[int]] = {}
    for guest in facts.guests.values():
        if is_saved_by(spec, guest):
            by_node.setdefault(guest.node, []).append(guest.vmid)
    fallback = spec.option("node") or (facts.nodes[0] if len(facts.nodes) == 1 else "")
    for vmid in spec.selection.guests:
        if vmid not in facts.guests and fallback:
            by_node.setdefault(fallback, []).append(vmid)
    runs = []
    for node, found in sorted(by_node.items()):
        ids = tuple(sorted(found))
        params = (("vmid", ",".join(map(str, ids))), *options)
        request = Request("POST", ("nodes", node, "vzdump"), params)
        runs.append(BackupRun(node, ids, request, left_out))
    return runs


_PRUNES = frozenset({"prune-backups", "remove"})


def _keeping(on_storage: Collection[str]) -> tuple[str, Value]:
    """What makes vzdump remove nothing. `remove=0` needs no privilege, and fails where the rules of
    the storage are used up already (`exec_backup_task` of PVE::VZDump)."""
    if _NEEDS["prune-backups"] in on_storage:
        return "prune-backups", "keep-all=1"
    return "remove", "0"


def is_saved_by(spec: BackupSpec, guest: Guest) -> bool:
    """Whether a job saves the guest, as far as its selection and its node tell."""
    return _is_chosen(spec, guest) and spec.option("node") in ("", guest.node)


def _is_chosen(spec: BackupSpec, guest: Guest) -> bool:
    chosen = spec.selection
    if chosen.pool:
        return guest.pool == chosen.pool
    if chosen.all:
        return guest.vmid not in chosen.exclude
    return guest.vmid in chosen.guests


def _options(
    spec: BackupSpec, on_root: Collection[str], on_storage: Collection[str]
) -> tuple[Iterable[tuple[str, Value]], dict[str, str]]:
    sent: list[tuple[str, Value]] = []
    left_out: dict[str, str] = {}
    for option, value in spec.options:
        if option in SELECTION or option in ROOT_ONLY or option in _OF_THE_SCHEDULE:
            continue
        privilege = _NEEDS.get(option)
        held = on_storage if option == "prune-backups" else on_root
        if privilege is not None and privilege not in held:
            left_out[option] = privilege
        else:
            sent.append((option, to_param(VZDUMP_OPTIONS[option], value)))
    if not any(option == "storage" for option, _ in sent):
        sent.append(("storage", storage_of(spec)))
    return sent, left_out
