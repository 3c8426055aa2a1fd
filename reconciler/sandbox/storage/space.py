"""The size of a storage: invented, unless `FOLDER.run/storage/ID/free` sets the free bytes."""

from __future__ import annotations

from reconciler.sandbox.config.sections import Section
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.failure import died

_DIRECTORY_SPACE = (26142654464, 270553174016)
_BLOCK_SPACE = (13421772800, 107374182400)


def space(store: Store, name: str, section: Section) -> tuple[int, int]:
    """Bytes used and total."""
    used, size = _DIRECTORY_SPACE if "path" in section.values else _BLOCK_SPACE
    free = _free(store, name)
    return (used, size) if free is None else (max(0, size - free), max(size, free))


def check_space(store: Store, name: str, needed: int, failure: str) -> None:
    """Raises `failure` if this many bytes do not fit."""
    free = _free(store, name)
    if free is not None and needed > free:
        raise died(failure)


def _free(store: Store, name: str) -> int | None:
    try:
        text = (store.run_folder / "storage" / name / "free").read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isdigit() else None
