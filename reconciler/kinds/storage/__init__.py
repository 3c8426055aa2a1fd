"""Storages (/storage): content, nodes and retention.

Only the options that a table gives are managed; `unset` clears one. With `type` a missing storage
is created.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.access.table import AccessTable
from reconciler.invalid_value import InvalidValue
from reconciler.kinds.kind import (
    AlarmWhen,
    Answers,
    Checks,
    Kind,
    Links,
    Need,
    Reading,
    Secrets,
    TablePlace,
    Toml,
    Writing,
    need,
)
from reconciler.kinds.shared.answer_shape import ID, TEXT, Fields, Rows
from reconciler.kinds.shared.field_types import names
from reconciler.kinds.shared.known_nodes import unknown_nodes
from reconciler.kinds.shared.options import (
    OptionValue,
    answered,
    from_answer,
    keep_to_toml,
    options,
    to_param,
    to_toml,
    toml_name,
)
from reconciler.kinds.shared.replace import as_replacement, replacement
from reconciler.kinds.shared.section import fixed_changes, put_params
from reconciler.kinds.storage.table import (
    SENSITIVE,
    SHOWN_AS_SET,
    StorageSpec,
    StorageTable,
    check_name,
    check_secrets,
    check_type,
    declare,
    normal,
    shown_keys,
)
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.model.request import Request, Value, request
from reconciler.model.secret import SecretRef
from reconciler.model.spec import Spec, State
from reconciler.pve.storage_options import STORAGE_OPTIONS, STORAGE_TYPES
from reconciler.pve.value_releases import GONE_STORAGE_TYPES

STORAGES = request("GET", "storage")
_STORAGE = Fields({"storage": ID, "type": ID}, {"digest": TEXT, **answered(STORAGE_OPTIONS)})


def _export(name: str, spec: StorageSpec) -> dict[str, Any]:
    del name
    known = spec.type in STORAGE_TYPES or spec.type in GONE_STORAGE_TYPES
    table: dict[str, Any] = {"type": spec.type} if known else {}
    for option, value in spec.options:
        if option == "prune-backups":
            table["keep"] = keep_to_toml(value)
        else:
            table[toml_name(option)] = to_toml(STORAGE_OPTIONS[option], value)
    return table


def _parse(answers: Answers) -> Iterable[tuple[str, StorageSpec]]:
    for row in answers[STORAGES]:
        name, kind = row["storage"], row["type"]
        values = {
            option: from_answer(param, row[option])
            for option, param in STORAGE_OPTIONS.items()
            if row.get(option) is not None and option not in SENSITIVE
        }
        held = names(option for option in SHOWN_AS_SET if row.get(option))
        yield name, StorageSpec(type=kind, options=normal(name, kind, values), held=held)


def _merge_with_live(declared: StorageSpec, live: StorageSpec | None) -> StorageSpec:
    """Raises ValueError for options that the live storage's type does not support."""
    given = dict(declared.options)
    kind = declared.type or (live.type if live else "")
    if not kind:
        raise InvalidValue("the storage does not exist", "give it a type to create it")
    if kind in STORAGE_TYPES:
        check_type(kind, given, declared.unset, dict(declared.secrets))
    chosen = declared.own_path and kind in STORAGE_TYPES and STORAGE_TYPES[kind].mounted
    cleared = (*declared.unset, "path") if chosen else declared.unset
    if chosen:
        del given["path"]
    if live is None or live.type != kind:
        return _new(declared, kind, given)
    merged = {**dict(live.options), **given}
    for option in cleared:
        merged.pop(option, None)
    reached = StorageSpec(
        type=kind,
        options=normal("", kind, merged),
        held=tuple(name for name in live.held if name not in declared.unset),
        secrets=tuple(
            (name, reference)
            for name, reference in declared.secrets
            if name in SHOWN_AS_SET and name not in live.held
        ),
    )
    if _fixed(live, reached):
        own = STORAGE_TYPES[kind].completed - given.keys()
        rest = {name: value for name, value in reached.options if name not in own}
        changes = {"options": options(rest), "held": (), "secrets": declared.secrets}
        return reached.model_copy(update=changes)
    return reached


