"""One request of a drill at a time: announced, sent, followed to the end of its task, recorded."""

from __future__ import annotations

from typing import Any

from reconciler.errors import DrillFailed, RequestRefused, UnknownOutcome, Unreachable
from reconciler.execution.backups.run import denial
from reconciler.execution.drills.context import DrillRun
from reconciler.execution.run.context import SETTLE
from reconciler.execution.tasks import TaskEnd, follow_task, start_task
from reconciler.kinds.backup.drill import TASKS
from reconciler.model.request import Request, request

TRIES = 3
"""How often a request is sent at most while Proxmox VE cannot get its lock."""

_WORDS = {
    "restore": "restoring the archive",
    "start": "starting the restored guest",
    "stop": "stopping the restored guest",
    "destroy": "destroying the restored guest",
}


def act(run: DrillRun, action: str, vmid: int, asked: Request) -> bool:
    """Send what starts a task, and follow it; False if it certainly had no effect
    although it was sent.

    Raises RequestRefused, Unreachable, and DrillFailed for a task that failed.
    """
    known = [str(row["upid"]) for row in _tasks(run, action, vmid)]
    for attempt in range(TRIES):
        run.record("intent", action=action, vmid=vmid, request=asked.to_json(), known=known)
        try:
            task = start_task(run.api, asked)
        except RequestRefused as refused:
            run.record("refused", why=refused.summary)
            if refused.lock_timeout and attempt + 1 < TRIES:
                run.clock.sleep(1.0)
                continue
            raise
        except UnknownOutcome as lost:
            run.tell(f"no answer ({lost.summary}); checking whether it arrived")
            return settle(run)
        except Unreachable as away:
            run.record("refused", why=away.summary)
            raise
        break
    run.record("done", task=task)
    _follow(run)
    return True


def insist(run: DrillRun, action: str, vmid: int, asked: Request) -> None:
    """As `act`, sent again where it certainly never arrived."""
    if not any(act(run, action, vmid, asked) for _ in range(TRIES)):
        raise DrillFailed(f"{_WORDS[action]} failed: the request never arrived")


def settle(run: DrillRun) -> bool:
    """Find out what became of the action that was announced last, and follow its task; False where
    it never took effect."""
    event = run.state.open
    if event is None:
        return True
    if not run.state.task:
        action, vmid = event.data["action"], int(event.data["vmid"])
        task = _arrived(run, event.data) if (run.plan.kind, action) in TASKS else ""
        if not task:
            run.record("refused", why=f"the request to {action} guest {vmid} never arrived")
            return False
        run.record("found", task=task)
    _follow(run)
    return True


def _arrived(run: DrillRun, data: Any) -> str:
    """The task that a request has started, waited for as long as it may still come; "" for none."""
    until = float(data["time"]) + SETTLE
    pause, told = 0.2, False
    while True:
        for row in _tasks(run, data["action"], int(data["vmid"])):
            if row["upid"] not in data["known"] and _is_callers(run, str(row["upid"])):
                return str(row["upid"])
        now = run.clock.now()
        if not float(data["time"]) <= now < until:
            return ""
        if not told:
            told = True
            left = f"{until - now:.0f} s"
            run.tell(f"the request to {data['action']} may still arrive: waiting up to {left}")
        run.clock.sleep(min(pause, until - now))
        pause = min(pause * 2, 5.0)


def _tasks(run: DrillRun, action: str, vmid: int) -> list[Any]:
    """The newest tasks of this sort, running ones included; a caller always sees its own."""
    plan = run.plan
    asked = request(
        "GET",
        "nodes",
        plan.node,
        "tasks",
        typefilter=TASKS[plan.kind, action],
        vmid=vmid,
        source="all",
    )
    return list(run.api.get([asked])[0])


def _is_callers(run: DrillRun, upid: str) -> bool:
    return upid.endswith(f":{run.api.actor}:")


def _follow(run: DrillRun) -> None:
    """The task of the open action to its end; raises DrillFailed where that is not a good one."""
    event = run.state.open
    action = "" if event is None else str(event.data["action"])
    end = follow_task(
        run.api,
        run.plan.node,
        run.state.task,
        run.clock,
        lambda line: run.tell(f"  {line}"),
        lambda: action == "restore" and bool(run.stop or run.state.stopped),
    )
    seconds = round(max(0.0, run.clock.now() - run.state.began[action]), 3)
    run.record("ended", status=end.exit_status, seconds=seconds)
    if not end.good:
        if action == "restore":
            run.heed()
        raise _failed(run, action, end)


def _failed(run: DrillRun, action: str, end: TaskEnd) -> DrillFailed:
    words, hint = denial(run.api.actor, end.exit_status)
    return DrillFailed(f"{_WORDS[action]} failed: {words or end.exit_status}", hint=hint)
