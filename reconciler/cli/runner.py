"""A plan or a journal is run: locks, signals, progress, report, exit status."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from reconciler.cli.command import CommonOptions
from reconciler.cli.context import Here
from reconciler.cli.folder_secrets import FolderSecrets
from reconciler.cli.output import info, show_if_possible
from reconciler.cli.slow_requests import report_slow_requests
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
from reconciler.execution.journal.journal import Event, Journal, is_finished, read_journal
from reconciler.execution.journal.replay import (
    asked_for,
    final,
    going_back,
    is_overtaken,
    open_order,
)
from reconciler.execution.lock.cluster import Writer, one_writer
from reconciler.execution.overtaken import abandon
from reconciler.execution.run.context import OutgoingRequest, Progress, RunContext
from reconciler.execution.run.outcome import (
    ABANDONED,
    COMPLETED,
    DONE,
    ROLLED_BACK,
    Outcome,
    RunReport,
)
from reconciler.execution.secrets import fingerprints
from reconciler.execution.secrets.routing import Sinks, redirected, undelivered, with_sinks
from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.change import Undo
from reconciler.model.plan import Plan
from reconciler.model.secret import SecretSink
from reconciler.render.view import View


class SystemClock:
    """The real time."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def execute(
    common: CommonOptions, api: Api, folder: Path, plan: Plan, secrets: FolderSecrets
) -> ExitStatus:
    """Run a new plan; `folder` is the cluster's own."""
    for step in plan.steps:
        secrets.check(step)
    mine, clock = whoami(api), SystemClock()

    def begin() -> Journal:
        store.refuse_unfinished(folder)
        return store.start(folder, plan, mine.owner, mine.run, clock.now())

    return _run(common, api, folder, plan, secrets, begin, apply_plan)


class Way(NamedTuple):
    """What is to become of an unfinished run: on as it was going, or `back`; `abandon` closes it.
    `chosen`: a person knows that another run may have come between."""

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
) -> ExitStatus:
    """Go on with the run of a journal, or end it.

    `declared`: where the files of today send the secrets of tokens; on the way forward these are
    asked, and only where secrets are still to be delivered. Raises StalePlan for the journal of
    another cluster.
    """
    events = read_journal(path)
    plan = store.plan_of(events, path)
    kept = path.resolve().parent == place.folder.resolve() and not plan.identity
    if not kept and not plan.is_for(place.name, place.identity):
        raise StalePlan(
            f"the journal is of {plan.cluster}, not of {place.name}",
            hint="choose the cluster with --on",
        )
    mine, clock = whoami(api), SystemClock()
    forward = not way.back and not way.abandon and not going_back(events)
    sinks = _sinks_of_today(common, events, plan, secrets, declared) if forward else {}

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
    return _run(common, api, place.folder, plan, secrets, go_on, work)


def _sinks_of_today(
    common: CommonOptions,
    events: Sequence[Event],
    plan: Plan,
    secrets: FolderSecrets,
    declared: Callable[[], Mapping[Address, SecretSink]],
) -> Sinks:
    """Where secrets are to go that have not arrived, if it is elsewhere than the journal says.

    Each sink is tried before anything is sent; raises ApplyNotRestored for one that would fail.
    """
    waiting = undelivered(events, plan.steps)
    if not waiting:
        return {}
    sinks = redirected(events, plan.steps, declared())
    steps = with_sinks(plan.steps, sinks)
    for token, number in waiting.items():
        sink = steps[number].sink
        try:
            secrets.check(steps[number])
        except SinkFailed as failure:
            raise ApplyNotRestored(
                failure.summary,
                hint=f"nothing was sent; correct secret_to of {token.id} in the state files, "
                "then: pvectl resume",
            ) from None
        if number in sinks:
            info(common, f"{token.id}: the secret goes to {sink}, as the files say now")
    return sinks


