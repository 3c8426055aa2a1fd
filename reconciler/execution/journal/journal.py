"""Record each request on disk before it is sent, and its outcome afterwards.

One JSON object per line; each holds the hash of the line before, so that a changed, missing or
reordered line is detected. A torn last line is what a crash leaves: it is dropped. No secret is
ever written: requests hold references, and answers are not recorded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Self

from reconciler.bounded_read import read_bounded
from reconciler.errors import JournalBroken, JournalFailed
from reconciler.execution.private_folder import make
from reconciler.model.run import Event
from reconciler.model.run_state import RunState
from reconciler.model.spec import canonical

START = "0" * 64
RESERVE = 64 * 1024
"""Bytes kept free beside a journal at least: released when the disk is full, so that a rollback can
still be recorded."""

UNHURRIED = frozenset({"done", "skipped"})
"""Events that reach the disk together with the next one, before any other request: without them a
run goes on from the announcement, by looking."""


class Journal:
    """The append-only file of one run, and the state it amounts to. Use `Journal.create` or
    `Journal.open`.
    """

    def __init__(self, path: Path, descriptor: int, events: list[Event], last: str) -> None:
        self.path = path
        self.state = RunState.of(events)
        """what the events amount to, kept up to date by `write`"""
        self.disk_full = False
        """the reserve is in use: there is room for a rollback, not for going on"""
        self._descriptor = descriptor
        self._last = last
        self._size = os.lseek(descriptor, 0, os.SEEK_END)
        """bytes that are on the disk for certain"""
        self._unsynced = b""
        self._torn = False
        """the last write failed, and may have left a part of its line"""
        self._lost = False
        """the disk refused to keep what is unsynced"""

    @classmethod
    def create(cls, path: Path, reserve: int = RESERVE) -> Journal:
        """A new journal (mode 0600) and `reserve` bytes beside it; raises JournalFailed."""
        try:
            make(path.parent)
            _write_reserve(path, reserve)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
            _sync_folder(path.parent)
        except OSError as error:
            _drop_reserve(path)
            raise _failed(path, error) from None
        return cls(path, descriptor, [], START)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Continue a journal; a torn last line is cut off. Raises JournalBroken, JournalFailed."""
        events, last, good = _parse(_bytes(path), path)
        try:
            if not _reserve(path).exists():
                _write_reserve(path, max(RESERVE, good))
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            os.ftruncate(descriptor, good)
            os.fsync(descriptor)
        except OSError as error:
            raise _failed(path, error) from None
        return cls(path, descriptor, events, last)

    def write(self, name: str, **data: Any) -> None:
        """Append one event; it is on the disk when this returns, else JournalFailed is raised.

        An `UNHURRIED` one is with the system by then, and on the disk when the next one is.
        """
        event = Event(name, data)
        line, hashed = _line(event, len(self.state.events), self._last)
        sync = name not in UNHURRIED
        try:
            self._append(line, sync=sync)
        except OSError as first:
            if not _drop_reserve(self.path):
                raise _failed(self.path, first) from None
            self.disk_full = True
            try:
                self._append(line, sync=True)
            except OSError as error:
                raise _failed(self.path, error) from None
        self.state.add(event)
        self._last = hashed

    def _append(self, line: bytes, *, sync: bool) -> None:
        """What an earlier failure left behind the last good line is cut off first; what a disk did
        not keep is written once more."""
        good, rest = self._size + len(self._unsynced), line
        if self._lost:
            good, rest = self._size, self._unsynced + line
        if self._lost or self._torn:
            os.ftruncate(self._descriptor, good)
        self._torn = True
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._torn = False
        if sync:
            self._lost = True
            os.fsync(self._descriptor)
            self._lost = False
            self._size += len(self._unsynced) + len(line)
            self._unsynced = b""
        else:
            self._unsynced += line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a finished run needs no reserve."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if self.state.is_finished:
                _drop_reserve(self.path)

    def discard_if_new(self) -> None:
        """Remove a journal that holds nothing but its first event."""
        if len(self.state.events) <= 1:
            os.close(self._descriptor)
            self._descriptor = -1
            _drop_reserve(self.path)
            with contextlib.suppress(OSError):
                self.path.unlink()


def read_journal(path: Path) -> list[Event]:
    """The events of a journal, read only; raises JournalBroken, JournalFailed."""
    return _parse(_bytes(path), path)[0]


def read_chain(path: Path) -> tuple[list[Event], list[str]]:
    """The events of a journal, and the hash of each; raises JournalBroken, JournalFailed."""
    raw = _bytes(path)
    events = _parse(raw, path)[0]
    return events, [json.loads(line)["hash"] for line in raw.split(b"\n")[: len(events)]]


def _bytes(path: Path) -> bytes:
    try:
        return read_bounded(path)
    except OSError as error:
        raise JournalFailed(
            f"the journal {path} cannot be read: {error.strerror}",
            hint="nothing was sent; `pvectl log` lists the journals of this machine",
        ) from None


def _parse(raw: bytes, path: Path) -> tuple[list[Event], str, int]:
    """Events, hash of the last line, and the number of good bytes."""
    events: list[Event] = []
    last, good = START, 0
    lines = raw.split(b"\n")
    complete, torn = lines[:-1], lines[-1]
    for number, line in enumerate(complete):
        event = _event(line, number, last)
        if event is None:
            if number == len(complete) - 1 and not torn and _is_torn(line):
                break
            raise JournalBroken(
                f"line {number + 1} of {path.name} does not follow from the line before",
                hint="the journal was altered or damaged; compare the cluster with the plan "
                "(`pvectl plan`) before you delete the journal",
            )
        events.append(event[0])
        last = event[1]
        good += len(line) + 1
    return events, last, good


def _is_torn(line: bytes) -> bool:
    """Whether only a part of the last line reached the disk, as zero bytes in its place show."""
    return b"\0" in line


def _line(event: Event, number: int, before: str) -> tuple[bytes, str]:
    """The `number`th line, in canonical JSON, and its hash: that of the line without `before` and
    `hash`, behind the hash `before`.
    """
    data, name = canonical(event.data), canonical(event.name)
    body = b'{"data":%b,"event":%b,"n":%d}' % (data, name, number)
    hashed = hashlib.sha256(before.encode() + body).hexdigest()
    chained = canonical(before), data, name, hashed.encode(), number
    return b'{"before":%b,"data":%b,"event":%b,"hash":"%b","n":%d}\n' % chained, hashed


def _event(line: bytes, number: int, before: str) -> tuple[Event, str] | None:
    """The `number`th event; None for a line that does not follow the hash `before`."""
    try:
        data = json.loads(line)
        event = Event(data["event"], data["data"])
    except (ValueError, OverflowError, KeyError, TypeError, RecursionError):
        return None
    expected, hashed = _line(event, number, before)
    return (event, hashed) if expected == line + b"\n" else None


def _reserve(path: Path) -> Path:
    return path.with_suffix(".reserve")


def _write_reserve(path: Path, size: int) -> None:
    """Write random bytes, which no file system compresses. Raises OSError and leaves nothing."""
    try:
        with _reserve(path).open("wb") as file:
            file.write(os.urandom(size))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        _drop_reserve(path)
        raise


def _drop_reserve(path: Path) -> bool:
    """Release the reserved bytes; False when there were none."""
    try:
        _reserve(path).unlink()
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(path: Path, error: OSError) -> JournalFailed:
    return JournalFailed(
        f"cannot write the journal {path}: {error.strerror}",
        hint="nothing is sent unrecorded; free some space, or set PVECTL_HOME to another folder",
    )
