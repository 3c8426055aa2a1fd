"""The options of backup jobs and of vzdump itself (PVE::VZDump::Common, PVE::Jobs::VZDump)."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.options import (
    STRING,
    Option,
    SectionType,
    choice,
    flag,
    formatted,
    section_type,
    text,
    whole,
)

VZDUMP_OPTIONS: Mapping[str, Option] = {
    "all": flag(default=False),
    "bwlimit": whole(0, default=0),
    "compress": choice("0", "1", "gzip", "lzo", "zstd", default="0"),
    "dumpdir": STRING,
    "exclude": formatted("pve-vmid-list"),
    "exclude-path": Option("array"),
    "fleecing": formatted("backup-fleecing"),
    "ionice": whole(0, 8, default=7),
    "lockwait": whole(0, default=180),
    "mailnotification": choice("always", "failure", default="always"),
    "mailto": formatted("email-or-username-list"),
    "mode": choice("snapshot", "suspend", "stop", default="snapshot"),
    "node": formatted("pve-node"),
    "notes-template": Option(max_length=1024, requires="storage"),
    "notification-mode": choice("auto", "legacy-sendmail", "notification-system", default="auto"),
    "pbs-change-detection-mode": choice("legacy", "data", "metadata"),
    "performance": formatted("backup-performance"),
    "pigz": whole(default=0),
    "pool": STRING,
    "protected": Option("boolean", requires="storage"),
    "prune-backups": formatted("prune-backups", default="keep-all=1"),
    "quiet": flag(default=False),
    "remove": flag(default=True),
    "script": STRING,
    "stdexcludes": flag(default=True),
    "stop": flag(default=False),
    "stopwait": whole(0, default=10),
    "storage": formatted("pve-storage-id"),
    "tmpdir": STRING,
    "vmid": formatted("pve-vmid-list"),
    "zstd": whole(default=1),
}
"""What a job and a single run of vzdump have in common."""

JOB_OPTIONS: Mapping[str, Option] = {
    **VZDUMP_OPTIONS,
    "comment": text(512),
    "enabled": flag(default=True),
    "repeat-missed": flag(default=False),
    "schedule": formatted("pve-calendar-event", max_length=128),
}
"""Every option that jobs.cfg holds for a backup job."""

BACKUP_SECTION: SectionType = section_type(
    "vzdump", "schedule! " + " ".join(name for name in sorted(JOB_OPTIONS) if name != "schedule")
)

DELETABLE: frozenset[str] = frozenset(VZDUMP_OPTIONS) | {"comment", "repeat-missed"}
"""What `delete=` of a job may name."""

ROOT_ONLY: frozenset[str] = frozenset({"dumpdir", "script", "tmpdir", "job-id"})
"""Options that only root@pam himself may set, not even his tokens."""

NEEDS_SYS_MODIFY: frozenset[str] = frozenset({"bwlimit", "ionice", "performance"})
"""Options that need Sys.Modify on `/`."""

SELECTION: tuple[str, ...] = ("all", "exclude", "pool", "vmid")
"""Which guests a job is for: one value in several options, since PVE drops the others."""

NOTES_VARIABLES: tuple[str, ...] = ("cluster", "guestname", "node", "vmid")
"""What a notes template may name in double braces."""
