"""Exclude directory accounts in pvectl.toml."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from reconciler.atomic_write import atomic_write
from reconciler.errors import UsageError
from reconciler.text.humanize import in_prose

_MANAGE = re.compile(r"^\s*\[manage\b", re.M)


def leave_to_directory(path: Path, realms: Sequence[str]) -> str:
    """Add an exclusion of the users and groups of these realms to the settings in `path`, unless
    they already have a [manage] table; returns what was done, or what to add.

    Raises UsageError when the file cannot be written.
    """
    table = _table(realms)
    try:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if _MANAGE.search(old):
            return f"{path} has a [manage] table: make sure it contains\n{table}"
        text = f"{old.rstrip()}\n\n{table}" if old.strip() else table
        atomic_write(path, text.encode())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be written: {error}", hint=f"add to it:\n{table}"
        ) from None
    return f"wrote {path}: users and groups of {in_prose(realms)} are left to the directory"


def _table(realms: Sequence[str]) -> str:
    users = json.dumps([f"*@{realm}" for realm in realms])
    groups = json.dumps([f"*-{realm}" for realm in realms])
    return (
        "[manage]\n"
        f"# Users, groups and memberships of {in_prose(realms)} are managed by the directory.\n"
        f"user = {{ exclude = {users} }}\n"
        f"group = {{ exclude = {groups} }}\n"
    )
