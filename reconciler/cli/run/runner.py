"""Run a plan or a journal: locks, signals, progress, report, exit status."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Here
from reconciler.cli.run.lock_wait import patiently
from reconciler.cli.state_folder.folder_secrets import FolderSecrets
from reconciler.cli.state_folder.grants_file import GrantsFile
from reconciler.cli.terminal.output import beside_secrets, info, show_if_possible
from reconciler.cli.terminal.signals import signals
from reconciler.cli.terminal.slow_requests import report_slow_requests
from reconciler.errors import (
    ApplyNotRestored,
    Bug,
    ExitStatus,
    Interrupted,
    JournalFailed,
    PvectlError,
    SinkFailed,
    StalePlan,
)
from reconciler.execution.apply import apply_plan, resume_run, roll_back_run
from reconciler.execution.journal import store
from reconciler.execution.journal.journal import Journal
from reconciler.execution.journal.replay import open_request, point_of_no_return
from reconciler.execution.lock.cluster import Ahead, Writer, one_writer
from reconciler.execution.overtaken import abandon
from reconciler.execution.run.context import NO_FILE, FollowingFile, Progress, RunContext
from reconciler.execution.run.look import Look, first_look
from reconciler.execution.secrets import fingerprints
from reconciler.execution.secrets.ages import places_of_secrets
from reconciler.execution.secrets.routing import Sinks, redirected, undelivered, with_sinks
from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.change import Undo
from reconciler.model.plan import Plan
from reconciler.model.policy import MAX_STALENESS
from reconciler.model.run import (
    ABANDONED,
    COMPLETED,
    DONE,
    ROLLED_BACK,
    Outcome,
    OutgoingRequest,
    RunReport,
)
from reconciler.model.run_state import RunState
from reconciler.model.secret import SecretSink
from reconciler.real_path import real_path
from reconciler.render.view import View


class SystemClock:
    """The real time."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Pace(NamedTuple):
    """How old a look may be. `fresh`: seconds, for what a step touches. `free_at`: when the cluster
    was last seen without any lock (Unix seconds)."""

    fresh: float = MAX_STALENESS
    free_at: float = float("-inf")


USUAL = Pace()


def execute(
    common: CommonOptions,
    api: Api,
    folder: Path,
    plan: Plan,
    secrets: FolderSecrets,
    signer: str = "",
    pace: Pace = USUAL,
    *,
    file: FollowingFile = NO_FILE,
) -> ExitStatus:
    """Run a new plan, signed by `signer`; `folder` is that of the cluster."""
    secrets.check_all(plan.steps)
    mine, clock = whoami(api), SystemClock()

    def begin() -> Journal:
        store.refuse_unfinished(folder)
        grant = file.to_json()
        return store.start(folder, plan, mine.owner, mine.run, clock.now(), signer, grant)

    return _run(common, api, folder, plan, secrets, begin, apply_plan, pace=pace, file=file)


class Way(NamedTuple):
    """What to do with an unfinished run: continue it, or roll it `back`; `abandon` closes it.
    `chosen`: the user knows that another run may have written in between.
    """

    back: bool = False
    chosen: bool = False
    abandon: bool = False


def execute_journal(
    common: CommonOptions,
    api: Api,
    place: Here,
    path: Path,
    secrets: FolderSecrets,
    declared: Callable[[], Mapping[Address, SecretSink]],
    way: Way,
    *,
    pace: Pace,
) -> ExitStatus:
    """Continue the run of a journal, or end it.

    `declared`: where the current files send the secrets of tokens; asked only when the run goes
    forward and secrets are still to be delivered. Raises StalePlan for the journal of another
    cluster.
    """
    plan, state = store.load(path)
    common = beside_secrets(common, plan)
    kept = real_path(path).parent == real_path(place.folder) and not plan.identity
    if not kept and not plan.is_for(place.name, place.identity):
        raise StalePlan(
            f"the journal belongs to {plan.cluster}, not to {place.name}",
            hint="choose the cluster with --on",
        )
    mine, clock = whoami(api), SystemClock()
    forward = not way.back and not way.abandon and not state.is_rolling_back
    sinks = _current_sinks(common, state, plan, secrets, declared) if forward else {}

    def go_on() -> Journal:
        try:
            return store.go_on(path, mine.owner, mine.run, clock.now(), back=way.back)
        except JournalFailed as failure:
            raise ApplyNotRestored(failure.summary, hint=failure.hint) from None

    if way.abandon:
        work: Callable[[RunContext], RunReport] = abandon
    elif way.back:
        work = partial(roll_back_run, chosen=way.chosen)
    else:
        work = partial(resume_run, sinks=sinks, chosen=way.chosen)
    grant = store.grant_of(state)
    file = GrantsFile(grant, lambda text: info(common, text)) if grant else NO_FILE
    return _run(common, api, place.folder, plan, secrets, go_on, work, pace=pace, file=file)


def _current_sinks(
    common: CommonOptions,
    state: RunState,
    plan: Plan,
    secrets: FolderSecrets,
    declared: Callable[[], Mapping[Address, SecretSink]],
) -> Sinks:
    """Where undelivered secrets go now, if the files name another place than the journal.

    Each sink is tried before anything is sent; raises ApplyNotRestored for one that would fail.
    """
    waiting = undelivered(state, plan.steps)
    if not waiting:
        return {}
    sinks = redirected(state, plan.steps, declared())
    steps = with_sinks(plan.steps, sinks)
    for token, number in waiting.items():
        sink = steps[number].sink
        try:
            secrets.check(steps[number])
        except SinkFailed as failure:
            raise ApplyNotRestored(
                failure.summary,
                hint=f"nothing was sent; correct secret_to of {token.id} in the state files, "
                "then run `pvectl resume`",
            ) from None
        if number in sinks:
            info(
                common,
                f"{token.id}: the secret will be delivered to {sink}, as the files now declare",
            )
    return sinks


