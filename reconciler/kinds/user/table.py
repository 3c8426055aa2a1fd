"""[user."NAME@REALM"]: what a table may say, and its normal form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from reconciler.invalid_value import InvalidValue
from reconciler.kinds.shared.field_types import (
    USER,
    Expiry,
    Text,
    given,
    names,
    unix_to_toml,
)
from reconciler.kinds.shared.omitted_keys import FILE, LEFT, WATCHED
from reconciler.model.declared import Declaration
from reconciler.model.policy import TomlTable
from reconciler.model.secret import SecretRef
from reconciler.model.spec import Spec
from reconciler.pve.parameter_check import check_format
from reconciler.pve.schema import Secrecy

SET_ELSEWHERE = "x"
"""The value of `keys` in answers if the second factors are in priv/tfa.cfg."""
FINGERPRINT = "sha256:"


def keys_fingerprint(keys: str) -> str:
    """`keys` as read from the cluster: old realms keep secrets of second factors there."""
    if keys in {"", SET_ELSEWHERE} or keys.startswith(FINGERPRINT):
        return keys
    return FINGERPRINT + hashlib.sha256(keys.encode()).hexdigest()


class UserSpec(Spec):
    """`keys` (second factors): None if not managed, a fingerprint in live specs.

    `password` applies only at creation.
    """

    enabled: bool = True
    expires: int = 0
    firstname: str = ""
    lastname: str = ""
    email: str = ""
    comment: str = ""
    groups: tuple[str, ...] = ()
    keys: Annotated[str | None, Secrecy.KEPT] = None
    password: SecretRef | None = None


def _email(value: str) -> str:
    complaint = check_format("email-opt", value)
    if complaint:
        raise InvalidValue(f"'{value}' is not a valid e-mail address", "write NAME@DOMAIN")
    return value


_Keys = Annotated[Text, Field(pattern=r"^[0-9a-zA-Z!=]{0,4096}$")]


class UserTable(TomlTable):
    """[user."NAME@REALM"]"""

    enabled: Annotated[bool, WATCHED] = Field(
        default=True, description="false: neither the user nor its tokens can log in"
    )
    expires: Annotated[Expiry, WATCHED] = Field(
        default=0, description="date from which the account is refused"
    )
    firstname: Annotated[Text, Field(max_length=1024), LEFT] = Field(
        default="", description="first name"
    )
    lastname: Annotated[Text, Field(max_length=1024), LEFT] = Field(
        default="", description="last name"
    )
    email: Annotated[Text, Field(max_length=254), AfterValidator(_email), LEFT] = Field(
        default="", description="e-mail address"
    )
    comment: Annotated[Text, Field(max_length=2048), LEFT] = Field(
        default="", description="free text"
    )
    groups: Annotated[list[str], WATCHED] = Field(
        default=[], description="the groups of which it is a member, all of them"
    )
    keys: Annotated[_Keys | None, LEFT] = Field(default=None, description="ids of Yubikeys")
    password: Annotated[SecretRef | None, FILE] = Field(
        default=None, description="by reference; sent only when the user is created"
    )


def check_name(name: str, parent: str) -> None:
    del parent
    if "@" not in name:
        raise InvalidValue(f"user '{name}' has no realm", f"write {name}@pve or {name}@pam")
    if not USER.fullmatch(name):
        raise InvalidValue(
            f"'{name}' is not a valid user ID", "write NAME@REALM, without whitespace, ':' and '/'"
        )
    if len(name) > 64:
        raise InvalidValue(f"user ID '{name}' is longer than 64 characters", "shorten it")


def declare(name: str, parent: str, table: UserTable) -> Iterable[Declaration]:
    del parent
    fields = table.model_dump(exclude={"groups", "password"})
    spec = UserSpec(**fields, groups=names(table.groups), password=table.password)
    yield Declaration(name, spec)


def export(name: str, spec: UserSpec) -> dict[str, Any]:
    del name
    table = given(
        expires=unix_to_toml(spec.expires) if spec.expires else None,
        firstname=spec.firstname,
        lastname=spec.lastname,
        email=spec.email,
        comment=spec.comment,
        groups=list(spec.groups),
    )
    return table if spec.enabled else {"enabled": False, **table}
