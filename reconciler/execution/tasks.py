"""Start background tasks of Proxmox VE, follow them, and read their exit status.

A call that starts a task answers 200 even when the task is refused a moment later.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from reconciler.errors import PvectlError
from reconciler.execution.run.look import Clock
from reconciler.model.api import Api
from reconciler.model.request import Request, request

LONGEST_PAUSE = 2.0
"""Seconds between two looks at a long task."""


class TaskEnd(NamedTuple):
    """How a task ended: `OK`, `WARNINGS: N`, or what went wrong."""

    upid: str
    exit_status: str
    log: tuple[str, ...]

    @property
    def good(self) -> bool:
        return self.exit_status == "OK" or self.exit_status.startswith("WARNINGS")


def start_task(api: Api, asked: Request) -> str:
    """Send the request; returns the id of the task. Raises RequestRefused."""
    return str(api.send(asked))


def follow_task(
    api: Api,
    node: str,
    upid: str,
    clock: Clock,
    tell: Callable[[str], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> TaskEnd:
    """Wait for the end of a task; `tell` gets each new line of its log. Once `cancelled`, the task
    is told to stop, and its end is awaited.

    The node shows a caller its own tasks even if it may not list tasks.
    """
    lines: list[str] = []
    pause, told = 0.1, False
    while True:
        if cancelled() and not told:
            told = True
            with suppress(PvectlError):
                api.send(request("DELETE", "nodes", node, "tasks", upid))
        status = api.get([request("GET", "nodes", node, "tasks", upid, "status")])[0]
        asked = request("GET", "nodes", node, "tasks", upid, "log", start=len(lines), limit=0)
        for row in api.get([asked])[0] or ():
            if int(row["n"]) > len(lines):
                lines.append(str(row["t"]))
                tell(lines[-1])
        if status.get("status") == "stopped":
            return TaskEnd(upid, str(status.get("exitstatus") or "unknown"), tuple(lines))
        clock.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
