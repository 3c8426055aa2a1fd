"""Tasks: work started by a call, with its own log and exit status. They are stored in
`FOLDER.run/`, beside the folder. A task ends within the call that starts it, unless tasks are
configured to take time: then it runs in the background and can be watched and stopped. While
running, it holds the lock of its marker in `tasks/active`.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, TextIO

from reconciler.access.contents import split_token
from reconciler.sandbox.cluster_log import note
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, died

_UPID = re.compile(
    r"UPID:([a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):"
    r"([0-9A-Fa-f]{8}):([^:\s]+):([^:\s]*):([^:\s]+):"
)
_FIRST_PID = 1000
_UNEXPECTED = "unexpected status"
_TICK = 0.02
"""Seconds between checks whether a task should stop."""


@dataclass(frozen=True, slots=True)
class Upid:
    """The name of a task. `owner` is a user or a full token id, `id` a guest, a realm or empty."""

    node: str
    pid: int
    pstart: int
    starttime: int
    type: str
    id: str
    owner: str

    def __str__(self) -> str:
        numbers = f"{self.pid:08X}:{self.pstart:08X}:{self.starttime:08X}"
        return f"UPID:{self.node}:{numbers}:{self.type}:{self.id}:{self.owner}:"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        found = _UPID.fullmatch(text)
        if found is None:
            return None
        pid, pstart, starttime = (int(found[group], 16) for group in (2, 3, 4))
        return cls(found[1], pid, pstart, starttime, *found.group(5, 6, 7))

    def row(self) -> dict[str, Any]:
        """As PVE returns it: a token is split into user and tokenid."""
        user, token = split_token(self.owner) or (self.owner, "")
        row: dict[str, Any] = {
            "upid": str(self),
            "node": self.node,
            "pid": self.pid,
            "pstart": self.pstart,
            "starttime": self.starttime,
            "type": self.type,
            "id": self.id,
            "user": user,
        }
        return {**row, "tokenid": token} if token else row


@dataclass(frozen=True, slots=True)
class Finished:
    """A line of the index of tasks."""

    upid: Upid
    endtime: int
    status: str


class Interrupted(ApiError):
    """The task was stopped."""


class Worker:
    """The interface of a task's work: write its log, and take time."""

    def __init__(self, file: TextIO, stop: Path, seconds: float) -> None:
        self._file = file
        self._stop = stop
        self._seconds = seconds
        self.warnings = 0

    def log(self, line: str) -> None:
        self._file.write(f"{line}\n")
        self._file.flush()

    def warn(self, text: str) -> None:
        """The task continues, and ends with `WARNINGS: 1` instead of `OK`."""
        self.warnings += 1
        self.log(f"WARN: {text}")

    def spend(self, seconds: float | None = None) -> None:
        """Take this long, or the configured time of a task; raises when it is stopped."""
        end = time.monotonic() + (self._seconds if seconds is None else seconds)
        while True:
            if self._stop.exists():
                raise Interrupted("received interrupt\n")
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _TICK))


def run_task(ctx: Context, kind: str, name: str, work: Callable[[Worker], None]) -> str:
    """Do the work as a task of the caller; returns the UPID. Errors end the task, not the call."""
    upid = _start(ctx, kind, name)
    note(ctx.store, ctx.now, upid.owner, f"starting task {upid}")
    marker = _marker(ctx.store, upid)
    descriptor = _hold(marker)
    job = partial(_run, ctx, upid, descriptor, work)
    if ctx.store.task_time:
        threading.Thread(target=job, name=str(upid), daemon=True).start()
    else:
        job()
    return str(upid)


def _run(ctx: Context, upid: Upid, descriptor: int, work: Callable[[Worker], None]) -> None:
    store = ctx.store
    marker, status = _marker(store, upid), _UNEXPECTED
    try:
        with log_file(store, upid).open("a", encoding="utf-8") as file:
            worker = Worker(file, _stop_file(marker), store.task_time)
            status = _worked(worker, work)
            worker.log(f"TASK {status}" if _ended_well(status) else f"TASK ERROR: {status}")
    finally:
        _enter(store, upid, ctx.now, status)
        note(store, ctx.now, upid.owner, f"end task {upid} {status}")
        marker.unlink(missing_ok=True)
        _stop_file(marker).unlink(missing_ok=True)
        os.close(descriptor)


