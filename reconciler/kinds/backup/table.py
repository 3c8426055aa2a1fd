"""[backup.ID]: what a table may say about a backup job, and its normal form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from reconciler.invalid_value import InvalidValue, Problem, refuse
from reconciler.kinds.shared.field_types import Text
from reconciler.kinds.shared.jobs import Schedule
from reconciler.kinds.shared.omitted_keys import (
    DEFAULT,
    KEEP_RULE,
    LEFT,
    UNSET,
    Unset,
    unset_problems,
)
from reconciler.kinds.shared.options import (
    EMPTY,
    KEPT_BY_UNIT,
    KeepTable,
    Options,
    OptionValue,
    given_options,
    options,
    table_model,
    toml_name,
    without_line_feed,
)
from reconciler.kinds.shared.valid_name import invalid_name
from reconciler.model.declared import Declaration
from reconciler.model.policy import TomlTable
from reconciler.model.spec import Spec
from reconciler.pve.backup_options import (
    JOB_OPTIONS,
    ROOT_ONLY,
    SELECTION,
    VZDUMP_OPTIONS,
    notes_complaint,
)
from reconciler.pve.parameter_check import check_format
from reconciler.pve.schema import ParameterTable

GuestId = Annotated[int, Field(ge=100, le=999_999_999)]

PLAIN = tuple(sorted(set(VZDUMP_OPTIONS) - set(SELECTION) - ROOT_ONLY - {"prune-backups"}))
"""Options that the table takes unchanged."""

_ID = re.compile(r"[^\s/]+")
MADE_BY_PVE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{40}:[0-9]+")
"""IDs that PVE generated: a UUID, or digest and line of a job that was in vzdump.cron."""

_INSTEAD = {
    "maxfiles": "removed in Proxmox VE 9; write keep = { last = N }",
    **dict.fromkeys(
        ("notification_policy", "notification_target"),
        "removed in Proxmox VE 9; write notification_mode, and matchers in the cluster",
    ),
    "starttime": 'no longer supported; write schedule = "22:30"',
    "dow": 'no longer supported; write schedule = "mon,tue 22:30"',
    "vmid": "write guests = [...]",
    "prune_backups": "write keep = { last = N, weekly = N }",
    "vms": "write guests = [...]",
    **KEPT_BY_UNIT,
} | {
    name.replace("-", "_"): "only root@pam itself may set it, not even its tokens; remove it"
    for name in sorted(ROOT_ONLY)
}


def _not_all(value: object) -> object:
    if value in ("all", ["all"], "*", ["*"]):
        raise InvalidValue("guests is a list of guest IDs", "for every guest write all = true")
    return value


class Selection(BaseModel):
    """The guests of a job: some, those of a pool, or all but some. One value, since setting one
    makes PVE drop the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    guests: tuple[int, ...] = ()
    pool: str = ""
    all: bool = False
    exclude: tuple[int, ...] = ()


class BackupSpec(Spec):
    """`options`: everything else by PVE's names, only what is set; the rest is vzdump's default."""

    option_table: ClassVar[ParameterTable] = JOB_OPTIONS

    schedule: str
    selection: Selection
    enabled: bool = True
    comment: str = ""
    repeat_missed: bool = False
    options: Options = ()

    def option(self, name: str) -> str:
        """One option as a string, "" if it is not set."""
        value = dict(self.options).get(name, "")
        return value if isinstance(value, str) else ",".join(value)


class _BackupTable(TomlTable):
    """[backup.ID]"""

    instead = _INSTEAD
    schedule: Schedule = Field(description="when it runs, such as 'mon..fri 02:30'")
    enabled: Annotated[bool, DEFAULT] = Field(default=True, description="false: it never runs")
    comment: Annotated[Text, AfterValidator(without_line_feed), Field(max_length=512), LEFT] = (
        Field(default="", description="free text")
    )
    guests: Annotated[list[GuestId], BeforeValidator(_not_all), DEFAULT] = Field(
        default=[], description="the guests to back up, by ID"
    )
    pool: Annotated[str, DEFAULT] = Field(default="", description="or: all guests of a pool")
    all: Annotated[bool, DEFAULT] = Field(default=False, description="or: every guest")
    exclude: Annotated[list[GuestId], DEFAULT] = Field(
        default=[], description="with all: except these guests"
    )
    keep: Annotated[KeepTable | None, KEEP_RULE] = Field(
        default=None, description="retention: how many backups to keep"
    )
    repeat_missed: Annotated[bool, LEFT] = Field(
        default=False, description="run a missed job as soon as possible"
    )
    unset: Unset = Field(default=[], description=UNSET)


PROTECTING = frozenset(
    {"exclude-path", "node", "protected", "prune-backups", "remove", "stdexcludes", "storage"}
    | {"mailnotification", "mailto", "notification-mode"}
)
"""Options that decide what is saved, where, how long it is kept, and who hears of a failure."""

BackupTable = table_model(
    _BackupTable, {name: VZDUMP_OPTIONS[name] for name in PLAIN}, watched_options=PROTECTING
)


def check_name(name: str, parent: str) -> None:
    """Raises ValueError for an invalid job ID.

    Existing jobs may have IDs that PVE accepts for no new one: those that it generated (a UUID, or
    the digest of vzdump.cron and a number), and those that were written by hand.
    """
    del parent
    if not _ID.fullmatch(name):
        raise InvalidValue(
            f"'{name}' is not a valid job ID",
            "write a letter, then one or more of letters, digits, '_', '-'",
        )
    if len(name) > 50:
        raise ValueError(f"the ID '{name}' is longer than 50 characters")


def declare(name: str, parent: str, table: Any) -> Iterable[Declaration]:
    """One job; raises ValueError for options that contradict each other."""
    del parent
    given = given_options(table, PLAIN)
    if table.keep is not None:
        given["prune-backups"] = table.keep.rules()
    refuse(_problems(table, given))
    yield Declaration(
        name,
        BackupSpec(
            schedule=table.schedule,
            selection=Selection(
                guests=tuple(sorted(set(table.guests))),
                pool=table.pool,
                all=table.all,
                exclude=tuple(sorted(set(table.exclude))),
            ),
            enabled=table.enabled,
            comment=table.comment,
            repeat_missed=table.repeat_missed,
            options=options(given),
        ),
    )


def _problems(table: Any, given: Mapping[str, OptionValue]) -> Iterator[Problem]:
    if sum([bool(table.guests), bool(table.pool), table.all]) != 1:
        text = "set exactly one of guests, pool and all: which guests to back up"
        yield Problem(("guests", "pool", "all"), ValueError(text))
    if table.exclude and not table.all:
        text = "exclude is only valid with all = true"
        yield Problem(("exclude", "all"), ValueError(text))
    wrong = invalid_name("pve-poolid", table.pool) if table.pool else None
    if wrong is not None:
        yield Problem(("pool",), wrong)
    yield from unset_problems(table)
    for option in ("notes-template", "protected"):
        if given.get(option, "") not in EMPTY and not given.get("storage"):
            key = toml_name(option)
            yield Problem((key, "storage"), ValueError(f"{key} also needs storage"))
    complaint = notes_complaint(str(given.get("notes-template", "")))
    if complaint:
        yield Problem(("notes_template",), ValueError(f"notes_template: {complaint}"))


def is_creatable(name: str) -> bool:
    """Whether a job of this ID can be created; PVE generates IDs that it refuses from callers."""
    return check_format("pve-configid", name) is None
