"""A journal of many steps."""

from __future__ import annotations

from pathlib import Path

from reconciler.execution.journal.journal import Journal


def long_journal(path: Path, steps: int) -> Path:
    """Each step announced and done."""
    request = {"method": "PUT", "path": ["access", "acl"], "params": [["path", "/vms/100"]]}
    with Journal.create(path) as journal:
        for number in range(steps):
            journal.write("intent", step=number, direction="forward", time=1.0, request=request)
            journal.write("done", step=number, direction="forward")
    return path
