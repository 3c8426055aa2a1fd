"""Users and their group memberships (/access/users)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.access.contents import Principal
from reconciler.access.table import AccessTable
from reconciler.kinds.group import groups_of, modify_user
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
from reconciler.kinds.shared.answer_shape import COUNT, FLAG, ID, LIST, TEXT, Fields, Rows, Shape
from reconciler.kinds.shared.field_types import (
    changed,
    flag,
    names,
    quote,
    split_list,
)
from reconciler.kinds.user.table import (
    FINGERPRINT,
    UserSpec,
    UserTable,
    check_name,
    declare,
    export,
    keys_fingerprint,
)
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.declared import Declared
from reconciler.model.finding import Finding, Severity
from reconciler.model.request import Request, Value, request
from reconciler.model.secret import SecretRef
from reconciler.model.session import SessionEffect, SessionMoment
from reconciler.model.spec import State

USERS = request("GET", "access", "users", full=1)
_TEXTS = ("firstname", "lastname", "email", "comment", "keys")
_TOKEN = Fields({"tokenid": ID}, {"privsep": FLAG, "expire": COUNT, "comment": TEXT})
_OF_A_USER: dict[str, Shape] = {"enable": FLAG, "expire": COUNT, "groups": LIST}
_OF_A_USER |= {"tokens": Rows(_TOKEN), **dict.fromkeys(_TEXTS, TEXT)}
_USER = Fields({"userid": ID}, _OF_A_USER)
ANSWERS = {"/access/users": Rows(_USER)}
"""Shape of the answer that lists users and tokens."""


def _parse(answers: Answers) -> Iterable[tuple[str, UserSpec]]:
    for row in answers[USERS]:
        yield (
            row["userid"],
            UserSpec(
                enabled=flag(row.get("enable"), default=True),
                expires=int(row.get("expire") or 0),
                firstname=row.get("firstname") or "",
                lastname=row.get("lastname") or "",
                email=row.get("email") or "",
                comment=row.get("comment") or "",
                groups=split_list(row.get("groups")),
                keys=keys_fingerprint(row.get("keys") or ""),
            ),
        )


def _join_members(
    name: str, goal: UserSpec, live: UserSpec, declared: Mapping[Address, Declared]
) -> UserSpec:
    """Memberships as the groups say: additive ones stay, exact ones need a file that names them."""
    own = declared.get(Address("user", name))
    named = set(own.spec.groups) if own is not None and isinstance(own.spec, UserSpec) else set()
    groups = set(goal.groups)
    for group in live.groups:
        table = declared.get(Address("group", group))
        said = table.notes.get("members") if table is not None else None
        if said == "additive":
            groups.add(group)
        elif said == "exact" and group not in named:
            groups.discard(group)
    found = names(groups)
    return goal if found == goal.groups else goal.model_copy(update={"groups": found})


def _merge_with_live(declared: UserSpec, live: UserSpec | None) -> UserSpec:
    if live is None:
        return declared.model_copy(update={"keys": declared.keys or ""})
    keys = declared.keys
    if keys is None or keys_fingerprint(keys) == live.keys:
        keys = live.keys
    return declared.model_copy(update={"keys": keys, "password": None})


def _as_read(spec: UserSpec) -> UserSpec:
    return spec.model_copy(update={"keys": keys_fingerprint(spec.keys or ""), "password": None})


def _references(name: str, spec: UserSpec) -> Iterable[Address]:
    yield Address("realm", name.rpartition("@")[2])
    for group in spec.groups:
        yield Address("group", group)


def _without(name: str, spec: UserSpec, gone: Address) -> UserSpec | None:
    del name
    if gone.kind != "group":
        return spec
    return spec.model_copy(update={"groups": tuple(g for g in spec.groups if g != gone.id)})


def _rename(name: str, spec: UserSpec, old: Address, new: Address) -> tuple[str, UserSpec] | None:
    """The realm is part of the name and cannot change."""
    if old.kind != "group":
        return None
    groups = names(new.id if group == old.id else group for group in spec.groups)
    return name, spec.model_copy(update={"groups": groups})


def _params(spec: UserSpec) -> dict[str, Value]:
    return {
        "enable": str(int(spec.enabled)),
        "expire": str(spec.expires),
        "firstname": spec.firstname,
        "lastname": spec.lastname,
        "email": spec.email,
        "comment": spec.comment,
        "keys": spec.keys or "",
        "groups": ",".join(spec.groups),
    }


_ABSENT = _params(UserSpec())


def _sendable(spec: UserSpec) -> dict[str, Value]:
    """Without keys known only by fingerprint."""
    params = _params(spec)
    if str(params["keys"]).startswith(FINGERPRINT):
        del params["keys"]
    return params


def _requests(changes: Sequence[Change]) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    for change in changes:
        name, before, after = change.address.id, change.before, change.after
        if not isinstance(after, UserSpec):
            yield request("DELETE", "access", "users", name), (change,)
        elif isinstance(before, UserSpec):
            params = changed(_params(before), _sendable(after))
            if params:
                yield Request("PUT", ("access", "users", name), tuple(params.items())), (change,)
        else:
            params = {"userid": name, **changed(_ABSENT, _sendable(after))}
            if after.password is not None:
                params["password"] = after.password
            yield Request("POST", ("access", "users"), tuple(params.items())), (change,)


def _undo(change: Change) -> Undo:
    """A deleted account can be recreated, but not its password and second factors."""
    before, after = change.before, change.after
    if not isinstance(before, UserSpec):
        return Undo.FULL
    if isinstance(after, UserSpec):
        return Undo.NONE if before.keys and before.keys != after.keys else Undo.FULL
    has_secret = change.address.id.endswith("@pve") or bool(before.keys)
    return Undo.NONE if has_secret else Undo.FULL


def _sent_secrets(spec: UserSpec) -> Mapping[str, SecretRef]:
    """Only at creation: PVE does not let a token change a password."""
    return {} if spec.password is None else {"password": spec.password}


def _partial_states(change: Change) -> Iterable[UserSpec]:
    """DELETE disables the account first (User.pm, delete_user), under a lock of its own."""
    if isinstance(change.before, UserSpec) and change.after is None and change.before.enabled:
        yield change.before.model_copy(update={"enabled": False})


def _check_change(change: Change, live: State) -> Iterable[Finding]:
    """A directory stores its users' passwords itself (Auth plugins, `store_password`), and a realm
    may ignore the case of names (User.pm, `create_user`)."""
    name, after = change.address.id, change.after
    if change.before is not None or not isinstance(after, UserSpec):
        return
    realm = live.get(Address("realm", name.rpartition("@")[2]))
    if ("case-sensitive", "0") in getattr(realm, "options", ()):
        yield from _same_user(change.address, live)
    kind = getattr(realm, "type", "")
    if after.password is not None and kind not in {"", "pam", "pve"}:
        yield Finding(
            "PASSWORD_REFUSED",
            Severity.ERROR,
            f"{change.address} cannot be created with a password: Proxmox VE does not store "
            f"passwords of realms of type {kind}",
            hint="remove password from its table",
            address=change.address,
        )


def _same_user(address: Address, live: State) -> Iterable[Finding]:
    folded = address.id.casefold()
    for other in sorted(live):
        if other.kind == "user" and other != address and other.id.casefold() == folded:
            yield Finding(
                "SAME_USER",
                Severity.ERROR,
                f"{address} cannot be created: its realm ignores case, so {other} is the same user",
                hint=f"name it {other.id}",
                address=address,
            )


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    """User.pm: Realm.AllocateUser to create and delete, and `userid-group`.

    That is User.Modify on /access/groups, or on a group of the user; in the second case also on
    each group that the request names.
    """
    name, before, after = change.address.id, change.before, change.after
    if before is None or after is None:
        yield need(f"/access/realm/{name.rpartition('@')[2]}", "Realm.AllocateUser")
    member_of = None if before is None else groups_of(table, name)
    if not isinstance(after, UserSpec):
        yield modify_user(member_of)
        return
    known = _params(before) if isinstance(before, UserSpec) else _ABSENT
    sent = "groups" in changed(known, _sendable(after))
    yield modify_user(member_of, after.groups if sent else ())


def _fill_access(name: str, spec: UserSpec, table: AccessTable) -> None:
    table.users[name] = Principal(enabled=spec.enabled, expires=spec.expires)
    table.add_members(name, spec.groups)


def _sessions(change: Change, planned: State) -> Iterable[SessionEffect]:
    """PVE asks for a second factor at logins only."""
    del planned
    before, after = change.before, change.after
    if isinstance(before, UserSpec) and isinstance(after, UserSpec) and before.keys != after.keys:
        who = change.address.id
        text = f"{who}: the second factor changes from the next login; stays logged in"
        yield SessionEffect((who,), SessionMoment.LOGIN, text)


def _is_builtin(name: str, spec: UserSpec) -> bool:
    del spec
    return name == "root@pam"


def _file_size(objects: Sequence[tuple[str, UserSpec]]) -> int:
    """A line per user, and the name once more in each of the groups."""
    return sum(
        len(f"user:{name}:{':'.join(map(quote, _params(spec).values()))}:\n".encode())
        for name, spec in objects
    ) + sum(len(name.encode()) + 1 for name, spec in objects for _ in spec.groups)


KIND = Kind(
    name="user",
    spec=UserSpec,
    toml=Toml(
        place=TablePlace("user"),
        table=UserTable,
        declare=declare,
        export=export,
        check_name=check_name,
    ),
    reads=Reading(
        requests=(USERS,),
        answer_shapes=ANSWERS,
        parse=_parse,
        needs=(need("/access/groups", "Sys.Audit", "User.Modify", propagated=True),),
        as_read=_as_read,
        builtin_ids=frozenset({"root@pam"}),
        is_builtin=_is_builtin,
    ),
    writes=Writing(
        lock="user.cfg",
        requests=lambda changes: tuple(_requests(changes)),
        needs=_needs,
        join_members=_join_members,
        merge_with_live=_merge_with_live,
        partial_states=_partial_states,
        undo=_undo,
        file_size=_file_size,
    ),
    links=Links(
        refers_to=frozenset({"realm", "group"}),
        references=_references,
        without=_without,
        rename=_rename,
    ),
    secrets=Secrets(
        sent=_sent_secrets,
    ),
    checks=Checks(
        change=_check_change,
        undeclared=AlarmWhen.ALWAYS,
    ),
    fill_access=_fill_access,
    sessions=_sessions,
)
