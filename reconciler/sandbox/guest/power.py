"""The state of guests beside their files: `FOLDER.run/guests/ID.started` and `ID.created`.

Each contains the time in seconds. PVE's lists do not show a new guest until pvestatd has polled it,
which happens every ten seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.sandbox.config.store import Store

_FIRST_LOOK = 10


@dataclass(frozen=True, slots=True)
class Known:
    """id -> Unix seconds: when a guest was started, and from when on its figures are known."""

    started: dict[int, int]
    reported: dict[int, int]


def known_guests(store: Store) -> Known:
    found = Known({}, {})
    for path in _folder(store).glob("*.*ed"):
        text = path.read_text("utf-8").strip()
        seconds = int(text) if text.isdigit() else 0
        if path.suffix == ".started":
            found.started[int(path.stem)] = seconds
        elif path.suffix == ".created":
            found.reported[int(path.stem)] = seconds + _FIRST_LOOK
    return found


def set_created(store: Store, vmid: int, now: int) -> None:
    _write(_file(store, vmid, "created"), now)


def forget(store: Store, vmid: int) -> None:
    """Forget a guest that is destroyed."""
    for kind in ("started", "created"):
        _file(store, vmid, kind).unlink(missing_ok=True)


def is_running(store: Store, vmid: int | str) -> bool:
    return _file(store, vmid).exists()


def set_running(store: Store, vmid: int | str, since: int) -> None:
    _write(_file(store, vmid), since)


def set_stopped(store: Store, vmid: int | str) -> None:
    _file(store, vmid).unlink(missing_ok=True)


def _write(path: Path, seconds: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{seconds}\n", "utf-8")


def _file(store: Store, vmid: int | str, kind: str = "started") -> Path:
    return _folder(store) / f"{vmid}.{kind}"


def _folder(store: Store) -> Path:
    return store.run_folder / "guests"
