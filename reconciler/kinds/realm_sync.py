"""Jobs that copy users and groups of a realm (/cluster/jobs/realm-sync)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from reconciler.access.table import AccessTable
from reconciler.invalid_value import refuse
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
from reconciler.kinds.realm.table import RealmSpec
from reconciler.kinds.shared.answer_shape import FLAG, ID, TEXT, Fields, Rows
from reconciler.kinds.shared.field_types import Text, changed, flag, given, names
from reconciler.kinds.shared.jobs import Schedule, id_findings, same_schedule, schedule_findings
from reconciler.kinds.shared.omitted_keys import (
    DEFAULT,
    LEFT,
    UNSET,
    WATCHED,
    Unset,
    unset_problems,
)
from reconciler.kinds.shared.options import without_line_feed
from reconciler.kinds.shared.replace import as_replacement
from reconciler.kinds.shared.valid_name import require_valid
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.declared import Declaration
from reconciler.model.finding import Finding, Severity
from reconciler.model.policy import TomlTable
from reconciler.model.request import Request, Value, request
from reconciler.model.spec import Spec, State
from reconciler.pve.parameter_check import parse_properties

JOBS = request("GET", "cluster", "jobs", "realm-sync")
_TEXTS = ("realm", "schedule", "scope", "comment", "remove-vanished")
_JOB = Fields({"id": ID}, {"enabled": FLAG, "enable-new": FLAG, **dict.fromkeys(_TEXTS, TEXT)})
NOTHING = ("none",)
"""The value of `remove-vanished` for removing nothing, whatever the realm says."""


class RealmSyncSpec(Spec):
    """`remove_vanished`: what is removed with an entry that the directory no longer has; ("none",)
    for nothing. Empty, and None for `enable_new`: what the realm's `sync-defaults-options` say,
    then PVE's own default (Realm sync of PVE::API2::Domains)."""

    realm: str
    schedule: str
    scope: str
    enabled: bool = True
    comment: str = ""
    enable_new: bool | None = None
    remove_vanished: tuple[str, ...] = ()


class RealmSyncTable(TomlTable):
    """[realm.ID.sync.ID]"""

    schedule: Schedule = Field(description="when it runs, such as 'mon..fri 03:00'")
    scope: Annotated[Literal["users", "groups", "both"], WATCHED] = Field(
        default="both", description="what it copies"
    )
    enabled: Annotated[bool, DEFAULT] = Field(default=True, description="false: it never runs")
    comment: Annotated[Text, AfterValidator(without_line_feed), Field(max_length=512), LEFT] = (
        Field(default="", description="free text")
    )
    enable_new: Annotated[bool | None, WATCHED] = Field(
        default=None, description="enable new users at once; default: the realm's setting"
    )
    remove_vanished: Annotated[list[Literal["acl", "properties", "entry"]] | None, WATCHED] = Field(
        default=None,
        description="what to remove when the directory no longer has an entry; [] for nothing; "
        "default: the realm's setting",
    )
    unset: Unset = Field(default=[], description=UNSET)


def _check_name(name: str, parent: str) -> None:
    del parent
    require_valid("pve-configid", name)
    if len(name) > 64:
        raise ValueError(f"the ID '{name}' is longer than 64 characters")


def _declare(name: str, parent: str, table: RealmSyncTable) -> Iterable[Declaration]:
    refuse(unset_problems(table))
    vanished = table.remove_vanished
    chosen = () if vanished is None else names(vanished) or NOTHING
    fields = {**dict(table), "remove_vanished": chosen}
    del fields["unset"]
    yield Declaration(name, RealmSyncSpec(realm=parent, **fields))


def _export(name: str, spec: RealmSyncSpec) -> dict[str, Any]:
    del name
    table: dict[str, Any] = {"schedule": spec.schedule, "scope": spec.scope}
    table |= given(comment=spec.comment)
    if not spec.enabled:
        table["enabled"] = False
    if spec.enable_new is not None:
        table["enable_new"] = spec.enable_new
    if spec.remove_vanished:
        table["remove_vanished"] = [one for one in spec.remove_vanished if one not in NOTHING]
    return table


def _parse(answers: Answers) -> Iterable[tuple[str, RealmSyncSpec]]:
    for row in answers[JOBS]:
        new = row.get("enable-new")
        yield (
            row["id"],
            RealmSyncSpec(
                realm=row.get("realm") or "",
                schedule=row.get("schedule") or "",
                scope=row.get("scope") or "both",
                enabled=flag(row.get("enabled"), default=True),
                comment=row.get("comment") or "",
                enable_new=None if new in (None, "") else flag(new),
                remove_vanished=names(
                    filter(None, str(row.get("remove-vanished") or "").split(";"))
                ),
            ),
        )


def _merge_with_live(declared: RealmSyncSpec, live: RealmSyncSpec | None) -> RealmSyncSpec:
    if live is None:
        return declared
    schedule = same_schedule(declared.schedule, live.schedule)
    return declared.model_copy(update={"schedule": schedule})


