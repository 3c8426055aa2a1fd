"""The cluster log: logins and tasks; stored in `FOLDER.run/log`, a line each."""

from __future__ import annotations

import json
from typing import Any

from reconciler.sandbox.config.store import Store

LENGTH = 1000
"""The most entries returned; PVE's ring buffer holds about as many (`CLOG_DEFAULT_SIZE` of pmxcfs).
"""

INFO, ERROR = 6, 3
"""Priorities of syslog."""


def note(store: Store, now: int, user: str, text: str, priority: int = INFO) -> None:
    """Add an entry."""
    path = store.run_folder / "log"
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"time": now, "pri": priority, "tag": "pvedaemon", "node": store.node, "user": user}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**row, "pid": 1000, "msg": text}) + "\n")


def entries(store: Store) -> list[dict[str, Any]]:
    """The newest first."""
    try:
        lines = (store.run_folder / "log").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    rows = [json.loads(line) for line in lines[-LENGTH:]]
    first = len(lines) - len(rows) + 1
    numbered = [
        {**row, "uid": number, "id": f"{number}:{row['node']}"}
        for number, row in enumerate(rows, first)
    ]
    return numbered[::-1]
