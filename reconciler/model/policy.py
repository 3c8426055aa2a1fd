"""What `pvectl.toml` allows: what is managed, how much may change, what must stay."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from reconciler.model.address import Address


class Mode(StrEnum):
    """What happens to live objects of a kind that are not declared."""

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
    """What happens to a key that a declared object does not give."""

    KEEP = "keep"
    """it stays as it is in the cluster"""
    CLEAR = "clear"
    """it gets its default: the file is the whole object"""


class TomlTable(BaseModel):
    """A table of a TOML file: unknown keys are errors.

    `instead`: keys that people try, and what to do instead.
    """

    instead: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Manage(TomlTable):
    """How one kind is managed; `include` and `exclude` are globs over ids."""

    mode: Mode = Field(default=Mode.OWNED, strict=False)
    include: tuple[str, ...] = Field(default=("*",), strict=False)
    exclude: tuple[str, ...] = Field(default=(), strict=False)
    unspecified: Unspecified = Field(default=Unspecified.KEEP, strict=False)

    def covers(self, address: Address) -> bool:
        """Whether the id of `address` is inside the managed scope."""
        included = any(address.matches(f"{address.kind}.{glob}") for glob in self.include)
        return included and not self.excludes(address)

    def excludes(self, address: Address) -> bool:
        """Whether `exclude` names it: somebody decided to leave it alone."""
        return any(address.matches(f"{address.kind}.{glob}") for glob in self.exclude)


class Limit(TomlTable):
    """At most `count` objects, and at most `percent` of those that are there."""

    count: int | None = Field(default=None, ge=0)
    percent: int | None = Field(default=None, ge=0, le=100)


class Limits(TomlTable):
    """How much one plan may change. Deletes are limited per kind; `total` counts every change;
    `archives` the backups kept today that its retention would remove."""

    delete: Limit = Limit()
    total: int | None = Field(default=None, ge=0)
    archives: int = Field(default=0, ge=0)

    @field_validator("delete", mode="before")
    @classmethod
    def _plain_number(cls, value: object) -> object:
        return {"count": value} if isinstance(value, int) else value


class Protected(TomlTable):
    """Globs over addresses."""

    never_delete: tuple[str, ...] = Field(default=("user.root@pam",), strict=False)
    never_change: tuple[str, ...] = Field(default=(), strict=False)


class Lockout(TomlTable):
    """Who must keep which access after every step of a plan and of its rollback.

    `keep_self`: `"PRIVILEGE on PATH"` for the acting token. `break_glass`: principals that must
    stay enabled and keep all that they have. `administrators`: how many enabled principals must
    at least hold every privilege on `/`.
    """

    keep_self: tuple[str, ...] = Field(
        default=("Permissions.Modify on /access", "Sys.Modify on /access"), strict=False
    )
    break_glass: tuple[str, ...] = Field(default=("root@pam",), strict=False)
    administrators: int = Field(default=1, ge=0)


class Alarm(TomlTable):
    """How many days before its end `drift` reports what is declared, with exit status 2.

    What has expired is reported until it is extended or removed.
    """

    logins: int = Field(default=14, ge=0)
    tokens: int = Field(default=14, ge=0)
    waivers: int = Field(default=14, ge=0)


MAX_STALENESS = 2.0
"""Seconds: what a request of `apply` touches has been read within them before it is sent."""


class Apply(TomlTable):
    """`max_staleness`: seconds; what a step touches has been read within them before it is sent."""

    max_staleness: float = Field(default=MAX_STALENESS, gt=0, le=10)


class Lint(TomlTable):
    """`fail`: codes of findings with which `drift` ends with exit status 4."""

    fail: tuple[str, ...] = Field(default=(), strict=False)


class Policy(TomlTable):
    """All of it, with careful defaults."""

    manage: dict[str, Manage] = Field(default_factory=dict)
    limits: Limits = Limits()
    protected: Protected = Protected()
    lockout: Lockout = Lockout()
    alarm: Alarm = Alarm()
    lint: Lint = Lint()
    apply: Apply = Apply()

    def managed(self, kind: str) -> Manage:
        """How `kind` is managed; `owned` where nothing is said."""
        return self.manage.get(kind, Manage())
