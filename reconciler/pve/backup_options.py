"""The options of backup jobs and of vzdump itself (PVE::VZDump::Common, PVE::Jobs::VZDump).

`since`: from the git history of pve-guest-common, at the version that each release shipped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.pve.schema import Param, ParameterTable
from reconciler.pve.sections import (
    BOOLEAN,
    STRING,
    SectionType,
    choice,
    formatted,
    integer,
    section_type,
    since,
    string,
)

VZDUMP_OPTIONS: ParameterTable = {
    "all": BOOLEAN,
    "bwlimit": integer(0),
    "compress": choice("0", "1", "gzip", "lzo", "zstd"),
    "dumpdir": STRING,
    "exclude": formatted("pve-vmid-list"),
    "exclude-path": Param(type="array", optional=True),
    "fleecing": since("8.2", formatted("backup-fleecing")),
    "ionice": integer(0, 8),
    "lockwait": integer(0),
    "mailnotification": choice("always", "failure"),
    "mailto": formatted("email-or-username-list"),
    "mode": choice("snapshot", "suspend", "stop"),
    "node": formatted("pve-node"),
    "notes-template": Param(max_length=1024, requires="storage", optional=True),
    "notification-mode": since("8.1", choice("auto", "legacy-sendmail", "notification-system")),
    "pbs-change-detection-mode": since("8.3", choice("legacy", "data", "metadata")),
    "performance": formatted("backup-performance"),
    "pigz": integer(),
    "pool": STRING,
    "protected": Param(type="boolean", requires="storage", optional=True),
    "prune-backups": formatted("prune-backups"),
    "quiet": BOOLEAN,
    "remove": BOOLEAN,
    "script": STRING,
    "stdexcludes": BOOLEAN,
    "stop": BOOLEAN,
    "stopwait": integer(0),
    "storage": formatted("pve-storage-id"),
    "tmpdir": STRING,
    "vmid": formatted("pve-vmid-list"),
    "zstd": integer(),
}
"""Options that a job and a single run of vzdump share."""

VZDUMP_DEFAULTS: Mapping[str, str | int] = {
    "all": 0,
    "bwlimit": 0,
    "compress": "0",
    "ionice": 7,
    "lockwait": 180,
    "mailnotification": "always",
    "mode": "snapshot",
    "notification-mode": "auto",
    "pigz": 0,
    "prune-backups": "keep-all=1",
    "quiet": 0,
    "remove": 1,
    "stdexcludes": 1,
    "stop": 0,
    "stopwait": 10,
    "zstd": 1,
}
"""vzdump's defaults where neither the job nor vzdump.conf sets an option; the storage is `local`.
"""

JOB_OPTIONS: ParameterTable = {
    **VZDUMP_OPTIONS,
    "comment": string(512),
    "enabled": BOOLEAN,
    "repeat-missed": BOOLEAN,
    "schedule": formatted("pve-calendar-event", max_length=128),
}
"""Every option that jobs.cfg holds for a backup job."""

BACKUP_SECTION: SectionType = section_type(
    "vzdump",
    "schedule! " + " ".join(name for name in sorted(JOB_OPTIONS) if name != "schedule"),
    JOB_OPTIONS,
)

DELETABLE: frozenset[str] = frozenset(VZDUMP_OPTIONS) | {"comment", "repeat-missed"}
"""Options that `delete=` of a job may name."""

ROOT_ONLY: frozenset[str] = frozenset({"dumpdir", "script", "tmpdir", "job-id"})
"""Options that only root@pam itself may set, not even its tokens."""

NEEDS_SYS_MODIFY: frozenset[str] = frozenset({"bwlimit", "ionice", "performance"})
"""Options that need Sys.Modify on `/`."""

SELECTION: tuple[str, ...] = ("all", "exclude", "pool", "vmid")
"""The options that select a job's guests: PVE keeps one of them and drops the others."""

NOTES_VARIABLES: tuple[str, ...] = ("cluster", "guestname", "node", "vmid")
"""Variables of a notes template, written in double braces."""


def notes_complaint(template: str) -> str | None:
    r"""PVE's complaint about a notes template, or None: it knows `\n`, `\\` and four variables.

    PVE source: `verify_notes_template` of PVE::VZDump.
    """
    if "\n" in template:
        return "contains a line feed"
    wrong = [
        f"escape sequence '\\{found[1]}' at char {found.end() - 2}"
        for found in re.finditer(r"\\(.)", template)
        if found[1] not in "n\\"
    ]
    wrong += [
        f"variable '{found[1]}' at char {found.end() - len(found[1])}"
        for found in re.finditer(r"\{\{([^\s{}]+)\}\}", template)
        if found[1] not in NOTES_VARIABLES
    ]
    return f"found unknown: {', '.join(wrong)}" if wrong else None