def _new(declared: StorageSpec, kind: str, given: Mapping[str, OptionValue]) -> StorageSpec:
    if kind not in STORAGE_TYPES:
        raise InvalidValue(
            f"a storage of type {kind} cannot be created by pvectl",
            "create it on a node with `pvesm add`; its content, nodes and retention can be managed",
        )
    check_secrets(kind, dict(declared.secrets))
    return StorageSpec(type=kind, options=normal("", kind, given), secrets=declared.secrets)


def _as_read(spec: StorageSpec) -> StorageSpec:
    shown = (name for name, _ in spec.secrets if name in SHOWN_AS_SET)
    return StorageSpec(type=spec.type, options=spec.options, held=names((*spec.held, *shown)))


def _completed(sent: StorageSpec, live: StorageSpec) -> StorageSpec:
    """With options that the plugin sets itself, such as the mount point of a pool."""
    kind = STORAGE_TYPES.get(sent.type)
    if kind is None or live.type != sent.type:
        return sent
    own = {name: value for name, value in live.options if name in kind.completed}
    return sent.model_copy(update={"options": options({**own, **dict(sent.options)})})


def _sent_secrets(spec: StorageSpec) -> Mapping[str, SecretRef]:
    return dict(spec.secrets)


def _with_sent(spec: StorageSpec, secrets: Mapping[str, SecretRef]) -> StorageSpec:
    return spec.model_copy(
        update={"secrets": tuple(sorted({**dict(spec.secrets), **secrets}.items()))}
    )


def _references(name: str, spec: StorageSpec) -> Iterable[Address]:
    """An LVM storage may be based on a volume of another one."""
    base = dict(spec.options).get("base")
    if isinstance(base, str) and base.partition(":")[0] != name:
        yield Address("storage", base.partition(":")[0])


def _keep(name: str, spec: StorageSpec, gone: Address) -> StorageSpec:
    del name, gone
    return spec


def _fixed(before: Spec | None, after: Spec | None) -> tuple[str, ...]:
    """What cannot be changed in place: the type, or options by name."""
    if not (isinstance(before, StorageSpec) and isinstance(after, StorageSpec)):
        return ()
    if before.type != after.type:
        return ("type",)
    kind = STORAGE_TYPES.get(after.type)
    if kind is None:
        return ()
    return fixed_changes(kind.section, dict(before.options), dict(after.options))


def _split(change: Change) -> Sequence[Change]:
    return as_replacement(change) if _fixed(change.before, change.after) else (change,)


def _check_change(change: Change, live: State) -> Iterable[Finding]:
    fixed = _fixed(change.before, change.after)
    if isinstance(change.before, StorageSpec) and (fixed or change.after is None):
        yield Finding(
            "VOLUMES_STAY",
            Severity.WARNING,
            f"the data on {change.address} stays, but Proxmox VE no longer knows it: guest disks, "
            "backups, images",
            hint="move the disks first, or make sure that the storage is empty: pvesm list "
            f"{change.address.id}",
            address=change.address,
        )
    if fixed:
        lost = "its password and keys" if _has_secret(change.before) else ""
        yield replacement(change, live, tuple(map(toml_name, fixed)), lost)


def _requests(changes: Sequence[Change]) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    for change in changes:
        name, before, after = change.address.id, change.before, change.after
        if not isinstance(after, StorageSpec):
            yield request("DELETE", "storage", name), (change,)
        elif isinstance(before, StorageSpec):
            put = _put(before, after)
            if put:
                yield Request("PUT", ("storage", name), tuple(put.items())), (change,)
        else:
            params: dict[str, Value] = {"storage": name, "type": after.type}
            for option, value in after.options:
                params[option] = to_param(STORAGE_OPTIONS[option], value)
            params.update(after.secrets)
            yield Request("POST", ("storage",), tuple(params.items())), (change,)