def _run(
    common: CommonOptions,
    api: Api,
    folder: Path,
    plan: Plan,
    secrets: FolderSecrets,
    begin: Callable[[], Journal],
    work: Callable[[RunContext], RunReport],
    *,
    pace: Pace,
    file: FollowingFile,
) -> ExitStatus:
    """Hold both locks while `work` runs over the journal that `begin` opens."""
    clock = SystemClock()
    stop: list[int] = []
    runs: list[RunContext] = []
    first: list[Look] = []

    def tell(text: str) -> None:
        info(common, text)

    def begin_to_look() -> None:
        first.append(first_look(watched, clock, plan.steps))

    with (
        signals(stop, lambda: _answer(runs), lambda: any(run.state.is_finished for run in runs)),
        report_slow_requests(api, tell) as watched,
        patiently(
            common,
            lambda: one_writer(
                watched, clock, whoami(api), folder, begin, tell, Ahead(pace.free_at, begin_to_look)
            ),
        ) as (lock, journal),
    ):
        for dead in lock.taken_over:
            text = f"took over lock {dead.fence} of {dead.owner} {dead.run}"
            info(common, text.rstrip())
        run = RunContext(watched, plan.steps, journal, clock, secrets, lock, teller(common), stop)
        run.first, run.fresh, run.file = first[-1], pace.fresh, file
        runs.append(run)
        report = replace(work(run), signer=journal.state.signer)
        asked = journal.state.is_requested
    if report.outcome == DONE and report.complete:
        _remember(common, folder, plan, report, secrets)
        report = replace(report, secrets={**report.secrets, **_left_behind(folder, plan)})
        if stop:
            info(common, "the run had finished before the signal took effect")
    _show_report(common, report)
    return status_of(report, stop, asked=asked)


def _left_behind(folder: Path, plan: Plan) -> dict[Address, str]:
    """Of each token that the run deleted: where its secret still lies."""
    gone = [c.address for c in plan.changes if c.address.kind == "token" and c.after is None]
    places = places_of_secrets(folder) if gone else {}
    return {
        token: f"its secret, useless now, is still in {places[token]}: delete it there"
        for token in gone
        if token in places
    }


def _show_report(common: CommonOptions, report: RunReport) -> None:
    """Show the outcome of the run. A failure to do so does not change its exit status."""
    try:
        view = View(remarks={a: (t,) for a, t in report.losses.items()})
        show_if_possible(common, "report", report, view)
    except Exception as error:
        bug = Bug.of(error)
        info(common, f"cannot show the report: {bug.code}: {bug.summary}\n  {bug.hint}")


def _remember(
    common: CommonOptions, folder: Path, plan: Plan, report: RunReport, secrets: FolderSecrets
) -> None:
    """Store hashes of the secrets that were sent; without them a later change goes unnoticed."""
    done = {address for address, became in report.objects if became is Outcome.DONE}
    gone = [change.address for change in plan.changes if change.after is None]
    try:
        sent = {a: own for a, own in fingerprints.sent(plan.changes).items() if a in done}
        values = {
            a: {name: secrets.resolve(ref) for name, ref in o.items()} for a, o in sent.items()
        }
        fingerprints.remember(folder, values, secrets.places(sent), gone)
    except Exception as error:
        why = error if isinstance(error, OSError | PvectlError) else Bug.of(error)
        info(common, f"later changes to these secrets will not be detected: {why}")


def status_of(report: RunReport, stopped: list[int], *, asked: bool) -> ExitStatus:
    """The exit status of a run; `stopped` holds the signals that arrived meanwhile."""
    if report.outcome in (COMPLETED, ABANDONED):
        return ExitStatus.OK
    if report.outcome == DONE and report.complete:
        return ExitStatus(128 + stopped[0]) if stopped else ExitStatus.OK
    if report.outcome == ROLLED_BACK and report.restored:
        if isinstance(report.failure, Interrupted) and stopped:
            return ExitStatus(128 + stopped[0])
        return ExitStatus.OK if asked else ExitStatus.RESTORED
    return ExitStatus.NOT_RESTORED


def whoami(api: Api) -> Writer:
    """The lock owner that others see."""
    owner = f"{_account()}@{socket.gethostname()} as {api.actor}"
    return Writer(owner, os.environ.get("PVECTL_RUN_URL", ""))


def _account() -> str:
    """The name of the account that runs this; only a number in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def teller(common: CommonOptions) -> Callable[[Progress], None]:
    """Progress lines on standard error."""

    def tell(progress: Progress) -> None:
        if not progress.number:
            info(common, progress.text)
            return
        text = f"[{progress.number}/{progress.total}] {progress.text}"
        info(common, text, step=progress.number, of=progress.total)

    return tell


def _answer(runs: Sequence[RunContext]) -> str:
    """What the first signal leads to, in words."""
    if not runs:
        return "stopping as soon as the lock is released"
    state, steps = runs[0].state, runs[0].steps
    if state.is_finished:
        return "the run has ended"
    if state.is_rolling_back:
        return "the rollback continues to its end"
    if state.is_overtaken:
        return "finishing the request, then stopping: another run may have written since"
    if point_of_no_return(state, steps) or _is_irreversible(open_request(state, steps)):
        return "finishing the request, then stopping: the run cannot be rolled back any more"
    return "finishing the request, then rolling back"


def _is_irreversible(being_sent: tuple[OutgoingRequest, float] | None) -> bool:
    """Whether the request that is being sent cannot be undone."""
    changes = being_sent[0].changes if being_sent else ()
    return any(kind_of(change.address).writes.undo(change) is Undo.NONE for change in changes)
