"""Tasks: work that a call starts, with a log and an exit status of its own.

They lie in `FOLDER.run/`, beside the folder. A task of the sandbox runs to its end within the call
that starts it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from reconciler.access.table import split_token
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, died

_UPID = re.compile(
    r"UPID:([a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):"
    r"([0-9A-Fa-f]{8}):([^:\s]+):([^:\s]*):([^:\s]+):"
)
_FIRST_PID = 1000


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
        """As PVE answers it: a token is shown as user and tokenid."""
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


class Worker:
    """What the work of a task may do: write its log."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def log(self, line: str) -> None:
        self._file.write(f"{line}\n")


def run_folder(store: Store) -> Path:
    """Where tasks, logs and archives lie."""
    return store.folder.with_name(f"{store.folder.name}.run")


def run_task(ctx: Context, kind: str, name: str, work: Callable[[Worker], None]) -> str:
    """Do the work as a task of the caller; its UPID. An error ends the task, not the call."""
    upid = _start(ctx, kind, name)
    with log_file(ctx.store, upid).open("a", encoding="utf-8") as file:
        worker = Worker(file)
        try:
            work(worker)
            status = "OK"
        except ApiError as error:
            status = " ".join(str(error).split("\n")).strip()
        worker.log("TASK OK" if status == "OK" else f"TASK ERROR: {status}")
    with _index(ctx.store).open("a", encoding="utf-8") as index:
        index.write(f"{upid} {ctx.now:08X} {status}\n")
    return str(upid)


def log_file(store: Store, upid: Upid) -> Path:
    return run_folder(store) / "tasks" / f"{upid.starttime:08X}"[-1] / str(upid)


def finished_tasks(store: Store) -> list[Finished]:
    """The newest first."""
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


def exit_status(store: Store, upid: Upid) -> str | None:
    """None while it runs."""
    return next((task.status for task in finished_tasks(store) if task.upid == upid), None)


def _index(store: Store) -> Path:
    return run_folder(store) / "tasks" / "index"


def _start(ctx: Context, kind: str, name: str) -> Upid:
    """A task that does not exist yet: two of one second differ by their process number."""
    for pid in range(_FIRST_PID, _FIRST_PID + 100_000):
        upid = Upid(ctx.store.node, pid, pid, ctx.now, kind, name, ctx.actor)
        path = log_file(ctx.store, upid)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.touch(mode=0o640, exist_ok=False)
            return upid
    raise died("fork failed: too many tasks")