def _put(before: StorageSpec, after: StorageSpec) -> dict[str, Value]:
    """Empty when nothing can be sent: a secret cannot be restored."""
    params, deleted = put_params(dict(before.options), dict(after.options), STORAGE_OPTIONS)
    known = dict(before.secrets)
    params.update({name: ref for name, ref in after.secrets if known.get(name) != ref})
    gone = sorted({*before.held, *known} - {*after.held, *dict(after.secrets)} & SHOWN_AS_SET)
    if deleted or gone:
        params["delete"] = ",".join((*deleted, *gone))
    return params


def _has_secret(spec: Spec | None) -> bool:
    """Whether PVE holds a secret of the storage that cannot be read."""
    if not isinstance(spec, StorageSpec) or spec.type not in STORAGE_TYPES:
        return True
    if spec.held or spec.secrets or spec.type in {"esxi", "pbs"}:
        return True
    given = dict(spec.options)
    return ("username" in given and spec.type == "cifs") or (
        "monhost" in given and spec.type in {"cephfs", "rbd"}
    )


def _undo(change: Change) -> Undo:
    """Passwords and keys cannot be read, so they cannot be restored."""
    before, after = change.before, change.after
    if not isinstance(after, StorageSpec):
        return Undo.NONE if _has_secret(before) else Undo.FULL
    if not isinstance(before, StorageSpec):
        return Undo.FULL
    if set(before.held) - set(after.held):
        return Undo.NONE
    added = SHOWN_AS_SET - set(before.held)
    return Undo.LOSSY if set(dict(after.secrets)) - added else Undo.FULL


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    del change, table
    yield need("/storage", "Datastore.Allocate")


def _is_builtin(name: str, spec: StorageSpec) -> bool:
    del spec
    return name == "local"


def _check_declared(
    name: str, spec: StorageSpec, desired: Mapping[Address, Spec]
) -> Iterable[Finding]:
    del desired
    for option in spec.ignored:
        yield Finding(
            "IGNORED_OPTION",
            Severity.WARNING,
            f"Proxmox VE drops {toml_name(option)} of storage {name}, which exists on every node",
            hint=f"remove {toml_name(option)}",
            address=Address("storage", name),
        )


def _digest(answers: Answers, name: str) -> str:
    return next(
        (str(row.get("digest") or "") for row in answers[STORAGES] if row["storage"] == name), ""
    )


def _check_nodes(state: State, facts: Facts) -> Iterable[Finding]:
    for address, spec in state.items():
        if isinstance(spec, StorageSpec):
            listed = dict(spec.options).get("nodes", ())
            nodes = listed.split(",") if isinstance(listed, str) else listed
            yield from unknown_nodes(address, nodes, facts)


KIND = Kind(
    name="storage",
    spec=StorageSpec,
    toml=Toml(
        place=TablePlace("storage"),
        table=StorageTable,
        declare=declare,
        export=_export,
        check_name=check_name,
    ),
    reads=Reading(
        requests=(STORAGES,),
        answer_shapes={"/storage": Rows(_STORAGE)},
        parse=_parse,
        needs=(need("/storage", "Datastore.Audit", "Datastore.AllocateSpace", propagated=True),),
        as_read=_as_read,
        builtin_ids=frozenset({"local"}),
        is_builtin=_is_builtin,
        digest=_digest,
    ),
    writes=Writing(
        lock="storage.cfg",
        requests=lambda changes: tuple(_requests(changes)),
        needs=_needs,
        split=_split,
        merge_with_live=_merge_with_live,
        completed=_completed,
        undo=_undo,
    ),
    links=Links(
        refers_to=frozenset({"storage"}),
        references=_references,
        without=_keep,
        silently_deletes=frozenset({"acl", "pool"}),
        acl_parent="/storage",
        entries_vanish=True,
    ),
    secrets=Secrets(
        sent=_sent_secrets,
        with_sent=_with_sent,
        shown=lambda answers: shown_keys(answers[STORAGES]),
    ),
    checks=Checks(
        declared_object=_check_declared,
        planned_state=_check_nodes,
        change=_check_change,
        undeclared=AlarmWhen.NEW,
    ),
)
