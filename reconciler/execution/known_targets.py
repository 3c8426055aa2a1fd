"""Remember the targets of secrets confirmed on this machine: $PVECTL_HOME/known-targets.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from reconciler.atomic_write import atomic_write
from reconciler.errors import JournalFailed
from reconciler.model.trust import Destination

FILE = "known-targets.json"

_read: dict[Path, tuple[tuple[int, int, int], tuple[Destination, ...]]] = {}
"""What a file held: its inode, size and time of the last change, and its targets. A command on many
clusters asks for each of them."""


def known(home: Path) -> tuple[Destination, ...]:
    """The confirmed targets, oldest first; raises JournalFailed for an invalid file."""
    path = home / FILE
    try:
        return _targets(path)
    except FileNotFoundError:
        return ()
    except OSError as error:
        why = error.strerror or ""
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError):
        why = "its content is not valid"
    raise JournalFailed(
        f"{path} cannot be read: {why}",
        hint="remove it, then confirm the target again: pvectl trust",
    )


def _targets(path: Path) -> tuple[Destination, ...]:
    """Raises OSError, and what an invalid file leads to."""
    found = path.stat()
    change = (found.st_ino, found.st_size, found.st_mtime_ns)
    before, targets = _read.get(path, (None, ()))
    if before != change:
        targets = tuple(Destination.from_json(row) for row in json.loads(path.read_bytes()))
        _read[path] = change, targets
    return targets


def remember(home: Path, destination: Destination) -> None:
    """Add a target; raises JournalFailed."""
    old = [one for one in known(home) if not destination.covers(one)]
    _write(home, [*old, destination])


def forget(home: Path, endpoints: Sequence[str]) -> tuple[Destination, ...]:
    """Remove and return what was confirmed for any of these endpoints; raises JournalFailed."""
    there = known(home)
    gone = tuple(one for one in there if set(one.endpoints) & set(endpoints))
    if gone:
        _write(home, [one for one in there if one not in gone])
    return gone


def _write(home: Path, destinations: Sequence[Destination]) -> None:
    text = json.dumps([one.to_json() for one in destinations], indent=1, sort_keys=True)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic_write(home / FILE, f"{text}\n".encode(), private=True, follow=False)
    except OSError as error:
        raise JournalFailed(
            f"{home / FILE} cannot be written: {error.strerror}",
            hint="nothing was sent; free some space, or set PVECTL_HOME to another folder",
        ) from None
