"""The policy in `pvectl.toml`: what is managed, how much may change, and what must not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from reconciler.invalid_value import InvalidValue
from reconciler.model.address import Address
from reconciler.text.period import seconds_of


class Mode(StrEnum):
    """What happens to undeclared live objects of a kind."""

    WATCH = "watch"
    """nothing is ever deleted, and `drift` reports everything undeclared"""
    ADDITIVE = "additive"
    """nothing is ever deleted"""
    OWNED = "owned"
    """dependents of declared objects are deleted: tokens of a declared user, entries of a declared
    principal"""
    AUTHORITATIVE = "authoritative"
    """everything undeclared that matches `include` and not `exclude` is deleted"""


class Unspecified(StrEnum):
    """What happens to a key that a declared object omits."""

    KEEP = "keep"
    """it keeps its value in the cluster"""
    CLEAR = "clear"
    """it is reset to its default: the file is the whole object"""


class TomlTable(BaseModel):
    """A table of a TOML file: unknown keys are errors.

    `instead`: keys that people often try, and what to use instead.
    """

    instead: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Manage(TomlTable):
    """How one kind is managed; `include` and `exclude` are globs over ids."""

    mode: Mode = Field(
        default=Mode.OWNED,
        strict=False,
        description="what happens to objects that no file declares",
    )
    include: tuple[str, ...] = Field(
        default=("*",), strict=False, description="globs over the names to manage"
    )
    exclude: tuple[str, ...] = Field(
        default=(), strict=False, description="globs over the names to leave alone"
    )
    unspecified: Unspecified = Field(
        default=Unspecified.KEEP,
        strict=False,
        description="what happens to omitted keys",
    )

    def covers(self, address: Address) -> bool:
        """Whether the id of `address` is inside the managed scope."""
        everything = "*" in self.include
        included = everything or any(
            address.matches(f"{address.kind}.{glob}") for glob in self.include
        )
        return included and not self.excludes(address)

    def excludes(self, address: Address) -> bool:
        """Whether `exclude` matches it: it is deliberately left alone."""
        return any(address.matches(f"{address.kind}.{glob}") for glob in self.exclude)


_USUAL = Manage()


class Limit(TomlTable):
    """At most `count` objects, and at most `percent` of those that exist."""

    count: int | None = Field(default=None, ge=0, description="objects of a kind")
    percent: int | None = Field(
        default=None, ge=0, le=100, description="percent of the objects of a kind"
    )


class Limits(TomlTable):
    """How much one plan may change. Deletes are limited per kind; `total` counts every change;
    `archives` the backups kept today that its retention would remove."""

    delete: Limit = Field(default=Limit(), description="how many objects a plan may delete")
    total: int | None = Field(
        default=None, ge=0, description="how many changes a plan may make in all"
    )
    archives: int = Field(
        default=0, ge=0, description="how many archives, kept today, its retention may remove"
    )

    @field_validator("delete", mode="before")
    @classmethod
    def _plain_number(cls, value: object) -> object:
        return {"count": value} if isinstance(value, int) else value


class Protected(TomlTable):
    """Globs over addresses."""

    never_delete: tuple[str, ...] = Field(
        default=("user.root@pam",),
        strict=False,
        description="globs over addresses that plans must not delete",
    )
    never_change: tuple[str, ...] = Field(
        default=(), strict=False, description="globs over addresses that plans must not change"
    )


class Lockout(TomlTable):
    """Who must keep which access after every step of a plan and of its rollback.

    `keep_self`: `"PRIVILEGE on PATH"` for the acting token. `break_glass`: principals that must
    stay enabled and keep all their privileges. `administrators`: the minimum number of enabled
    principals that hold every privilege on `/`.
    """

    keep_self: tuple[str, ...] = Field(
        default=("Permissions.Modify on /access", "Sys.Modify on /access"),
        strict=False,
        description="PRIVILEGE on PATH that the acting token must keep",
    )
    break_glass: tuple[str, ...] = Field(
        default=("root@pam",),
        strict=False,
        description="principals that must stay enabled and keep all their privileges",
    )
    administrators: int = Field(
        default=1,
        ge=0,
        description="minimum number of enabled principals with every privilege on /",
    )


class Alarm(TomlTable):
    """How many days before its expiry `drift` reports what is declared, with exit status 2.

    What has expired is reported until it is extended or removed.
    """

    logins: int = Field(default=14, ge=0, description="days before a user expires")
    tokens: int = Field(default=14, ge=0, description="days before a token expires")
    waivers: int = Field(default=14, ge=0, description="days before a [[waive]] expires")


MAX_STALENESS = 2.0
"""Seconds: what a request of `apply` touches has been read within them before it is sent."""


class Apply(TomlTable):
    """`max_staleness`: seconds; what a step touches has been read within them before it is sent."""

    max_staleness: float = Field(
        default=MAX_STALENESS,
        gt=0,
        le=10,
        description="seconds: a step's objects were read at most this long before it is sent",
    )


class Rollout(TomlTable):
    """`waves`: globs over the names of targets; `apply` on several targets starts a wave when all
    targets of the previous one have succeeded. Targets that no wave names come last."""

    waves: tuple[Annotated[tuple[str, ...], Field(strict=False)], ...] = Field(
        default=(("*",),),
        strict=False,
        description="globs over targets: each wave starts when the previous one has succeeded",
    )


class Lint(TomlTable):
    """`fail`: codes of findings with which `drift` ends with exit status 4."""

    fail: tuple[str, ...] = Field(
        default=(), strict=False, description="codes with which `drift` exits with status 4"
    )


class Network(StrEnum):
    """What becomes of the network of a guest that a drill restores."""

    DOWN = "down"
    """its interfaces are there, with the cable pulled"""
    NONE = "none"
    """it has no interface"""
    AS_SAVED = "as-saved"
    """as in the archive, with a new MAC address"""


class Check(TomlTable):
    """What must succeed in a restored guest, or with it, before the drill's timeout: all of it.

    `agent`: a command inside, run by the QEMU guest agent. `tcp`: a port. `http`: a path, asked for
    on `port`. `command`: one on this machine.
    """

    agent: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="a command that the QEMU guest agent runs; it must exit with 0",
    )
    tcp: int | None = Field(
        default=None, ge=1, le=65535, description="a port that accepts connections"
    )
    http: str | None = Field(
        default=None, pattern="^/[!-~]*$", description="a path whose response status is below 400"
    )
    port: int = Field(default=80, ge=1, le=65535, description="the port of `http`")
    command: tuple[str, ...] = Field(
        default=(), strict=False, description="a command on this machine; it must exit with 0"
    )

    @model_validator(mode="after")
    def _something(self) -> Check:
        if not (self.agent or self.tcp or self.http or self.command):
            raise InvalidValue("the check has nothing to check", "set agent, tcp, http or command")
        if "port" in self.model_fields_set and self.http is None:
            raise InvalidValue(
                "port is only for http, which is missing", "to check a port alone, set tcp = NUMBER"
            )
        return self

    @property
    def by_network(self) -> bool:
        """Whether the guest must be reached over its network."""
        return self.tcp is not None or self.http is not None


class DrillTarget(TomlTable):
    """[drill.guest.ID] or [drill.tag.TAG]: how restored guests of that id or tag are checked."""

    check: Check = Field(description="what must succeed")


class Drill(TomlTable):
    """How backups are restored to prove that they can be (`pvectl drill`).

    `ids`: which guest ids are the drills' own, FIRST-LAST. `storage`: where disks are restored to.
    `timeout`: how long a guest may take to start and to pass its checks. `sample`: how many guests
    one command restores. `every`: how long ago a guest's last good drill may be; "" for ever.
    """

    ids: str = Field(default="", description="FIRST-LAST: ids reserved for drills")
    storage: str = Field(default="", description="where disks are restored to")
    pool: str = Field(default="", description="a pool that restored guests are put into")
    network: Network = Field(
        default=Network.DOWN, strict=False, description="what to do with the network interfaces"
    )
    start: bool = Field(default=True, description="whether restored guests are started")
    timeout: str = Field(
        default="10m", description="how long starting and checking may take: 90s, 10m, 2h"
    )
    sample: int = Field(default=3, ge=1, description="how many guests one command restores")
    every: str = Field(
        default="", description="report guests without a successful drill for this long: 30d"
    )
    guest: dict[str, DrillTarget] = Field(
        default_factory=dict, description="by id: how a guest is checked"
    )
    tag: dict[str, DrillTarget] = Field(
        default_factory=dict, description="by tag: how guests are checked"
    )

    @field_validator("ids")
    @classmethod
    def _range(cls, text: str) -> str:
        found = re.fullmatch(r"([1-9][0-9]{2,8})-([1-9][0-9]{2,8})", text)
        if text and (found is None or int(found[1]) > int(found[2])):
            raise InvalidValue(
                f"'{text}' is not a range of guest ids", 'write FIRST-LAST, as in "9900-9999"'
            )
        return text

    @field_validator("timeout", "every")
    @classmethod
    def _period(cls, text: str) -> str:
        if text:
            seconds_of(text)
        return text

    @field_validator("guest")
    @classmethod
    def _guests(cls, tables: dict[str, DrillTarget]) -> dict[str, DrillTarget]:
        for name in tables:
            if not re.fullmatch(r"[1-9][0-9]{2,8}", name):
                raise InvalidValue(f"'{name}' is not the id of a guest", "[drill.guest.100]")
        return tables

    @model_validator(mode="after")
    def _reachable(self) -> Drill:
        tables = [*self.guest.values(), *self.tag.values()]
        if any(one.check.by_network for one in tables) and self.network is not Network.AS_SAVED:
            raise InvalidValue(
                f'a check by tcp or http cannot reach a guest with network = "{self.network}"',
                'check with agent or command, or set network = "as-saved"',
            )
        return self

    @property
    def range(self) -> tuple[int, int]:
        """First and last id; (0, -1) where none is given."""
        first, _, last = self.ids.partition("-")
        return (int(first), int(last)) if last else (0, -1)

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """The commands that checks run on this machine."""
        tables = [*self.guest.values(), *self.tag.values()]
        return tuple(one.check.command for one in tables if one.check.command)


class Policy(TomlTable):
    """The whole policy, with conservative defaults."""

    manage: dict[str, Manage] = Field(
        default_factory=dict, description="per kind: what happens to undeclared objects"
    )
    limits: Limits = Field(default=Limits(), description="how much one plan may change")
    protected: Protected = Field(default=Protected(), description="what no plan touches")
    lockout: Lockout = Field(default=Lockout(), description="who must keep which access")
    alarm: Alarm = Field(default=Alarm(), description="when `drift` reports that something expires")
    lint: Lint = Field(default=Lint(), description="which findings fail `drift`")
    apply: Apply = Field(default=Apply(), description="how recent reads must be")
    rollout: Rollout = Field(default=Rollout(), description="the order in which targets change")
    drill: Drill = Field(default=Drill(), description="how backups are restored to prove them")

    def managed(self, kind: str) -> Manage:
        """How `kind` is managed; `owned` by default."""
        return self.manage.get(kind, _USUAL)
