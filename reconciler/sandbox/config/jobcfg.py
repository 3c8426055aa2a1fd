"""jobs.cfg: backup jobs and realm-sync jobs (PVE::Job::Registry, PVE::VZDump::JobBase)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.backup_options import BACKUP_SECTION, JOB_OPTIONS
from reconciler.pve.parameter_check import parse_properties
from reconciler.pve.property_strings import PROPERTY_STRINGS, render_properties
from reconciler.pve.realm_options import REALM_SYNC_OPTIONS, REALM_SYNC_SECTION
from reconciler.sandbox.config.perltext import decode_text, encode_text
from reconciler.sandbox.config.sections import SectionFile, Sections, parse, render
from reconciler.sandbox.config.storagecfg import options_of
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.failure import ApiError

BACKUP, REALM_SYNC = "vzdump", "realm-sync"

PROPERTIES = {
    "fleecing": "backup-fleecing",
    "performance": "backup-performance",
    "prune-backups": "prune-backups",
}
"""Options of a backup job that are property strings, and their formats."""


def properties(key: str, text: str) -> dict[str, Any]:
    """A property string as PVE returns it: booleans as numbers, everything else as text. Retention
    that keeps nothing becomes `keep-all`.
    """
    name = PROPERTIES[key]
    found = parse_properties(name, text)
    if found.complaint is not None:
        raise ApiError(found.complaint)
    table = PROPERTY_STRINGS[name]
    values: dict[str, Any] = {
        part: int(value) if table[part].type == "boolean" else value
        for part, value in found.values.items()
    }
    counts = [value for part, value in values.items() if part != "keep-all"]
    if key == "prune-backups" and not any(map(int, counts)):
        return {"keep-all": 1}
    return values


def parse_all_properties(values: dict[str, Any]) -> None:
    """Replace the property strings of a backup job's values by their parsed values."""
    for key in PROPERTIES:
        if isinstance(values.get(key), str):
            values[key] = properties(key, values[key])


def _decode(kind: str, key: str, value: Any) -> Any:
    if kind == BACKUP and key in PROPERTIES and isinstance(value, str):
        return properties(key, value)
    return value


def _encode(kind: str, key: str, value: Any) -> Any:
    if kind == BACKUP and isinstance(value, dict):
        texts = {part: str(content) for part, content in value.items()}
        return render_properties(PROPERTIES[key], texts)
    return value


JOB_FILE = SectionFile(
    name="jobs.cfg",
    properties={**JOB_OPTIONS, **REALM_SYNC_OPTIONS},
    types={BACKUP: options_of(BACKUP_SECTION), REALM_SYNC: options_of(REALM_SYNC_SECTION)},
    decode=_decode,
    encode=_encode,
)


def read_jobs(raw: bytes) -> Sections:
    """The file; jobs are enabled by default."""
    sections = parse(JOB_FILE, raw)
    for section in sections.by_id.values():
        section.values.setdefault("enabled", 1)
        if "comment" in section.values:
            section.values["comment"] = decode_text(section.values["comment"])
    return sections


def write_jobs(store: Store, sections: Sections) -> None:
    """The sections must not be used afterwards: comments are encoded in place."""
    for section in sections.by_id.values():
        if section.values.get("comment") is not None:
            section.values["comment"] = encode_text(section.values["comment"])
    store.write("jobs.cfg", render(JOB_FILE, sections))


def jobs(store: Store, kind: str) -> dict[str, dict[str, Any]]:
    """id -> values of the jobs of one type, shared between callers: read-only."""
    sections = store.parsed("jobs.cfg", read_jobs)
    return {name: job.values for name, job in sections.by_id.items() if job.type == kind}
