"""Archives that are only listed: `archives.json` in the folder, as `pvectl snapshot` writes it.

    {"timezone": "Europe/Berlin",
     "unread": {"backup": "why its archives are not known"},
     "archives": [{"storage": "local", "node": "pve1", "volume": "local:backup/vzdump-...",
                   "ctime": 1790000000, "size": 1024, "protected": true, "verified": "ok"}]}

`node` only if the storage is local to each node. An archive without `size` counts for pruning only,
and a content list does not show it. Pruning and deletion remove archives from the list; they cannot
be restored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reconciler.atomic_write import atomic_write
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.failure import died

if TYPE_CHECKING:
    from reconciler.sandbox.context import Context

FILE = "archives.json"

_SNAPSHOT = re.compile(r"(ct|vm)/([1-9][0-9]{2,8})/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
_NAME = re.compile(r"[^/\0.][^/\0]*")
_TYPES = {"ct": ("lxc", "tar"), "vm": ("qemu", "vma")}


@dataclass(frozen=True, slots=True)
class Listed:
    """One row; `size` in bytes, None if unknown; `file`: of the list."""

    file: Path
    volume: str
    ctime: int
    node: str = ""
    size: int | None = None
    protected: bool = False
    verified: str = ""

    @property
    def file_name(self) -> str:
        """The name of the archive's file; on a backup server, composed of its parts."""
        name = self.volume.partition(":backup/")[2]
        found = _SNAPSHOT.fullmatch(name)
        if found is None:
            return name
        kind, extension = _TYPES[found[1]]
        made = found[3].replace("-", "_").replace("T", "-").replace(":", "_").removesuffix("Z")
        return f"vzdump-{kind}-{found[2]}-{made}.{extension}"


def listed(ctx: Context, storage: str) -> list[Listed]:
    """The archives of a storage as the node at work sees it."""
    data = _data(ctx.store)
    file = ctx.store.folder / FILE
    rows = [row for row in data.get("archives", ()) if row["storage"] == storage]
    found = (
        Listed(file, **{key: value for key, value in row.items() if key != "storage"})
        for row in rows
        if row.get("node", "") in ("", ctx.node)
    )
    return [one for one in found if _NAME.fullmatch(one.file_name)]


def refuse_unlisted(store: Store, storage: str) -> None:
    """Whether the archives of a storage are known; raises if the list says that they are not."""
    why = _data(store).get("unread", {}).get(storage)
    if why is not None:
        raise died(f"the archives of storage '{storage}' are not in the snapshot: {why}")


def zone_of(store: Store) -> tzinfo:
    """The time zone of the nodes, in which pruning counts days."""
    try:
        return ZoneInfo(_data(store).get("timezone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError, TypeError):
        return UTC


def strike(row: Listed) -> None:
    """Remove an archive from the list, as if it were deleted."""
    data = _parse(row.file.read_bytes())
    kept = [
        one
        for one in data["archives"]
        if (one["volume"], one.get("node", "")) != (row.volume, row.node)
    ]
    atomic_write(row.file, written({**data, "archives": kept}))


def written(data: Mapping[str, Any]) -> bytes:
    """The list as a file: a line per archive, so that snapshots can be compared."""
    head = {key: value for key, value in data.items() if key != "archives"}
    rows = ",\n".join(f"  {json.dumps(row)}" for row in data["archives"])
    text = json.dumps({**head, "archives": []})
    return (text.removesuffix("[]}") + (f"[\n{rows}\n]" if rows else "[]") + "}\n").encode()


def _data(store: Store) -> Mapping[str, Any]:
    return store.parsed(FILE, _parse)


def _parse(data: bytes) -> dict[str, Any]:
    """Raises the error that Proxmox VE would answer with if it were one of its own files."""
    if not data:
        return {}
    try:
        found = json.loads(data)
        rows = found["archives"]
        for row in rows:
            Listed(Path(), **{key: value for key, value in row.items() if key != "storage"})
            row["volume"].partition(":")
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        raise died(f"{FILE} is not understood: {error}") from error
    return {"archives": rows, **found}
