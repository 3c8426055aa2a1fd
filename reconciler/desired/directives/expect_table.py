"""Read `[[expect]]`: tests of privileges and of API calls."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from reconciler.desired.directives.expect_packs import PACKS
from reconciler.invalid_value import InvalidValue
from reconciler.kinds.shared.field_types import Privilege, asked_release
from reconciler.model.declared import CallExpectation, Expectation
from reconciler.model.finding import Source
from reconciler.model.policy import TomlTable
from reconciler.pve.acl_paths import check_path_of_any_release, normalize_path
from reconciler.pve.release import NotInRelease
from reconciler.pve.secret_params import is_secret_param
from reconciler.text.suggest import did_you_mean

_GLOB = re.compile(r"[*?]")
_CALL = re.compile(r"(GET|POST|PUT|DELETE) (/\S*)")


def _one_or_several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _principal(text: str) -> str:
    if "@" in text or text.startswith("group:") or _GLOB.search(text):
        return text
    raise InvalidValue(
        f"'{text}' is not a valid principal",
        "write user@realm, user@realm!token, group:NAME for "
        "members of a group, or a glob such as *@ldap",
    )


def _path(text: str, info: ValidationInfo) -> str:
    normal, release = normalize_path(_GLOB.sub("x", text)), asked_release(info)
    if normal is None or not (_GLOB.search(text) or release.takes_path(normal)):
        if normal is not None and check_path_of_any_release(normal):
            raise NotInRelease(f"{release.name} has no ACL path {normal}", "name a path above it")
        raise InvalidValue(
            f"'{text}' is not a valid ACL path", "write one such as /vms/100, or a glob"
        )
    return text if _GLOB.search(text) else normal


_Input = str | list[str]
Principals = Annotated[
    list[Annotated[str, AfterValidator(_principal)]],
    BeforeValidator(_one_or_several, json_schema_input_type=_Input),
]
Paths = Annotated[
    list[Annotated[str, AfterValidator(_path)]],
    BeforeValidator(_one_or_several, json_schema_input_type=_Input),
]
Privileges = list[Privilege]


def _pack(name: str) -> str:
    if name and name not in PACKS:
        raise InvalidValue(
            f"there is no pack '{name}'", did_you_mean(name, PACKS) or f"one of {', '.join(PACKS)}"
        )
    return name


PackName = Annotated[
    str, AfterValidator(_pack), WithJsonSchema({"type": "string", "enum": sorted(PACKS)})
]


class ExpectTable(TomlTable):
    """A test of privileges, or of a call of the API."""

    who: Principals = Field(
        min_length=1, description="user@realm, user@realm!token, group:NAME, a glob, or *"
    )
    path: Paths = Field(default=[], description="an ACL path or a glob")
    paths: Paths = Field(default=[], description="ACL paths or globs")
    can: Privileges = Field(default=[], description="privileges that each of them must have there")
    cannot: Privileges = Field(
        default=[], description="privileges that none of them may have there"
    )
    but: Principals = Field(default=[], description="principals that are exempt")
    cannot_both: Privileges = Field(
        default=[], description="privileges that no user may have together, including by tokens"
    )
    pack: PackName = Field(
        default="",
        description="or a predefined set of both for a type of account: auditors, backup, ...",
    )
    call: str = Field(default="", description="or a call of the API: POST /nodes/pve/vzdump")
    params: dict[str, str | int] = Field(default={}, description="parameters of the call")
    status: int = Field(default=200, ge=200, le=599, description="expected HTTP status of the call")
    task: str = Field(default="", description="expected start of the task's exit status")
    harmless: bool = Field(
        default=False, description="`verify` may make the call even if it can succeed"
    )
    reason: str = Field(default="", description="why; shown when it fails")

    @model_validator(mode="after")
    def _says_something(self) -> ExpectTable:
        if self.call:
            return self._is_a_call()
        if self.pack:
            return self._is_a_pack()
        lonely = self.model_fields_set & {"params", "status", "task", "harmless"}
        if lonely:
            raise InvalidValue(f"{min(lonely)} needs a call", 'write call = "GET /version"')
        if not (self.path or self.paths):
            raise InvalidValue("the path is missing", 'write path = "/vms/100" or paths = [...]')
        if not (self.can or self.cannot or self.cannot_both):
            raise InvalidValue("[[expect]] has neither can nor cannot", "set one of them")
        if len(set(self.cannot_both)) == 1:
            raise InvalidValue("cannot_both names one privilege", "name two, or write cannot")
        both = sorted(set(self.can) & set(self.cannot))
        if both:
            raise InvalidValue(f"{both[0]} is in can and in cannot", "keep one of them")
        return self

    def _is_a_pack(self) -> ExpectTable:
        others = self.model_fields_set & _TESTS
        if others:
            raise InvalidValue(
                f"{min(others)} cannot be combined with a pack", "write two [[expect]]"
            )
        if PACKS[self.pack].can and not (self.path or self.paths):
            raise InvalidValue(
                "the path is missing", f'the pack {self.pack} needs one: path = "/pool/Dev"'
            )
        return self

    def _is_a_call(self) -> ExpectTable:
        others = self.model_fields_set & {*_TESTS, "path", "paths", "but", "pack"}
        if others:
            raise InvalidValue(
                f"{min(others)} cannot be combined with a call", "write two [[expect]]"
            )
        if not _CALL.fullmatch(self.call):
            raise InvalidValue(
                "call is not a method and a path",
                'write call = "POST /nodes/pve/vzdump", and parameters in params',
            )
        secret = sorted(filter(is_secret_param, self.params))
        if secret:
            raise InvalidValue(
                f"{secret[0]} is a secret, which must not be in a state file",
                "leave it out: it does not affect what is allowed",
            )
        return self


_TESTS = frozenset({"can", "cannot", "cannot_both"})


def expectations_of(table: ExpectTable, source: Source) -> tuple[Expectation, ...]:
    """One, or those of a pack: on its paths, and on / what such an account never should have."""
    one = _expectation(table, source)
    if not table.pack:
        return (one,)
    pack = PACKS[table.pack]
    reason = table.reason or f"{table.pack}: {pack.about}"
    there = one._replace(can=pack.can, cannot=pack.cannot, reason=reason)
    top = one._replace(paths=("/",), can=(), cannot=pack.never, reason=reason)
    return (there, top) if one.paths and (pack.can or pack.cannot) else (top,)


def _expectation(table: ExpectTable, source: Source) -> Expectation:
    return Expectation(
        who=tuple(table.who),
        paths=(*table.path, *table.paths),
        can=tuple(table.can),
        cannot=tuple(table.cannot),
        but=tuple(table.but),
        source=source,
        reason=table.reason,
        cannot_both=tuple(table.cannot_both),
    )


def call_of(table: ExpectTable, source: Source) -> CallExpectation:
    method, _, path = table.call.partition(" ")
    return CallExpectation(
        who=tuple(table.who),
        method=method,
        path=path,
        params=tuple(
            (name, str(int(value)) if isinstance(value, bool) else str(value))
            for name, value in table.params.items()
        ),
        status=table.status,
        task=table.task,
        harmless=table.harmless,
        source=source,
        reason=table.reason,
    )