def _worked(worker: Worker, work: Callable[[Worker], None]) -> str:
    try:
        work(worker)
    except ApiError as error:
        return " ".join(str(error).split("\n")).strip()
    return f"WARNINGS: {worker.warnings}" if worker.warnings else "OK"


def _ended_well(status: str) -> bool:
    return status == "OK" or status.startswith("WARNINGS: ")


def stop_task(store: Store, upid: Upid) -> None:
    """Ask a running task to stop; no effect on one that has ended."""
    marker = _marker(store, upid)
    if marker.exists():
        _stop_file(marker).touch()


def log_file(store: Store, upid: Upid) -> Path:
    return store.run_folder / "tasks" / f"{upid.starttime:08X}"[-1] / str(upid)


def finished_tasks(store: Store) -> list[Finished]:
    """The newest first."""
    _reap(store)
    try:
        lines = _index(store).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in reversed(lines):
        text, endtime, status = line.split(" ", 2)
        upid = Upid.parse(text)
        if upid is not None:
            found.append(Finished(upid, int(endtime, 16), status))
    return found


def running_tasks(store: Store) -> list[Upid]:
    """The newest first."""
    found = [upid for marker in _markers(store) if (upid := Upid.parse(marker.name)) is not None]
    return sorted(found, key=lambda upid: (upid.starttime, upid.pid), reverse=True)


def exit_status(store: Store, upid: Upid) -> str | None:
    """None while it runs."""
    return next((task.status for task in finished_tasks(store) if task.upid == upid), None)


def upid_or_none(store: Store, text: str, seconds: float) -> str | None:
    """What a call answers that waits this long for its task: nothing once it has succeeded, its id
    while it runs. Raises ApiError with the exit status of a failed task."""
    upid, end = Upid.parse(text), time.monotonic() + seconds
    while upid is not None and time.monotonic() < end:
        ended = exit_status(store, upid)
        if ended == "OK":
            return None
        if ended is not None:
            raise died(ended)
        time.sleep(_TICK)
    return text


def _index(store: Store) -> Path:
    return store.run_folder / "tasks" / "index"


def _enter(store: Store, upid: Upid, endtime: int, status: str) -> None:
    with _index(store).open("a", encoding="utf-8") as index:
        index.write(f"{upid} {endtime:08X} {status}\n")


def _marker(store: Store, upid: Upid) -> Path:
    return store.run_folder / "tasks" / "active" / str(upid)


def _stop_file(marker: Path) -> Path:
    return marker.with_name(f"{marker.name}stop")


def _markers(store: Store) -> list[Path]:
    return list((store.run_folder / "tasks" / "active").glob("UPID:*:"))


def _hold(marker: Path) -> int:
    """Create the marker of a running task; it never exists without its lock."""
    marker.parent.mkdir(parents=True, exist_ok=True)
    new = marker.with_name(f"new:{marker.name}")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    new.replace(marker)
    return descriptor


def _reap(store: Store) -> None:
    """Record the end of tasks whose process was killed."""
    for marker in _markers(store):
        with suppress(FileNotFoundError, BlockingIOError):
            descriptor = os.open(marker, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                marker.unlink()
            finally:
                os.close(descriptor)
            upid = Upid.parse(marker.name)
            if upid is not None and not _entered(store, upid):
                _enter(store, upid, int(time.time()), _UNEXPECTED)


def _entered(store: Store, upid: Upid) -> bool:
    index = _index(store)
    return index.exists() and f"{upid} " in index.read_text("utf-8")


def _start(ctx: Context, kind: str, name: str) -> Upid:
    """A task that does not exist yet: two in the same second differ by their process id."""
    for pid in range(_FIRST_PID, _FIRST_PID + 100_000):
        upid = Upid(ctx.node, pid, pid, ctx.now, kind, name, ctx.actor)
        path = log_file(ctx.store, upid)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.touch(mode=0o640, exist_ok=False)
            return upid
    raise died("fork failed: too many tasks")