def _realm(name: str, spec: RealmSyncSpec) -> Iterable[Address]:
    del name
    yield Address("realm", spec.realm)


def _inherits(spec: RealmSyncSpec, planned: State) -> Mapping[str, str]:
    """`parse_sync_opts` of PVE::API2::Domains."""
    realm = Address("realm", spec.realm)
    there = planned.get(realm)
    options = dict(there.options) if isinstance(there, RealmSpec) else {}
    text = options.get("sync-defaults-options", "")
    said = parse_properties("realm-sync-options", str(text)).values
    found = {}
    if spec.enable_new is None and "enable-new" in said:
        found["enable_new"] = "yes" if flag(said["enable-new"]) else "no"
    if not spec.remove_vanished and "remove-vanished" in said:
        found["remove_vanished"] = said["remove-vanished"]
    return {name: f"{value} (from {realm})" for name, value in found.items()}


def _split(change: Change) -> Sequence[Change]:
    """The realm of a job cannot be changed."""
    before, after = change.before, change.after
    if isinstance(before, RealmSyncSpec) and isinstance(after, RealmSyncSpec):
        return as_replacement(change) if before.realm != after.realm else (change,)
    return (change,)


def _params(spec: RealmSyncSpec) -> dict[str, Value]:
    return {
        "scope": spec.scope,
        "enabled": str(int(spec.enabled)),
        "comment": spec.comment,
        "enable-new": "" if spec.enable_new is None else str(int(spec.enable_new)),
        "remove-vanished": ";".join(spec.remove_vanished),
    }


_ABSENT = _params(RealmSyncSpec(realm="", schedule="", scope=""))


def _requests(changes: Sequence[Change]) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    for change in changes:
        path = (*JOBS.path, change.address.id)
        before, after = change.before, change.after
        if not isinstance(after, RealmSyncSpec):
            yield Request("DELETE", path), (change,)
            continue
        params: dict[str, Value] = {"schedule": after.schedule}
        if isinstance(before, RealmSyncSpec):
            differing = changed(_params(before), _params(after))
            gone = [name for name, value in differing.items() if value == ""]
            params |= {name: value for name, value in differing.items() if value != ""}
            if gone:
                params["delete"] = ",".join(gone)
            yield Request("PUT", path, tuple(params.items())), (change,)
        else:
            params |= {"realm": after.realm, "scope": after.scope}
            params |= changed(_ABSENT, _params(after))
            yield Request("POST", path, tuple(params.items())), (change,)


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    """RealmSync.pm; a PUT names no realm, and PVE puts `-` in its place (template_replace)."""
    del table
    if not isinstance(change.after, RealmSyncSpec):
        yield need("/", "Sys.Modify")
        return
    realm = change.after.realm if change.before is None else "-"
    yield need(f"/access/realm/{realm}", "Realm.AllocateUser")
    yield need("/access/groups", "User.Modify")


def _check_declared(
    name: str, spec: RealmSyncSpec, desired: Mapping[Address, Spec]
) -> Iterable[Finding]:
    here = Address("realm_sync", name)
    yield from schedule_findings(here, spec.schedule)
    yield from _unsyncable(here, spec, desired)
    yield from id_findings(here, "backup", desired)


def _check_change(change: Change, live: State) -> Iterable[Finding]:
    if isinstance(change.after, RealmSyncSpec):
        yield from _unsyncable(change.address, change.after, live)
        if change.before is None:
            yield from id_findings(change.address, "backup", live)


def _unsyncable(here: Address, spec: RealmSyncSpec, state: State) -> Iterable[Finding]:
    realm = state.get(Address("realm", spec.realm))
    if isinstance(realm, RealmSpec) and realm.type not in {"ad", "ldap"}:
        yield Finding(
            "REALM_NOT_SYNCED",
            Severity.ERROR,
            f"{here} is for realm {spec.realm} of type {realm.type}, which has no directory",
            hint="only realms of the types ldap and ad can be synced",
            address=here,
        )


KIND = Kind(
    name="realm_sync",
    spec=RealmSyncSpec,
    toml=Toml(
        place=TablePlace("sync", inside="realm"),
        table=RealmSyncTable,
        declare=_declare,
        export=_export,
        check_name=_check_name,
        name_of=lambda name, spec: (spec.realm, name),
    ),
    reads=Reading(
        requests=(JOBS,),
        answer_shapes={"/cluster/jobs/realm-sync": Rows(_JOB)},
        parse=_parse,
        needs=(need("/", "Sys.Audit"),),
        lazy=True,
    ),
    writes=Writing(
        lock="jobs.cfg",
        requests=lambda changes: tuple(_requests(changes)),
        needs=_needs,
        split=_split,
        merge_with_live=_merge_with_live,
    ),
    links=Links(
        refers_to=frozenset({"realm"}),
        references=_realm,
        owners=_realm,
        inherits=_inherits,
    ),
    checks=Checks(
        declared_object=_check_declared,
        change=_check_change,
        undeclared=AlarmWhen.ALWAYS,
    ),
)
