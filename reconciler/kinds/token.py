"""API tokens of users (/access/users/USER/token/NAME)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from posixpath import normpath
from typing import Annotated, Any

from pydantic import Field

from reconciler.access.contents import Principal
from reconciler.access.table import AccessTable
from reconciler.invalid_value import InvalidValue
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
    plain_title,
)
from reconciler.kinds.shared.field_types import (
    TOKEN,
    Age,
    Expiry,
    Text,
    changed,
    flag,
    given,
    quote,
    unix_to_toml,
)
from reconciler.kinds.shared.omitted_keys import DEFAULT, FILE, LEFT, WATCHED
from reconciler.kinds.user import ANSWERS, USERS
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.declared import Declaration, Declared
from reconciler.model.finding import Finding, Severity
from reconciler.model.policy import TomlTable
from reconciler.model.request import Request, Value, request
from reconciler.model.secret import SecretSink
from reconciler.model.session import SessionEffect, SessionMoment
from reconciler.model.spec import Spec, State

ROTATE_AFTER = "rotate_after"
"""Among the notes of a declared token: the age of its secret, in seconds, from which it is due."""


class TokenSpec(Spec):
    """`secret_to` is the sink of a new secret; PVE does not know it.

    Changing an existing token to a spec with `secret_to` requests a new secret: `regenerate` keeps
    ID, entries and expiry (Proxmox VE 9.2 and later: libpve-access-control 9.1.0).
    """

    privsep: bool = True
    expires: int = 0
    comment: str = ""
    secret_to: SecretSink | None = None


class TokenTable(TomlTable):
    """[user."NAME@REALM".token.NAME]"""

    privsep: Annotated[bool, DEFAULT] = Field(
        default=True, description="true: limited to what both it and its user are granted"
    )
    expires: Annotated[Expiry, WATCHED] = Field(
        default=0, description="date from which the token is refused"
    )
    comment: Annotated[Text, LEFT] = Field(default="", description="free text")
    secret_to: Annotated[SecretSink | None, FILE] = Field(
        default=None, description="where to store the secret of a new token"
    )
    rotate_after: Annotated[Age, FILE] = Field(
        default=0,
        description='the age from which its secret is due for a new one, as in "90d"; kept here',
    )


def _check_name(name: str, parent: str) -> None:
    if not TOKEN.fullmatch(f"{parent}!{name}"):
        raise InvalidValue(
            f"'{name}' is not a valid token name",
            "write a letter, then one or more of letters, digits, '.-_'",
        )


def _declare(name: str, parent: str, table: TokenTable) -> Iterable[Declaration]:
    _check_place(table.secret_to)
    values = dict(table)
    age = values.pop(ROTATE_AFTER)
    notes = {ROTATE_AFTER: age} if age else {}
    yield Declaration(f"{parent}!{name}", TokenSpec(**values), notes)


def _check_place(sink: SecretSink | None) -> None:
    """A path outside the state folder must be absolute."""
    path = (sink.file or sink.env_file or "") if sink else ""
    if path.startswith("~") or normpath(path).split("/")[0] == "..":
        raise InvalidValue(
            f"secret_to '{path}' is outside the state folder", "write an absolute path if intended"
        )
    if path.endswith(".toml"):
        raise InvalidValue(
            f"secret_to '{path}' is a state file", "name another file for the secret"
        )


def _export(name: str, spec: TokenSpec) -> dict[str, Any]:
    del name
    table = given(
        expires=unix_to_toml(spec.expires) if spec.expires else None, comment=spec.comment
    )
    return table if spec.privsep else {"privsep": False, **table}


def _name_of(name: str, spec: TokenSpec) -> tuple[str, str]:
    del spec
    user, _, own = name.rpartition("!")
    return user, own


def _parse(answers: Answers) -> Iterable[tuple[str, TokenSpec]]:
    for user in answers[USERS]:
        for row in user.get("tokens") or ():
            yield (
                f"{user['userid']}!{row['tokenid']}",
                TokenSpec(
                    privsep=flag(row.get("privsep"), default=True),
                    expires=int(row.get("expire") or 0),
                    comment=row.get("comment") or "",
                ),
            )


def _merge_with_live(declared: TokenSpec, live: TokenSpec | None) -> TokenSpec:
    return declared if live is None else _as_read(declared)


def _as_read(spec: TokenSpec) -> TokenSpec:
    return spec.model_copy(update={"secret_to": None})


def _owner(name: str, spec: TokenSpec) -> Iterable[Address]:
    del spec
    yield Address("user", name.rpartition("!")[0])


def _params(spec: TokenSpec) -> dict[str, Value]:
    return {
        "privsep": str(int(spec.privsep)),
        "expire": str(spec.expires),
        "comment": spec.comment,
    }


_ABSENT = _params(TokenSpec())


def _requests(changes: Sequence[Change]) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    for change in changes:
        user, _, name = change.address.id.rpartition("!")
        path = ("access", "users", user, "token", name)
        before, after = change.before, change.after
        if not isinstance(after, TokenSpec):
            yield request("DELETE", *path), (change,)
        elif isinstance(before, TokenSpec):
            params = changed(_params(before), _params(after))
            if after.secret_to is not None:
                params["regenerate"] = "1"
            yield Request("PUT", path, tuple(params.items())), (change,)
        else:
            params = {"privsep": str(int(after.privsep)), **changed(_ABSENT, _params(after))}
            yield Request("POST", path, tuple(params.items())), (change,)


def _sink(change: Change) -> SecretSink | None:
    """Only if the request gives the token a new secret."""
    return change.after.secret_to if isinstance(change.after, TokenSpec) else None


def _undo(change: Change) -> Undo:
    """A recreated token has another secret, and a new secret invalidates the old one."""
    if change.after is None or (change.before is not None and _sink(change) is not None):
        return Undo.NONE
    return Undo.FULL


def _title(changes: Sequence[Change]) -> str:
    change = changes[0]
    if len(changes) == 1 and change.before is not None and _sink(change) is not None:
        return f"regenerate the secret of token {change.address.id}"
    return plain_title(changes)


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    """Users may manage their own tokens, but not through one of those tokens."""
    user = change.address.id.partition("!")[0]
    yield modify_user(groups_of(table, user), own=user)


def _fill_access(name: str, spec: TokenSpec, table: AccessTable) -> None:
    table.tokens[name] = Principal(expires=spec.expires, privsep=spec.privsep)


def _sessions(change: Change, planned: State) -> Iterable[SessionEffect]:
    del planned
    if change.before is not None and _sink(change) is not None:
        who = change.address.id
        text = f"{who}: its present secret is refused from the next request"
        yield SessionEffect((who,), SessionMoment.REQUEST, text)


def _file_size(objects: Sequence[tuple[str, TokenSpec]]) -> int:
    return sum(
        len(f"token:{name}:{spec.expires}:1:{quote(spec.comment)}:\n") for name, spec in objects
    )


def _check_kind(objects: Mapping[Address, Declared]) -> Iterable[Finding]:
    """Two tokens whose secrets go to one place: the second would overwrite the first."""
    first: dict[SecretSink, Address] = {}
    for address in sorted(objects):
        spec = objects[address].spec
        if not isinstance(spec, TokenSpec) or spec.secret_to is None or spec.secret_to.command:
            continue
        other = first.setdefault(spec.secret_to, address)
        if other != address:
            yield Finding(
                "SINK_TWICE",
                Severity.ERROR,
                f"the secrets of {other.id} and {address.id} both go to {spec.secret_to}",
                hint="use a separate secret_to for each token",
                address=address,
                source=objects[address].source,
            )


def _check_change(change: Change, live: State) -> Iterable[Finding]:
    """A new token whose secret is not stored is useless."""
    del live
    new = change.after if change.before is None else None
    if isinstance(new, TokenSpec) and new.secret_to is None:
        yield Finding(
            "SECRET_LOST",
            Severity.WARNING,
            f"the secret of {change.address.id} is not stored anywhere, and cannot be read later",
            hint='set secret_to = { file = "secrets/NAME" }',
            address=change.address,
        )


KIND = Kind(
    name="token",
    spec=TokenSpec,
    toml=Toml(
        place=TablePlace("token", inside="user"),
        table=TokenTable,
        declare=_declare,
        export=_export,
        check_name=_check_name,
        name_of=_name_of,
    ),
    reads=Reading(
        requests=(USERS,),
        answer_shapes=ANSWERS,
        parse=_parse,
        needs=(need("/access/groups", "Sys.Audit", "User.Modify", propagated=True),),
        as_read=_as_read,
    ),
    writes=Writing(
        lock="user.cfg",
        requests=lambda changes: tuple(_requests(changes)),
        needs=_needs,
        merge_with_live=_merge_with_live,
        undo=_undo,
        title=_title,
        file_size=_file_size,
    ),
    links=Links(
        refers_to=frozenset({"user"}),
        references=_owner,
        owners=_owner,
        silently_deletes=frozenset({"acl"}),
    ),
    secrets=Secrets(
        sink=_sink,
    ),
    checks=Checks(
        declared_kind=_check_kind,
        change=_check_change,
        undeclared=AlarmWhen.ALWAYS,
    ),
    fill_access=_fill_access,
    sessions=_sessions,
)
