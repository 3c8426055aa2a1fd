"""Restore drills from the command line: chosen, confirmed, run one after the other, shown."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Here, Loaded, drills_of, here, now
from reconciler.cli.drill.choice import Chosen, Cluster, Wanted, choose, require_settings, tell
from reconciler.cli.drill.preflight import require_possible, unchecked
from reconciler.cli.run import runner as runs
from reconciler.cli.terminal.output import info, show_if_possible
from reconciler.cli.terminal.prompt import confirm
from reconciler.cli.terminal.signals import signals
from reconciler.errors import ApplyNotRestored, ExitStatus, JournalFailed
from reconciler.execution.backups.survey import survey
from reconciler.execution.drills import store
from reconciler.execution.drills.context import DrillRun, PatientApi
from reconciler.execution.drills.run import carry_out
from reconciler.execution.journal.journal import Journal
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.live.reader import PERMISSIONS, facts_of
from reconciler.model.api import Api
from reconciler.model.drill import DrillPlan, DrillReport, DrillResult, Verdict
from reconciler.model.policy import Drill
from reconciler.render.view import View
from reconciler.text.humanize import count


def run_drills(
    common: CommonOptions, loaded: Loaded, api: Api, wanted: Wanted, *, yes: bool
) -> ExitStatus:
    """Choose, check that it is possible, ask, and run them."""
    require_settings(loaded.desired.policy.drill)
    place = here(loaded.cluster, api)
    folder = drills_of(place)
    store.refuse_unfinished(folder)
    resources, held = api.get([RESOURCES, PERMISSIONS])
    cluster = Cluster(resources, facts_of({}, resources), survey(api, resources))
    known = store.results(folder)
    chosen = choose(api, loaded, place, cluster, known, wanted, lambda text: info(common, text))
    require_possible(api.actor, cluster, held, chosen)
    for node in unchecked(cluster, chosen):
        info(common, f"the memory of {node} is not checked: Sys.Audit on /nodes/{node} is missing")
    _tell_of_others(common, loaded.desired.policy.drill, cluster)
    info(common, f"Will restore {count(len(chosen), 'archive')} and remove them afterwards:")
    for line in tell(chosen):
        info(common, line)
    confirm("Run it now?", yes=yes)
    return _all(common, api, place, loaded.cluster.folder, folder, chosen)


def _tell_of_others(common: CommonOptions, drill: Drill, cluster: Cluster) -> None:
    """Guests in the drills' own ids: this machine knows nothing of what another one has left."""
    first, last = drill.range
    for vmid, guest in sorted(cluster.facts.guests.items()):
        if first <= vmid <= last:
            info(
                common,
                f"guest {vmid} ({guest.name or 'without a name'}) has an id reserved "
                "for drills: another drill is running, or left it behind; it is not touched",
            )


def _all(
    common: CommonOptions,
    api: Api,
    place: Here,
    base: Path,
    folder: Path,
    chosen: Sequence[Chosen],
) -> ExitStatus:
    results: list[DrillResult] = []
    stop: list[int] = []
    mine, clock = runs.whoami(api), runs.SystemClock()
    for plan, _, failure in chosen:
        if failure:
            results.append(unreadable(plan, failure, int(clock.now())))
            store.keep_result(folder, results[-1])
            continue
        with store.start(folder, plan, mine.owner, mine.run, clock.now(), api.actor) as journal:
            results.append(one_drill(common, api, journal, base, stop))
        if stop or results[-1].left:
            break
    return conclude(common, place, results, stop)


def unreadable(plan: DrillPlan, failure: str, now: int) -> DrillResult:
    """The result of an archive whose configuration cannot be read: nothing was sent."""
    archive = plan.archive
    return DrillResult(
        plan.guest, archive.volume, archive.made, now, Verdict.FAILED, plan.node, failure=failure
    )


def one_drill(
    common: CommonOptions, api: Api, journal: Journal, base: Path, stop: list[int]
) -> DrillResult:
    """Go on with the drill of a journal that is held to its end; `base`: where commands of checks
    run.

    Raises ApplyNotRestored where the journal cannot be kept, with what may be left.
    """
    clock = runs.SystemClock()
    plan = store.plan_of(list(journal.state.events), journal.path)

    def say(text: str) -> None:
        info(common, f"guest {plan.guest}: {text}" if not text.startswith(" ") else text)

    patient = PatientApi(api, clock, say)
    run = DrillRun(patient, plan, journal, clock, base, say, stop)
    with signals(stop, lambda: _answer(run), lambda: run.is_over):
        try:
            return carry_out(run)
        except JournalFailed as failure:
            ids = ", ".join(map(str, run.state.tried)) or "none"
            raise ApplyNotRestored(
                f"the drill of guest {plan.guest} stopped; it may have left guest {ids} on "
                f"{plan.node}: {failure.summary}",
                hint="free disk space, then run `pvectl rollback`",
            ) from None


def _answer(run: DrillRun) -> str:
    """What the first signal leads to."""
    if run.state.turns:
        return "the restored guest is being removed"
    return "stopping, and removing the restored guest"


def conclude(
    common: CommonOptions, place: Here, results: Sequence[DrillResult], stop: Sequence[int]
) -> ExitStatus:
    """Show what came of it; what is left is worse than what failed."""
    report = DrillReport(place.name, tuple(results))
    with contextlib.suppress(BrokenPipeError):
        show_if_possible(common, "drill", report, View(now=now()))
    if report.left:
        return ExitStatus.NOT_RESTORED
    if any(one.verdict is Verdict.FAILED for one in results):
        return ExitStatus.NOT_PROVEN
    return ExitStatus(128 + stop[0]) if stop else ExitStatus.OK
