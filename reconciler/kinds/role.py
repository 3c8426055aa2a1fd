"""Custom roles: named sets of privileges (/access/roles)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field

from reconciler.access.table import AccessTable
from reconciler.invalid_value import InvalidValue
from reconciler.kinds.kind import (
    AlarmWhen,
    Answers,
    Checks,
    Kind,
    Need,
    Reading,
    TablePlace,
    Toml,
    Writing,
    need,
)
from reconciler.kinds.shared.answer_shape import FLAG, LIST, WORD, Fields, Rows
from reconciler.kinds.shared.field_types import NAME, Privilege, names, split_list
from reconciler.kinds.shared.omitted_keys import FILE
from reconciler.model.change import Change, Undo
from reconciler.model.declared import Declaration
from reconciler.model.policy import TomlTable
from reconciler.model.request import Request, request
from reconciler.model.spec import Spec
from reconciler.pve.release import NEWEST, is_built_in

ROLES = request("GET", "access", "roles")
RESERVED = "pve"
"""Prefix of role names that Proxmox VE reserves, in any case."""


class RoleSpec(Spec):
    privileges: tuple[str, ...] = ()


class RoleTable(TomlTable):
    """[role.NAME]"""

    privileges: list[Privilege] = Field(description="privileges, such as VM.Audit")
    purpose: Annotated[str, FILE] = Field(
        default="", description="what the role is for; shown in reports"
    )
    owner: Annotated[str, FILE] = Field(
        default="", description="who is responsible for it; shown in reports"
    )
    allowed_paths: Annotated[list[str], FILE] = Field(
        default=[], description="globs of ACL paths; a grant elsewhere is a finding"
    )


def _check_name(name: str, parent: str) -> None:
    del parent
    if is_built_in(name):
        raise InvalidValue(
            f"role {name} is built into Proxmox VE and cannot be changed",
            "declare a role with another name",
        )
    if name.lower().startswith(RESERVED):
        raise InvalidValue("role names that start with PVE are reserved", f"rename {name}")
    if not NAME.fullmatch(name):
        raise InvalidValue(
            f"'{name}' is not a valid role name", "use letters, digits, '.', '-' and '_'"
        )


def _declare(name: str, parent: str, table: RoleTable) -> Iterable[Declaration]:
    del parent
    notes = {
        "purpose": table.purpose,
        "owner": table.owner,
        "allowed_paths": tuple(table.allowed_paths),
    }
    yield Declaration(name, RoleSpec(privileges=names(table.privileges)), notes)


def _export(name: str, spec: RoleSpec) -> dict[str, Any]:
    del name
    return {"privileges": list(spec.privileges)}


def _parse(answers: Answers) -> Iterable[tuple[str, RoleSpec]]:
    for row in answers[ROLES]:
        if not int(row.get("special") or 0):
            yield row["roleid"], RoleSpec(privileges=split_list(row.get("privs")))


def built_in_roles(answers: Answers) -> dict[str, tuple[str, ...]]:
    """The built-in roles of this cluster's release -> their privileges."""
    return {
        row["roleid"]: split_list(row.get("privs"))
        for row in answers[ROLES]
        if int(row.get("special") or 0)
    }


def _requests(changes: Sequence[Change]) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    for change in changes:
        name, spec = change.address.id, change.after
        if spec is None:
            yield request("DELETE", "access", "roles", name), (change,)
            continue
        privs = ",".join(spec.privileges)  # type: ignore[attr-defined]
        if change.before is None:
            yield request("POST", "access", "roles", roleid=name, privs=privs), (change,)
        else:
            yield request("PUT", "access", "roles", name, privs=privs), (change,)


def _undo(change: Change) -> Undo:
    """PVE reads a hand-written role PVE..., but refuses to create one (Role.pm, create_role)."""
    gone = change.after is None and change.address.id.lower().startswith(RESERVED)
    return Undo.NONE if gone else Undo.FULL


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    del change, table
    yield need("/access", "Sys.Modify")


def _fill_access(name: str, spec: RoleSpec, table: AccessTable) -> None:
    table.roles[name] = frozenset(spec.privileges)


def _file_size(objects: Sequence[tuple[str, RoleSpec]]) -> int:
    return sum(len(f"role:{name}:{','.join(spec.privileges)}:\n") for name, spec in objects)


KIND = Kind(
    name="role",
    spec=RoleSpec,
    toml=Toml(
        place=TablePlace("role"),
        table=RoleTable,
        declare=_declare,
        export=_export,
        check_name=_check_name,
    ),
    reads=Reading(
        requests=(ROLES,),
        answer_shapes={
            "/access/roles": Rows(Fields({"roleid": WORD}, {"privs": LIST, "special": FLAG}))
        },
        parse=_parse,
        builtin_ids=frozenset(NEWEST.roles),
    ),
    writes=Writing(
        lock="user.cfg",
        requests=lambda changes: tuple(_requests(changes)),
        needs=_needs,
        undo=_undo,
        file_size=_file_size,
    ),
    checks=Checks(undeclared=AlarmWhen.GRANTED),
    fill_access=_fill_access,
)