def _run(
    common: CommonOptions,
    api: Api,
    folder: Path,
    plan: Plan,
    secrets: FolderSecrets,
    begin: Callable[[], Journal],
    work: Callable[[RunContext], RunReport],
) -> ExitStatus:
    """Hold both locks while `work` runs over the journal that `begin` opens."""
    clock = SystemClock()
    stop: list[int] = []
    runs: list[RunContext] = []

    def tell(text: str) -> None:
        info(common, text)

    with (
        signals(stop, runs),
        report_slow_requests(api, tell) as watched,
        one_writer(watched, clock, whoami(api), folder, begin, tell) as (lock, journal),
    ):
        for dead in lock.taken_over:
            text = f"took over the lock of {dead.owner}, number {dead.fence} {dead.run}"
            info(common, text.rstrip())
        run = RunContext(watched, plan.steps, journal, clock, secrets, lock, teller(common), stop)
        runs.append(run)
        report = work(run)
        asked = asked_for(journal.events)
    if report.outcome == DONE and report.complete:
        _remember(common, folder, plan, report, secrets)
        if stop:
            info(common, "the run had finished before the signal took effect")
    _tell(common, report)
    return status_of(report, stop, asked=asked)


def _tell(common: CommonOptions, report: RunReport) -> None:
    """What became of the run. Whatever happens here comes too late to decide how it ended."""
    try:
        view = View(remarks={a: (t,) for a, t in report.losses.items()})
        show_if_possible(common, "report", report, view)
    except Exception as error:
        bug = Bug.of(error)
        info(common, f"the report cannot be shown: {bug.code}: {bug.summary}\n  {bug.hint}")


def _remember(
    common: CommonOptions, folder: Path, plan: Plan, report: RunReport, secrets: FolderSecrets
) -> None:
    """Keep hashes of the secrets that were sent; without them a change is only not noticed."""
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
        info(common, f"a later change of these secrets will not be noticed: {why}")


def status_of(report: RunReport, stopped: list[int], *, asked: bool) -> ExitStatus:
    """What a run ends with; `stopped` holds the signals that came in between."""
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
    """Who holds the lock, for others to see."""
    owner = f"{_account()}@{socket.gethostname()} as {api.actor}"
    return Writer(owner, os.environ.get("PVECTL_RUN_URL", ""))


def _account() -> str:
    """The name of the account that runs this; a container may know its number only."""
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


@contextmanager
def signals(stop: list[int], runs: Sequence[RunContext]) -> Iterator[None]:
    """The first INT, TERM or HUP asks the run to stop; on the way back it changes nothing. The
    second one stops at once: what is left is the journal's to tell, and a person's to decide.

    A further HUP is none: when a terminal closes, kernel, shell and service manager each may send
    one. With nohup it stays ignored.

    `stop` gets the numbers of the signals; `runs` holds the run once it has begun.
    """

    def heard(number: int, frame: object) -> None:
        del frame
        if number == signal.SIGHUP and stop:
            return
        stop.append(number)
        if len(stop) == 1:
            _shout(f"{_answer(runs)}; again: stop at once")
            return
        if any(run.journal.finished for run in runs):
            os._exit(128 + number)
        _shout("stopped at once: pvectl status shows where it stands, pvectl resume goes on")
        os._exit(ExitStatus.NOT_RESTORED)

    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heeded.append(signal.SIGHUP)
    before = {number: signal.signal(number, heard) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _answer(runs: Sequence[RunContext]) -> str:
    """What the first signal leads to."""
    if not runs:
        return "stopping as soon as the lock is settled"
    events, steps = runs[0].journal.events, runs[0].steps
    if is_finished(events):
        return "the run has come to its end"
    if going_back(events):
        return "the way back goes on to its end"
    if is_overtaken(events):
        return "finishing the request, then stopping: another run may have written since"
    if final(events, steps) or _is_final(open_order(events, steps)):
        return "finishing the request, then stopping: what was done cannot be taken back any more"
    return "finishing the request, then taking everything back"


def _is_final(under_way: tuple[OutgoingRequest, float] | None) -> bool:
    """Whether the request that is under way is one that nothing takes back."""
    changes = under_way[0].changes if under_way else ()
    return any(kind_of(change.address).undo(change) is Undo.NONE for change in changes)


def _shout(text: str) -> None:
    """From a signal handler, which may have interrupted any other output."""
    with suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), f"\n{text}\n".encode())
