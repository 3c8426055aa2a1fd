"""storage.cfg: its types, how values are read and written, and what PVE adds when reading.

PVE source: `decode_value`, `encode_value`, `parse_config` of PVE::Storage::Plugin. Lists of content
and of nodes are sets; PVE writes and returns them in a different order each time.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.pve.formats import split_list
from reconciler.pve.parameter_check import check_format
from reconciler.pve.sections import SectionType
from reconciler.pve.storage_formats import canonical_path
from reconciler.pve.storage_options import STORAGE_OPTIONS, STORAGE_SECTIONS, STORAGE_TYPES
from reconciler.sandbox.config.sections import (
    Option,
    Options,
    Section,
    SectionFile,
    Sections,
    Values,
    check_config,
    parse,
)
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.failure import died

LOCAL_PATH = "/var/lib/vz"
_LOCAL_CONTENT = ("backup", "images", "iso", "rootdir", "snippets", "vztmpl")


def options_of(kind: SectionType) -> Options:
    """A row of an option table in the form of the section files."""
    return {
        name: Option(optional=name in kind.optional, fixed=name in kind.fixed)
        for name in kind.names
    }


def shuffled(names: Iterable[str]) -> str:
    """A comma-separated list in arbitrary order, as PVE's hashes produce it."""
    ordered = sorted(names)
    random.shuffle(ordered)
    return ",".join(ordered)


def content_text(content: Iterable[str]) -> str:
    return shuffled(content) or "none"


def _decode(kind: str, key: str, value: Any) -> Any:
    """None for a value that PVE silently skips."""
    storage = STORAGE_TYPES[kind]
    if key == "content":
        return _content(kind, str(value))
    if key == "nodes":
        return frozenset(split_list(str(value)))
    if key == "format":
        return value if value in storage.formats else None
    if key == "content-dirs":
        pairs = (part.partition("=") for part in split_list(str(value)))
        return {name: path for name, _, path in pairs if name in storage.content}
    return value


def _content(kind: str, value: str) -> frozenset[str]:
    """Content that the type cannot hold is silently dropped; if nothing is left, `none`."""
    valid = STORAGE_TYPES[kind].content
    content = frozenset(name for name in split_list(value) if name in valid)
    if "none" in content and len(content) > 1:
        raise died("unable to combine 'none' with other content types")
    if not content and "none" not in valid:
        raise died("storage does not support content type 'none'")
    return content


def _lost(kind: str, key: str, value: Any) -> str:
    """The parts of a value that `_decode` drops, quoted."""
    storage, parts = STORAGE_TYPES[kind], split_list(str(value))
    if key == "content":
        parts = [part for part in parts if part not in storage.content]
    elif key == "content-dirs":
        parts = [part for part in parts if part.partition("=")[0] not in storage.content]
    elif key == "format":
        parts = [part for part in parts if part not in storage.formats]
    else:
        return ""
    return ", ".join(f"'{part}'" for part in parts)


def _encode(_kind: str, key: str, value: Any) -> Any:
    if key == "content":
        return content_text(value)
    if key == "nodes":
        return shuffled(value)
    if key == "content-dirs":
        return ",".join(f"{name}={value[name]}" for name in sorted(value))
    return value


def _mount(kind: str, name: str, values: Values) -> None:
    """Where PVE mounts a storage whose section names no path."""
    if kind in STORAGE_TYPES and STORAGE_TYPES[kind].mounted and not values.get("path"):
        values["path"] = f"/mnt/pve/{name}"


def _folder(kind: str, values: Values) -> None:
    if not STORAGE_TYPES[kind].folder:
        return
    path = str(values.get("path", ""))
    if not re.fullmatch(r"/[-/a-zA-Z0-9_.@]+", path):
        raise died(f"illegal path for directory storage: {path}")
    values["path"] = canonical_path(path)


STORAGE_FILE = SectionFile(
    name="storage.cfg",
    properties=STORAGE_OPTIONS,
    types={name: options_of(kind) for name, kind in STORAGE_SECTIONS.items()},
    valid_id=lambda _kind, name: check_format("pve-storage-id", name) is None,
    decode=_decode,
    encode=_encode,
    prepare=_mount,
    finish=_folder,
    lost=_lost,
    secret=frozenset(name for kind in STORAGE_SECTIONS.values() for name in kind.sensitive),
)


def checked(kind: str, given: Mapping[str, Any], *, create: bool) -> Values:
    """The decoded values of a request; raises plain 500s."""
    values = check_config(STORAGE_FILE, kind, given, create=create)
    return {key: value for key, value in values.items() if value is not None}


def read_storages(raw: bytes) -> Sections:
    """The file with what PVE adds: `local`, default content, and `shared` for types that always
    are."""
    sections = parse(STORAGE_FILE, raw)
    local = sections.by_id.get("local")
    if (
        local is None
        or local.type != "dir"
        or (local.values.get("path") or LOCAL_PATH) != LOCAL_PATH
    ):
        sections.by_id["local"] = local = _default_local()
    local.values.pop("nodes", None)
    for section in sections.by_id.values():
        if section.type:
            _complete(section)
    return sections


def _default_local() -> Section:
    values = {
        "priority": 0,
        "path": LOCAL_PATH,
        "prune-backups": "keep-all=1",
        "content": frozenset(_LOCAL_CONTENT),
    }
    return Section("dir", values)


def _complete(section: Section) -> None:
    kind = STORAGE_TYPES[section.type]
    section.values = {key: value for key, value in section.values.items() if value is not None}
    section.values.setdefault("content", kind.default_content)
    if kind.shared:
        section.values["shared"] = 1


def storages(store: Store) -> dict[str, Section]:
    """The usable storages, shared between callers: read-only."""
    sections = store.parsed("storage.cfg", read_storages)
    return {name: section for name, section in sections.by_id.items() if section.type}


def available_on(section: Section, node: str) -> bool:
    """Enabled, and not restricted to other nodes."""
    nodes = section.values.get("nodes")
    return not section.values.get("disable") and (not nodes or node in nodes)
