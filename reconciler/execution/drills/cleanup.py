"""What a drill made is removed, and looked for; nothing else is touched."""

from __future__ import annotations

from reconciler.errors import (
    DrillFailed,
    Interrupted,
    JournalFailed,
    PvectlError,
    RequestRefused,
    Unreachable,
)
from reconciler.execution.drills.actions import TRIES, act, settle
from reconciler.execution.drills.context import DrillRun, is_free, look
from reconciler.execution.run.boundary import foreseen
from reconciler.kinds.backup.drill import destroy_request, power_request, storage_of_archive
from reconciler.model.request import request


def clean_up(run: DrillRun) -> tuple[str, ...]:
    """Destroy the restored guest; returns what is left, in words. Raises JournalFailed."""
    left: list[str] = []
    try:
        with foreseen():
            _settle(run)
            for vmid in run.state.tried:
                left += filter(None, [_remove(run, vmid)])
            left += _traces(run)
    except JournalFailed:
        raise
    except PvectlError as error:
        ids = ", ".join(map(str, run.state.tried))
        left.append(f"guest {ids} on {run.plan.node} may be there: {error.summary}")
    return tuple(left)


def _settle(run: DrillRun) -> None:
    """How the open action ended no longer matters, only that it has."""
    try:
        settle(run)
    except (DrillFailed, Interrupted, RequestRefused) as error:
        run.tell(error.summary)


def _remove(run: DrillRun, vmid: int) -> str:
    """Stop and destroy one guest; why it is left, or ""."""
    why = ""
    for attempt in range(TRIES):
        sight = look(run, vmid)
        if not sight.there:
            return ""
        if not sight.mine:
            return _strange(run, vmid, sight.hidden)
        there = run.plan._replace(node=sight.node)
        run.tell(f"removing guest {vmid} from {sight.node}")
        try:
            if sight.running:
                act(run, "stop", vmid, power_request(there, vmid, "stop"))
            act(run, "destroy", vmid, destroy_request(there, vmid))
        except (DrillFailed, RequestRefused, Unreachable) as error:
            why = error.summary
            run.clock.sleep(1.0 + attempt)
    sight = look(run, vmid)
    return f"guest {vmid} on {sight.node}: {why or 'it is still there'}" if sight.there else ""


def _strange(run: DrillRun, vmid: int, hidden: str) -> str:
    """If the id was refused, another guest under it does not concern this drill."""
    if vmid != run.state.vmid:
        return ""
    why = hidden or "it does not have the mark of this drill"
    return f"guest {vmid} was not touched: {why}"


def _traces(run: DrillRun) -> list[str]:
    """Disks that a destroyed guest left behind; archives of it are noted."""
    plan = run.plan
    free = {vmid for vmid in run.state.tried if is_free(run.api, vmid)}
    if not free:
        return []
    archives = storage_of_archive(plan.archive.volume)
    names = list(dict.fromkeys((plan.storage, archives)))
    asked = [request("GET", "nodes", plan.node, "storage", name, "content") for name in names]
    rows = [row for answer in run.api.get(asked) for row in answer]
    mine = [row for row in rows if row.get("vmid") and int(row["vmid"]) in free]
    for row in mine:
        if row.get("content") == "backup":
            run.record(
                "note", text=f"a backup job has backed up the restored guest: {row['volid']}"
            )
    return [f"disk {row['volid']}" for row in mine if row.get("content") != "backup"]
