"""Read and edit grants.toml: temporary grants, one [[acl]] table each, written by `pvectl grant`.

It is a state file like any other: `plan` and `drift` show a grant that has expired, and `apply`
deletes it.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib

from reconciler.errors import UsageError
from reconciler.model.grant import LAST, Grant, GrantChange

FILE = "grants.toml"

_LINE = "\n"
_HEAD = "# Temporary grants, written by pvectl. To end one early: pvectl revoke WHO ROLE PATH\n"
_UNITS = {"m": 60, "h": 3600, "d": 86400}
LONGEST = 90 * 86400
"""In seconds; a longer grant is not temporary."""


def table(grant: Grant) -> str:
    """The grant as a table of a state file."""
    until = dt.datetime.fromtimestamp(grant.expires, dt.UTC)
    principal = _quoted(grant.who.removeprefix("group:"))
    return (
        "[[acl]]\n"
        f"{grant.key}s = [{principal}]\n"
        f"roles = [{_quoted(grant.role)}]\n"
        f"paths = [{_quoted(grant.path)}]\n"
        f"expires = {until:%Y-%m-%dT%H:%M:%SZ}\n"
        f"reason = {_quoted(grant.reason)}\n"
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
    """The file with this grant, in the place of an earlier one of the same entry."""
    parts = _parts(text)
    for number, part in enumerate(parts):
        if any(grant.is_same(one) for one in _read(part)):
            parts[number] = table(grant) + _rest(part)
            return without("".join(parts), grant, but=number)
    before = text or _HEAD
    return f"{before}{'' if before.endswith(_LINE) else _LINE}{_LINE}{table(grant)}"


def without(text: str, grant: Grant, *, but: int = -1) -> str:
    """The file without the grant of this entry, or with its table number `but` alone; everything
    else is unchanged."""
    parts = _parts(text)
    for number, part in enumerate(parts):
        if number == but or not any(grant.is_same(one) for one in _read(part)):
            continue
        parts[number] = _rest(part).lstrip("\r\n")
        if not any(parts[number:]) and parts[number - 1].endswith(_LINE * 2):
            parts[number - 1] = parts[number - 1].removesuffix(_LINE)
    return "".join(parts)


def started(text: str, change: GrantChange) -> str:
    """The file while the run is under way."""
    return with_grant(text, change.during)


def finished(text: str, change: GrantChange) -> str:
    """The file after the run."""
    return _with(text, change, change.after)


def undone(text: str, change: GrantChange) -> str:
    """The file as it was before the run; empty where it was and nothing else is in it."""
    found = _with(text, change, change.before)
    return "" if change.empty and found.strip() == _HEAD.strip() else found


def _with(text: str, change: GrantChange, grant: Grant | None) -> str:
    return with_grant(text, grant) if grant else without(text, change.during)


def grants(text: str) -> list[Grant]:
    """Every grant in the file, in the form that `pvectl grant` writes; other tables are ignored."""
    return [one for part in _parts(text) for one in _read(part)]


def _parts(text: str) -> list[str]:
    """The file in pieces, each but the first beginning with a table."""
    return re.split(r"(?m)^(?=\[)", text)


def _rest(part: str) -> str:
    """What follows the last key of a table: blank lines, and comments on the next one."""
    lines = part.splitlines(keepends=True)
    number = len(lines)
    while number and (not lines[number - 1].strip() or lines[number - 1].startswith("#")):
        number -= 1
    return "".join(lines[number:])


def _read(part: str) -> list[Grant]:
    try:
        tables = tomllib.loads(part).get("acl", [])
        (found,) = tables if len(tables) == 1 else ({},)
        (key,) = found.keys() & {"users", "groups", "tokens"}
        ((who,), (role,), (path,)) = (found[key], found["roles"], found["paths"])
        until = int(found["expires"].timestamp())
        if not 0 <= until <= LAST:
            return []
        prefix = "group:" if key == "groups" else ""
        return [Grant(f"{prefix}{who}", role, path, until, str(found.get("reason", "")))]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
