"""Exclude from management, in pvectl.toml, what others own: a directory, Terraform."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import UsageError
from reconciler.text.humanize import in_prose

_MANAGE = re.compile(r"^\s*\[manage\b", re.M)


class Exclusion(NamedTuple):
    """`owner`: who manages it instead, and `what`, both in words. `globs`: kind -> names."""

    owner: str
    what: str
    globs: Mapping[str, Sequence[str]]


def of_directories(realms: Sequence[str]) -> Exclusion:
    """Users and groups that a synchronisation copies from these realms."""
    return Exclusion(
        "the directory",
        f"users, groups and memberships of {in_prose(realms)}",
        {
            "user": [f"*@{realm}" for realm in realms],
            "group": [f"*-{realm}" for realm in realms],
        },
    )


def leaving_to_others(path: Path, exclusions: Sequence[Exclusion]) -> tuple[str, bytes | None]:
    """The settings in `path` with these exclusions; None where they already have a [manage] table.
    Beside it, what was done once it is written, or what to add.

    Raises UsageError when the file cannot be read.
    """
    table = _table(exclusions)
    try:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}", hint=f"correct it; it should contain\n{table}"
        ) from None
    if _MANAGE.search(old):
        return f"{path} has a [manage] table: make sure it contains\n{table}", None
    text = f"{old.rstrip()}\n\n{table}" if old.strip() else table
    told = "; ".join(f"{one.what} are left to {one.owner}" for one in exclusions)
    return f"wrote {path}: {told}", text.encode()


def _table(exclusions: Iterable[Exclusion]) -> str:
    lines = ["[manage]"]
    globs: dict[str, list[str]] = {}
    for one in exclusions:
        lines.append(f"# {one.what[:1].upper()}{one.what[1:]} are managed by {one.owner}.")
        for kind, names in one.globs.items():
            globs.setdefault(kind, []).extend(names)
    lines += [f"{kind} = {{ exclude = {json.dumps(names)} }}" for kind, names in globs.items()]
    return "\n".join(lines) + "\n"
