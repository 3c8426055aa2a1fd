"""Restore drills that were interrupted: seen, continued, or undone."""

from __future__ import annotations

from pathlib import Path

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Here, drills_of
from reconciler.cli.drill.run import conclude, one_drill
from reconciler.cli.run import runner as runs
from reconciler.cli.run.runner import Way
from reconciler.cli.terminal.output import info
from reconciler.errors import ExitStatus, PvectlError
from reconciler.execution.drills import store
from reconciler.execution.drills.context import Occupant, look_at
from reconciler.execution.journal.journal import Journal, read_journal
from reconciler.model.api import Api
from reconciler.model.drill import DrillResult, OpenDrill


def open_drills(api: Api, place: Here) -> tuple[OpenDrill, ...]:
    """Those of this machine, each with what is there of it."""
    found = store.open_drills(drills_of(place))
    return tuple(one._replace(there=_there(api, one)) for one in found)


def _there(api: Api, drill: OpenDrill) -> str:
    """What the cluster has under the ids that it may have used, in words."""
    events = read_journal(Path(drill.journal))
    try:
        seen = [(vmid, look_at(api, drill.plan, events, vmid)) for vmid in drill.vmids]
    except PvectlError as error:
        return f"the cluster could not be reached: {error.summary}"
    return "; ".join(filter(None, (_words(vmid, one) for vmid, one in seen)))


def _words(vmid: int, sight: Occupant) -> str:
    if not sight.there:
        return ""
    if not sight.mine:
        why = f" ({sight.hidden})" if sight.hidden else ""
        return f"guest {vmid} does not have the drill's mark{why}"
    return f"guest {vmid} on {sight.node}, {'running' if sight.running else 'stopped'}"


def continue_drills(
    common: CommonOptions, api: Api, place: Here, base: Path, path: Path | None, way: Way
) -> ExitStatus | None:
    """Go on with the interrupted drills, or with that of `path`; None where there is none."""
    dead = [Path(one.journal) for one in store.open_drills(drills_of(place)) if not one.running]
    chosen = [path] if path is not None else dead
    results: list[DrillResult] = []
    stop: list[int] = []
    for one in chosen:
        with store.held(one), Journal.open(one) as journal:
            if journal.state.is_finished:
                info(common, "the drill is already complete; nothing to do")
                continue
            if way.abandon:
                journal.write("end", outcome="abandoned", left=[], unfinished=False)
                info(common, f"closed {one}; what it created is kept")
                continue
            mine, now = runs.whoami(api), runs.SystemClock().now()
            journal.write("continued", owner=mine.owner, run=mine.run, time=round(now, 3))
            if way.back:
                journal.write("stopped", why="rolled back", time=round(now, 3))
            results.append(one_drill(common, api, journal, base, stop))
        if stop:
            break
    if not chosen:
        return None
    if not results:
        return ExitStatus.OK
    return conclude(common, place, results, stop)
