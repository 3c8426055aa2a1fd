"""Backup jobs: which guests are backed up when, where and how (/cluster/backup)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.access.table import AccessTable
from reconciler.kinds.backup.checks import check_change, check_declared
from reconciler.kinds.backup.coverage import survey
from reconciler.kinds.backup.run import inherited
from reconciler.kinds.backup.table import (
    MADE_BY_PVE as MADE_BY_PVE,
)
from reconciler.kinds.backup.table import (
    BackupSpec,
    BackupTable,
    Selection,
    check_name,
    declare,
    is_creatable,
)
from reconciler.kinds.kind import (
    AlarmWhen,
    Answers,
    Checks,
    Kind,
    Links,
    Need,
    Reading,
    TablePlace,
    Toml,
    Writing,
    need,
)
from reconciler.kinds.shared.answer_shape import FLAG, ID, IDS, TEXT, Fields, Rows
from reconciler.kinds.shared.field_types import flag, given
from reconciler.kinds.shared.jobs import id_findings as id_findings
from reconciler.kinds.shared.jobs import same_schedule
from reconciler.kinds.shared.jobs import schedule_findings as schedule_findings
from reconciler.kinds.shared.known_nodes import unknown_nodes
from reconciler.kinds.shared.options import (
    answered,
    from_answer,
    keep_to_toml,
    options,
    to_param,
    to_toml,
    toml_name,
)
from reconciler.kinds.shared.section import put_params
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.finding import Finding as Finding
from reconciler.model.finding import Severity as Severity
from reconciler.model.inventory import Facts
from reconciler.model.request import Request, Value, request
from reconciler.model.spec import Spec as Spec
from reconciler.model.spec import State as State
from reconciler.pve.backup_options import ROOT_ONLY, SELECTION, VZDUMP_OPTIONS
from reconciler.pve.formats import split_list
from reconciler.pve.parameter_check import parse_properties

JOBS = request("GET", "cluster", "backup")
_JOB = Fields(
    {"id": ID},
    answered(VZDUMP_OPTIONS)
    | dict.fromkeys(("schedule", "dow", "starttime", "pool", "comment"), TEXT)
    | dict.fromkeys(("enabled", "all", "repeat-missed"), FLAG)
    | dict.fromkeys(("vmid", "exclude"), IDS),
)

_TAKE_STORAGE_ALONG = ("notes-template", "protected")
"""Options that PVE refuses in a request without `storage`, even if the job has one."""


def _export(name: str, spec: BackupSpec) -> dict[str, Any]:
    del name
    chosen = spec.selection
    table: dict[str, Any] = {"schedule": spec.schedule} | given(
        guests=list(chosen.guests),
        pool=chosen.pool,
        all=chosen.all,
        exclude=list(chosen.exclude),
        comment=spec.comment,
        repeat_missed=spec.repeat_missed,
    )
    if not spec.enabled:
        table["enabled"] = False
    for option, value in spec.options:
        if option == "prune-backups":
            table["keep"] = keep_to_toml(value)
        elif option not in ROOT_ONLY:
            table[toml_name(option)] = to_toml(VZDUMP_OPTIONS[option], value)
    return table


def _parse(answers: Answers) -> Iterable[tuple[str, BackupSpec]]:
    for row in answers[JOBS]:
        values = {
            option: from_answer(param, row[option])
            for option, param in VZDUMP_OPTIONS.items()
            if row.get(option) is not None and option not in SELECTION
        }
        yield (
            row["id"],
            BackupSpec(
                schedule=_schedule(row),
                selection=_selection(row),
                enabled=flag(row.get("enabled"), default=True),
                comment=row.get("comment") or "",
                repeat_missed=flag(row.get("repeat-missed")),
                options=options(values),
            ),
        )


def _schedule(row: Mapping[str, Any]) -> str:
    """Jobs of old releases have a day and a time instead."""
    if row.get("schedule"):
        return str(row["schedule"])
    return f"{row.get('dow') or ''} {row.get('starttime') or ''}".strip()


def _selection(row: Mapping[str, Any]) -> Selection:
    if row.get("pool"):
        return Selection(pool=row["pool"])
    if row.get("vmid"):
        return Selection(guests=_ids(row["vmid"]))
    everything = flag(row.get("all")) or bool(row.get("exclude"))
    return Selection(all=everything, exclude=_ids(row.get("exclude")))


def _ids(text: Any) -> tuple[int, ...]:
    return tuple(sorted({int(part) for part in split_list(str(text or ""))}))


def _merge_with_live(declared: BackupSpec, live: BackupSpec | None) -> BackupSpec:
    """Keep options that only root@pam may set."""
    if live is None:
        return declared
    kept = {name: value for name, value in live.options if name in ROOT_ONLY}
    return declared.model_copy(
        update={
            "schedule": same_schedule(declared.schedule, live.schedule),
            "options": options({**dict(declared.options), **kept}),
        }
    )


def _fleecing_storage(spec: BackupSpec) -> str:
    return parse_properties("backup-fleecing", spec.option("fleecing")).values.get("storage", "")


def _references(name: str, spec: BackupSpec) -> Iterable[Address]:
    del name
    for storage in sorted({spec.option("storage"), _fleecing_storage(spec)} - {""}):
        yield Address("storage", storage)
    if spec.selection.pool:
        yield Address("pool", spec.selection.pool)


def _still_used(name: str, spec: BackupSpec, gone: Address) -> BackupSpec:
    """A job without its storage or pool would back up elsewhere, or nothing."""
    del name, gone
    return spec


def _rename(
    name: str, spec: BackupSpec, old: Address, new: Address
) -> tuple[str, BackupSpec] | None:
    if old.kind == "pool" == new.kind and spec.selection.pool == old.id:
        return name, spec.model_copy(update={"selection": Selection(pool=new.id)})
    if old.kind == "storage" == new.kind:
        renamed = dict(spec.options)
        if spec.option("storage") == old.id:
            renamed["storage"] = new.id
        if _fleecing_storage(spec) == old.id:
            parts = spec.option("fleecing").split(",")
            renamed["fleecing"] = ",".join(
                f"storage={new.id}" if part.startswith("storage=") else part for part in parts
            )
        return name, spec.model_copy(update={"options": options(renamed)})
    return None


def _requests(changes: Sequence[Change]) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    for change in changes:
        name, before, after = change.address.id, change.before, change.after
        path = (*JOBS.path, name)
        if not isinstance(after, BackupSpec):
            yield Request("DELETE", path), (change,)
        elif isinstance(before, BackupSpec):
            yield Request("PUT", path, tuple(_put(before, after).items())), (change,)
        else:
            params: dict[str, Value] = {"id": name, "schedule": after.schedule}
            params |= _flat(after)
            if after.enabled:
                del params["enabled"]
            for option, value in after.options:
                params[option] = to_param(VZDUMP_OPTIONS[option], value)
            yield Request("POST", JOBS.path, tuple(params.items())), (change,)


def _flat(spec: BackupSpec) -> dict[str, Value]:
    """All but the options that are sent as they are; never an empty value."""
    chosen = spec.selection
    params: dict[str, Value] = {"enabled": str(int(spec.enabled))}
    if spec.repeat_missed:
        params["repeat-missed"] = "1"
    if spec.comment:
        params["comment"] = spec.comment
    if chosen.pool:
        params["pool"] = chosen.pool
    elif chosen.guests:
        params["vmid"] = ",".join(map(str, chosen.guests))
    elif chosen.all:
        params["all"] = "1"
        if chosen.exclude:
            params["exclude"] = ",".join(map(str, chosen.exclude))
    return params


def _put(before: BackupSpec, after: BackupSpec) -> dict[str, Value]:
    """A selection is sent as a whole: PVE then drops the earlier selection.

    Of the old one only `exclude` must be deleted, and never sent empty: that would make the job
    one for all guests (Backup.pm, update_job).
    """
    old, new = _flat(before), _flat(after)
    params: dict[str, Value] = {}
    if before.schedule != after.schedule:
        params["schedule"] = after.schedule
    chosen = before.selection != after.selection
    params |= {
        name: value
        for name, value in new.items()
        if (chosen if name in SELECTION else old.get(name) != value)
    }
    deleted = [
        name for name in old if name not in new and (name not in SELECTION or name == "exclude")
    ]
    changed, gone = put_params(dict(before.options), dict(after.options), VZDUMP_OPTIONS)
    params |= changed
    if any(name in changed for name in _TAKE_STORAGE_ALONG):
        params["storage"] = after.option("storage")
    if deleted or gone:
        params["delete"] = ",".join(sorted((*deleted, *gone)))
    return params


def _undo(change: Change) -> Undo:
    """Options reserved to root@pam, and IDs that PVE generated, cannot be restored."""
    if change.after is not None or not isinstance(change.before, BackupSpec):
        return Undo.FULL
    lost = ROOT_ONLY & dict(change.before.options).keys()
    return Undo.NONE if lost or not is_creatable(change.address.id) else Undo.FULL


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    """Backup.pm: the storage before and after; the pool and the storage for fleecing when sent."""
    del table
    yield need("/", "Sys.Modify")
    before, after = change.before, change.after
    if not isinstance(after, BackupSpec):
        return
    sides = [spec for spec in (before, after) if isinstance(spec, BackupSpec)]
    for storage in sorted({spec.option("storage") or "local" for spec in sides}):
        yield need(f"/storage/{storage}", "Datastore.Allocate")
    sent = _put(before, after) if isinstance(before, BackupSpec) else {"pool": "", "fleecing": ""}
    if after.selection.pool and "pool" in sent:
        yield need(f"/pool/{after.selection.pool}", "VM.Backup")
    fleecing = _fleecing_storage(after)
    if fleecing and "fleecing" in sent:
        yield need(f"/storage/{fleecing}", "Datastore.AllocateSpace")


def _check_state(state: State, facts: Facts) -> Iterable[Finding]:
    yield from survey(state, facts)
    for address, spec in state.items():
        if isinstance(spec, BackupSpec) and spec.option("node"):
            yield from unknown_nodes(address, [spec.option("node")], facts)


KIND = Kind(
    name="backup",
    spec=BackupSpec,
    toml=Toml(
        place=TablePlace("backup"),
        table=BackupTable,
        declare=declare,
        export=_export,
        check_name=check_name,
    ),
    reads=Reading(
        requests=(JOBS,),
        answer_shapes={"/cluster/backup": Rows(_JOB)},
        parse=_parse,
        needs=(need("/", "Sys.Audit"),),
    ),
    writes=Writing(
        lock="jobs.cfg",
        requests=lambda changes: tuple(_requests(changes)),
        needs=_needs,
        merge_with_live=_merge_with_live,
        undo=_undo,
    ),
    links=Links(
        refers_to=frozenset({"storage", "pool"}),
        references=_references,
        without=_still_used,
        rename=_rename,
        inherits=inherited,
    ),
    checks=Checks(
        declared_object=check_declared,
        planned_state=_check_state,
        change=check_change,
        undeclared=AlarmWhen.NEW,
    ),
)
