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
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Manage(TomlTable):
    """How one kind is managed; `include` and `exclude` are globs over ids."""

    mode: Mode = Field(
        default=Mode.OWNED,
        strict=False,
        description="what happens to objects that no file declares",
    )
    include: tuple[str, ...] = Field(
        default=("*",), strict=False, description="globs over the names that are managed"
    )
    exclude: tuple[str, ...] = Field(
        default=(), strict=False, description="globs over the names that are left alone"
    )
    unspecified: Unspecified = Field(
        default=Unspecified.KEEP,
        strict=False,
        description="what happens to keys that are not given",
    )

    def covers(self, address: Address) -> bool:
        """Whether the id of `address` is inside the managed scope."""
        included = any(address.matches(f"{address.kind}.{glob}") for glob in self.include)
        return included and not self.excludes(address)

    def excludes(self, address: Address) -> bool:
        """Whether `exclude` names it: somebody decided to leave it alone."""
        return any(address.matches(f"{address.kind}.{glob}") for glob in self.exclude)


class Limit(TomlTable):
    """At most `count` objects, and at most `percent` of those that are there."""

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
        description="globs over addresses that no plan deletes",
    )
    never_change: tuple[str, ...] = Field(
        default=(), strict=False, description="globs over addresses that no plan changes"
    )


class Lockout(TomlTable):
    """Who must keep which access after every step of a plan and of its rollback.

    `keep_self`: `"PRIVILEGE on PATH"` for the acting token. `break_glass`: principals that must
    stay enabled and keep all that they have. `administrators`: how many enabled principals must
    at least hold every privilege on `/`.
    """

    keep_self: tuple[str, ...] = Field(
        default=("Permissions.Modify on /access", "Sys.Modify on /access"),
        strict=False,
        description="PRIVILEGE on PATH that the acting token keeps",
    )
    break_glass: tuple[str, ...] = Field(
        default=("root@pam",),
        strict=False,
        description="principals that stay enabled and keep all that they have",
    )
    administrators: int = Field(
        default=1, ge=0, description="enabled principals with every privilege on /, at least"
    )


class Alarm(TomlTable):
    """How many days before its end `drift` reports what is declared, with exit status 2.

    What has expired is reported until it is extended or removed.
    """

    logins: int = Field(default=14, ge=0, description="days before a user expires")
    tokens: int = Field(default=14, ge=0, description="days before a token expires")
    waivers: int = Field(default=14, ge=0, description="days before a [[waive]] expires")


class Lint(TomlTable):
    """`fail`: codes of findings with which `drift` ends with exit status 4."""

    fail: tuple[str, ...] = Field(
        default=(), strict=False, description="codes with which `drift` ends with exit status 4"
    )


class Policy(TomlTable):
    """All of it, with careful defaults."""

    manage: dict[str, Manage] = Field(
        default_factory=dict, description="per kind: what happens to what no file declares"
    )
    limits: Limits = Field(default=Limits(), description="how much one plan may change")
    protected: Protected = Field(default=Protected(), description="what no plan touches")
    lockout: Lockout = Field(default=Lockout(), description="who keeps which access")
    alarm: Alarm = Field(default=Alarm(), description="when `drift` tells that something ends")
    lint: Lint = Field(default=Lint(), description="which findings fail `drift`")

    def managed(self, kind: str) -> Manage:
        """How `kind` is managed; `owned` where nothing is said."""
        return self.manage.get(kind, Manage())
