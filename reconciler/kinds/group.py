"""Groups of users (/access/groups). Membership is a property of the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

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
    TablePlace,
    Toml,
    Writing,
    need,
)
from reconciler.kinds.shared.answer_shape import LIST, TEXT, WORD, Fields, Rows
from reconciler.kinds.shared.field_types import NAME, Text, given, quote
from reconciler.kinds.shared.omitted_keys import FILE, LEFT
from reconciler.model.change import Change
from reconciler.model.declared import Declaration
from reconciler.model.policy import TomlTable
from reconciler.model.request import Request, request
from reconciler.model.run import LOCK_PREFIX
from reconciler.model.spec import Spec

GROUPS = request("GET", "access", "groups")
"""Groups of this name are pvectl's own cluster lock; never an object, never drift."""
LOCK_NEED = need("/access/groups", "Group.Allocate")
"""Privileges needed to hold that lock."""


def groups_of(table: AccessTable, user: str) -> tuple[str, ...]:
    """The groups of which `user` is a member."""
    return tuple(sorted(group for group, members in table.groups.items() if user in members))


def modify_user(
    member_of: Sequence[str] | None, named: Sequence[str] | None = None, own: str = ""
) -> Need:
    """User.Modify on /access/groups, or on what PVE accepts instead (`userid-group`).

    That is one of the user's groups, `member_of`; None for a new user. `named`: the groups that
    the request sets. A caller limited to some groups must name at least one, and needs each of
    them; None for requests without groups.
    """
    ways = [()] if member_of is None else [(group,) for group in member_of]
    if named is not None:
        ways = [(*way, *named) for way in ways] if named else []
    given = [tuple((f"/access/groups/{group}", "User.Modify") for group in way) for way in ways]
    return Need(((("/access/groups", "User.Modify"),), *dict.fromkeys(given)), own=own)


class GroupSpec(Spec):
    comment: str = ""


def _no_list(value: object) -> object:
    if isinstance(value, list):
        raise InvalidValue(
            "the members of a group are declared on the users",
            '[user."alice@pve"] groups = ["GROUP"]; members is "additive" or "exact"',
        )
    return value


_INSTEAD: Mapping[str, str] = {
    "users": 'declare it on the users: [user."alice@pve"] groups = ["GROUP"]'
}
"""Keys that people try -> what to write."""


class GroupTable(TomlTable):
    """[group.NAME]"""

    instead = _INSTEAD
    comment: Annotated[Text, LEFT] = Field(default="", description="free text")
    members: Annotated[Literal["additive", "exact"] | None, BeforeValidator(_no_list), FILE] = (
        Field(
            default=None,
            description="additive: current members stay, whatever their `groups` say; exact: "
            "members that no file declares are removed, undeclared users included; default: the "
            "`groups` of each declared user decide",
        )
    )


def _check_name(name: str, parent: str) -> None:
    del parent
    if name.startswith(LOCK_PREFIX):
        raise ValueError(
            f"group names that start with {LOCK_PREFIX} are reserved for pvectl's lock"
        )
    if not NAME.fullmatch(name):
        raise InvalidValue(
            f"'{name}' is not a valid group name", "use letters, digits, '.', '-' and '_'"
        )


def _declare(name: str, parent: str, table: GroupTable) -> Iterable[Declaration]:
    del parent
    notes = {} if table.members is None else {"members": table.members}
    yield Declaration(name, GroupSpec(comment=table.comment), notes)


def _export(name: str, spec: GroupSpec) -> dict[str, Any]:
    del name
    return given(comment=spec.comment)


def _parse(answers: Answers) -> Iterable[tuple[str, GroupSpec]]:
    for row in answers[GROUPS]:
        if row["groupid"].startswith(LOCK_PREFIX):
            continue
        yield row["groupid"], GroupSpec(comment=row.get("comment") or "")


def _requests(changes: Sequence[Change]) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    for change in changes:
        name, spec = change.address.id, change.after
        if not isinstance(spec, GroupSpec):
            yield request("DELETE", "access", "groups", name), (change,)
        elif change.before is None:
            comment = spec.comment or None
            yield request("POST", "access", "groups", groupid=name, comment=comment), (change,)
        else:
            yield request("PUT", "access", "groups", name, comment=spec.comment), (change,)


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    del change, table
    yield need("/access/groups", "Group.Allocate")


def _fill_access(name: str, spec: GroupSpec, table: AccessTable) -> None:
    del spec
    table.groups.setdefault(name, set())


def _file_size(objects: Sequence[tuple[str, GroupSpec]]) -> int:
    """Members of groups are counted with the users."""
    return sum(len(f"group:{name}::{quote(spec.comment)}:\n") for name, spec in objects)


KIND = Kind(
    name="group",
    spec=GroupSpec,
    toml=Toml(
        place=TablePlace("group"),
        table=GroupTable,
        declare=_declare,
        export=_export,
        check_name=_check_name,
    ),
    reads=Reading(
        requests=(GROUPS,),
        answer_shapes={
            "/access/groups": Rows(Fields({"groupid": WORD}, {"comment": TEXT, "users": LIST}))
        },
        parse=_parse,
        needs=(
            need("/access/groups", "Sys.Audit", "User.Modify", "Group.Allocate", propagated=True),
        ),
    ),
    writes=Writing(
        lock="user.cfg",
        requests=lambda changes: tuple(_requests(changes)),
        needs=_needs,
        file_size=_file_size,
    ),
    links=Links(acl_parent="/access/groups"),
    checks=Checks(undeclared=AlarmWhen.GRANTED),
    fill_access=_fill_access,
)
