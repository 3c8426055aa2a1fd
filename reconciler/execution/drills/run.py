"""A drill, from the state in its journal to its end: restore, compare, start, check, remove.

Whatever goes wrong, what the drill made is removed and looked for; what cannot be removed is named.
It touches no guest but its own: the id is in its range and was free when it began, and its mark is
in the description.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.errors import DrillFailed, Interrupted, JournalFailed, PvectlError, RequestRefused
from reconciler.execution.drills import store
from reconciler.execution.drills.actions import TRIES, act, insist, settle
from reconciler.execution.drills.checks import check, wait_until_up
from reconciler.execution.drills.cleanup import clean_up
from reconciler.execution.drills.context import DrillRun, Occupant, is_free, look
from reconciler.execution.run.boundary import foreseen
from reconciler.kinds.backup.drill import (
    left_out,
    network_request,
    power_request,
    restore_request,
    storage_of_archive,
)
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.model.drill import DrillResult, Verdict
from reconciler.model.policy import Network
from reconciler.model.request import request
from reconciler.pve.guest_config import LXC, differences, is_down, mac_of, nics


def carry_out(run: DrillRun) -> DrillResult:
    """Continue the drill, unless it is being undone; then remove what it created.

    The result is kept for later reports. Raises JournalFailed where nothing can be recorded.
    """
    if not run.state.turns:
        try:
            with foreseen():
                _forward(run)
        except JournalFailed:
            raise
        except Interrupted as stopped:
            run.record("stopped", why=stopped.summary)
        except PvectlError as error:
            run.record("failed", why=error.summary, hint=error.hint)
    left = clean_up(run)
    result = _result(run, left)
    if result.verdict is not Verdict.STOPPED:
        store.keep_result(run.drills, result)
    run.record("end", outcome=str(result.verdict), left=list(left), unfinished=bool(left))
    return result


def _forward(run: DrillRun) -> None:
    state, plan = run.state, run.plan
    if state.open is not None:
        settle(run)
    if "restore" not in state.done:
        _restore(run)
    if "compared" not in state.done:
        _compare(run, _own(run))
    if "network" not in state.done:
        _bring_to_network(run)
    if not plan.start:
        return
    run.heed()
    if "start" not in state.done:
        run.tell(f"starting guest {state.vmid}")
        _own(run)
        insist(run, "start", state.vmid, power_request(plan, state.vmid, "start"))
    began = run.clock.now()
    if "up" not in state.done:
        answered = wait_until_up(run, began + plan.timeout)
        run.record("up", seconds=round(run.clock.now() - began, 3), agent=answered)
    if plan.checks and "checked" not in state.done:
        checked = run.clock.now()
        check(run, began + plan.timeout)
        run.record("checked", seconds=round(run.clock.now() - checked, 3))


def _restore(run: DrillRun) -> None:
    """Under the first id of the range that is free; another drill may take it a moment earlier."""
    for vmid in _candidates(run):
        run.heed()
        run.tell(f"restoring {run.plan.archive.volume} as guest {vmid} on {run.plan.node}")
        try:
            if act(run, "restore", vmid, restore_request(run.plan, vmid, run.saved)):
                return
        except RequestRefused as refused:
            if "already exists" not in refused.reason:
                raise
    first, last = run.plan.ids
    raise DrillFailed(
        f"no free id from {first} to {last}",
        hint="extend [drill] ids, or remove guests in that range",
    )


def _candidates(run: DrillRun) -> Iterator[int]:
    """Ids that no guest, no disk and no archive has."""
    plan = run.plan
    archives = storage_of_archive(plan.archive.volume)
    asked = [
        RESOURCES,
        *(
            request("GET", "nodes", plan.node, "storage", name, "content")
            for name in dict.fromkeys((plan.storage, archives))
        ),
    ]
    rows = [row for answer in run.api.get(asked) for row in answer]
    taken = {int(row["vmid"]) for row in rows if row.get("vmid")}
    first, last = plan.ids
    for vmid in range(first, last + 1):
        if vmid not in taken and vmid not in run.state.tried and is_free(run.api, vmid):
            yield vmid


def _own(run: DrillRun) -> Occupant:
    """The restored guest; raises DrillFailed when it is gone, or when another one is there."""
    sight = look(run, run.state.vmid)
    if not sight.mine:
        what = "is gone" if not sight.there else "is not the restored one any more"
        why = f" ({sight.hidden})" if sight.hidden else ""
        raise DrillFailed(f"guest {run.state.vmid} {what}: it was changed concurrently{why}")
    return sight


def _compare(run: DrillRun, sight: Occupant) -> None:
    """Say what is not as in the archive; raises DrillFailed for a MAC address that is."""
    plan, saved = run.plan, run.saved
    gone = left_out(plan.kind, saved)
    for option in gone:
        run.record("note", text=f"{option} was omitted: the original uses {saved[option]}")
    if plan.start and saved.get("hookscript"):
        words = (
            f"its hook script {saved['hookscript']} also runs on {plan.node} for the restored guest"
        )
        run.record("note", text=words)
    found = differences(plan.kind, saved, sight.config, left_out=frozenset(gone))
    rows = [{"option": key, "saved": a, "restored": b} for key, a, b in found]
    run.record("compared", differences=rows)
    before = {mac_of(nic) for nic in nics(saved).values()} - {""}
    same = [key for key, nic in nics(sight.config).items() if mac_of(nic) in before]
    if same:
        raise DrillFailed(f"{', '.join(same)} got the MAC address of the original")


def _bring_to_network(run: DrillRun) -> None:
    """No guest is started whose network is not known to be as it should."""
    vmid = run.state.vmid
    for _ in range(TRIES):
        sight = _own(run)
        asked = network_request(run.plan, vmid, sight.config)
        if asked is None:
            break
        run.record("intent", action="network", vmid=vmid, request=asked.to_json(), known=[])
        try:
            run.api.send(asked)
        except RequestRefused as refused:
            run.record("refused", why=refused.summary)
            if not (refused.overtaken or refused.lock_timeout):
                raise
        except PvectlError as error:
            run.record("refused", why=error.summary)
        else:
            run.record("done")
    wrong = _still_connected(run, _own(run))
    if wrong:
        raise DrillFailed(f"{', '.join(wrong)} could not be disconnected; the guest is not started")
    if "network" not in run.state.done:
        run.record("intent", action="network", vmid=vmid, request=None, known=[])
        run.record("done")


def _still_connected(run: DrillRun, sight: Occupant) -> list[str]:
    found = nics(sight.config)
    if run.plan.network is Network.DOWN:
        return [key for key, nic in found.items() if not is_down(nic)]
    return list(found) if run.plan.network is Network.NONE else []


def _result(run: DrillRun, left: tuple[str, ...]) -> DrillResult:
    state, plan = run.state, run.plan
    return DrillResult(
        guest=plan.guest,
        archive=plan.archive.volume,
        made=plan.archive.made,
        began=int(run.journal.state.events[0].data["time"]),
        verdict=_verdict(run),
        node=plan.node,
        vmid=state.tried[-1] if state.tried else 0,
        restore=state.took.get("restore", 0.0),
        boot=round(state.took.get("start", 0.0) + state.took.get("up", 0.0), 3),
        check=state.took.get("checked", 0.0),
        failure=state.failure or state.stopped,
        hint=state.hint,
        differences=state.differences,
        notes=tuple(state.notes),
        left=left,
        resumed=state.is_resumed,
    )


def _verdict(run: DrillRun) -> Verdict:
    state, plan = run.state, run.plan
    if state.failure:
        return Verdict.FAILED
    if state.stopped:
        return Verdict.STOPPED
    if not plan.start:
        return Verdict.RESTORED
    looked = plan.checks or plan.kind == LXC or state.has_answered
    return Verdict.PROVEN if looked else Verdict.STARTED
