"""Read and edit grants.toml: temporary grants, one [[acl]] table each, written by `pvectl grant`.

It is a state file like any other: `plan` and `drift` show a grant that has expired, and `apply`
deletes it.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from typing import NamedTuple

from reconciler.errors import UsageError
from reconciler.model.address import Address

FILE = "grants.toml"

_HEAD = "# Temporary grants, written by `pvectl grant`; `pvectl revoke` ends one early.\n"
_UNITS = {"m": 60, "h": 3600, "d": 86400}
LONGEST = 90 * 86400
"""In seconds; a longer grant is not temporary."""


class Grant(NamedTuple):
    """Who gets which role on which path, until when (Unix seconds), and why."""

    who: str
    role: str
    path: str
    expires: int
    reason: str

    def is_same(self, other: Grant) -> bool:
        """Whether both are the same entry, regardless of expiry."""
        return self[:3] == other[:3]

    def concerns(self, address: Address) -> bool:
        """Whether an object is an entry of this grant: its own, or that of the token's user."""
        own = {f"{self.path}|{self._key}:{self.who.removeprefix('group:')}|{self.role}"}
        if self._key == "token":
            own.add(f"{self.path}|user:{self.who.partition('!')[0]}|{self.role}")
        return address.kind == "acl" and address.id in own

    @property
    def _key(self) -> str:
        if self.who.startswith("group:"):
            return "group"
        return "token" if "!" in self.who else "user"

    def table(self) -> str:
        """The grant as a table of a state file."""
        until = dt.datetime.fromtimestamp(self.expires, dt.UTC)
        principal = _quoted(self.who.removeprefix("group:"))
        return (
            "[[acl]]\n"
            f"{self._key}s = [{principal}]\n"
            f"roles = [{_quoted(self.role)}]\n"
            f"paths = [{_quoted(self.path)}]\n"
            f"expires = {until:%Y-%m-%dT%H:%M:%SZ}\n"
            f"reason = {_quoted(self.reason)}\n"
        )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def seconds(text: str) -> int:
    """`30m`, `4h`, `2d` -> seconds; raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", text)
    length = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < length <= LONGEST:
        raise UsageError(
            f"'{text}' is not a valid duration for a temporary grant",
            hint="30m, 4h or 2d, at most 90d; declare a permanent grant as [[acl]] in a state file",
        )
    return length


def with_grant(text: str, grant: Grant) -> str:
    """The file with this grant, in place of an earlier one of the same entry."""
    before = without(text, grant).rstrip("\n") or _HEAD.rstrip("\n")
    return f"{before}\n\n{grant.table()}"


def without(text: str, grant: Grant) -> str:
    """The file without the grant of this entry; everything else is unchanged."""
    parts = _parts(text)
    return "".join(part for part in parts if not any(grant.is_same(one) for one in _read(part)))


def grants(text: str) -> list[Grant]:
    """Every grant in the file, in the form that `pvectl grant` writes; other tables are ignored."""
    return [one for part in _parts(text) for one in _read(part)]


def _parts(text: str) -> list[str]:
    """The file in pieces, each but the first beginning with a table."""
    return re.split(r"(?m)^(?=\[\[acl\]\])", text)


def _read(part: str) -> list[Grant]:
    try:
        tables = tomllib.loads(part).get("acl", [])
        (table,) = tables if len(tables) == 1 else ({},)
        (key,) = table.keys() & {"users", "groups", "tokens"}
        ((who,), (role,), (path,)) = (table[key], table["roles"], table["paths"])
        until = int(table["expires"].timestamp())
        prefix = "group:" if key == "groups" else ""
        return [Grant(f"{prefix}{who}", role, path, until, str(table.get("reason", "")))]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
