"""Temporary grants, and how a run changes one of them in grants.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reconciler.model.address import Address

LAST = 253_402_300_799
"""The last second of the year 9999."""


class Grant(NamedTuple):
    """Who gets which role on which path, until when (Unix seconds), and why."""

    who: str
    role: str
    path: str
    expires: int
    reason: str

    def __str__(self) -> str:
        return f"{self.role} on {self.path} for {self.who}"

    def is_same(self, other: Grant) -> bool:
        """Whether both are the same entry, regardless of expiry."""
        return self[:3] == other[:3]

    def concerns(self, address: Address) -> bool:
        """Whether an object is an entry of this grant: its own, or that of the token's user."""
        own = {f"{self.path}|{self.key}:{self.who.removeprefix('group:')}|{self.role}"}
        if self.key == "token":
            own.add(f"{self.path}|user:{self.who.partition('!')[0]}|{self.role}")
        return address.kind == "acl" and address.id in own

    @property
    def key(self) -> str:
        """`group`, `token` or `user`."""
        if self.who.startswith("group:"):
            return "group"
        return "token" if "!" in self.who else "user"


class GrantChange(NamedTuple):
    """One grant of the file `path`: as it was before a run, as the file has it while the run is
    under way, and as it is when the run is complete; None where it is not there.

    `existed`: whether there was a file; `empty`: nothing was in it.
    """

    path: str
    before: Grant | None
    during: Grant
    after: Grant | None
    existed: bool
    empty: bool

    @property
    def is_early_end(self) -> bool:
        """Whether it ends a grant before its expiry."""
        if self.before is None or self.after is not None:
            return False
        return self.during.expires < self.before.expires

    def to_json(self) -> dict[str, Any]:
        """As the journal of the run has it."""
        return {
            "path": self.path,
            "before": self.before and list(self.before),
            "during": list(self.during),
            "after": self.after and list(self.after),
            "existed": self.existed,
            "empty": self.empty,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GrantChange:
        """The reverse of `to_json`; raises ValueError, KeyError, TypeError."""
        path, during = data["path"], _grant(data["during"])
        if not isinstance(path, str) or during is None:
            raise ValueError("not a change of a grant")
        before, after = _grant(data["before"]), _grant(data["after"])
        return cls(path, before, during, after, bool(data["existed"]), bool(data["empty"]))


def _grant(data: Any) -> Grant | None:
    if data is None:
        return None
    who, role, path, expires, reason = data
    if not all(isinstance(text, str) for text in (who, role, path, reason)):
        raise ValueError("not a grant")
    if not 0 <= int(expires) <= LAST:
        raise ValueError("not a date")
    return Grant(who, role, path, int(expires), reason)
