"""pvectl apply: do it, and take everything back when a step fails."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.common import Common, command
from reconciler.cli.plan import Allow, Targets, make_plan, show_plan
from reconciler.cli.secrets import FolderSecrets
from reconciler.cli.session import connect, each_cluster, load_cluster, look, now
from reconciler.cli.talk import check_formats, say, show
from reconciler.desired.settings import Settings
from reconciler.desired.target import Cluster
from reconciler.errors import ExitStatus, Interrupted, Refused, StalePlan, UsageError
from reconciler.execution import journals
from reconciler.execution.apply import apply as apply_plan
from reconciler.execution.journal import Journal, read_journal
from reconciler.execution.lock import acquire, highest_fence, local_lock, remember_fence
from reconciler.execution.report import Report
from reconciler.execution.rollback import roll_back
from reconciler.execution.run import Progress, Run
from reconciler.model.api import Api
from reconciler.model.plan import Plan


class SystemClock:
    """The real time."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@command(app, "apply")
def apply(
    common: Common,
    file: Annotated[
        Path | None, typer.Argument(help="A plan saved with `plan --out`.", show_default=False)
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", envvar="PVECTL_YES", help="Do not ask; for CI.")
    ] = False,
    approve: Annotated[
        str | None,
        typer.Option("--approve", metavar="DIGEST", help="Apply only the plan of this digest."),
    ] = None,
    target: Targets = None,
    allow: Allow = None,
) -> ExitStatus:
    """Bring the cluster to the declared state.

    Shows the plan, asks, then sends it step by step; each step is written to a journal before and
    after. When a step fails everything is taken back and verified. Exit 0 when done; 9 when it
    failed and everything is as before; 10 when a person is needed.
    """
    check_formats(common, "plan", "report")
    if file is not None and (target or allow):
        raise UsageError(
            "a saved plan is applied as it is", hint="give --target, --allow to `plan`"
        )

    def one(cluster: Cluster, settings: Settings) -> ExitStatus:
        with connect(cluster, read_only=False) as api:
            folder = journals.folder_of(api.endpoint)
            journals.refuse_unfinished(folder)
            if file is not None:
                plan = _saved(common, file, api, cluster, settings)
            else:
                plan = _fresh(common, cluster, settings, api, target, allow)
            if plan.refusals:
                codes = ", ".join(sorted({finding.code for finding in plan.refusals}))
                raise Refused(f"the plan is refused: {codes}", hint="nothing was sent")
            if not plan.steps:
                return ExitStatus.OK
            if approve is not None and not (len(approve) >= 8 and plan.digest.startswith(approve)):
                raise StalePlan(
                    f"the plan has the digest {plan.digest[:12]}, not {approve[:12]}",
                    hint="review this plan and approve its digest",
                )
            _confirm(yes=yes or approve is not None or file is not None)
            return execute(common, api, plan, FolderSecrets(cluster.folder))

    return each_cluster(common, one)


def _fresh(
    common: Common,
    cluster: Cluster,
    settings: Settings,
    api: Api,
    targets: list[str] | None,
    allow: list[str] | None,
) -> Plan:
    loaded = load_cluster(cluster, settings)
    planned = make_plan(loaded, api, look(api, loaded.desired), targets, allow)
    show_plan(common, planned)
    return planned.plan


def _saved(common: Common, file: Path, api: Api, cluster: Cluster, settings: Settings) -> Plan:
    from reconciler.execution.saved import check_fits, check_fresh, load_plan

    saved = load_plan(file)
    check_fits(saved, api.endpoint, api.actor, now())
    loaded = load_cluster(cluster, settings)
    check_fresh(saved.plan, look(api, loaded.desired).state)
    return saved.plan


def _confirm(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here", hint="add --yes, or --approve DIGEST")
    sys.stderr.write("\nApply this plan? Only 'yes' is taken for yes: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "yes":
        raise Refused("not applied", hint="nothing was sent")


def execute(common: Common, api: Api, plan: Plan, secrets: FolderSecrets) -> ExitStatus:
    """Run a new plan: locks, journal, requests, report."""
    for step in plan.steps:
        secrets.check(step)

    def begin(folder: Path, fence: int, clock: SystemClock) -> Journal:
        journals.refuse_unfinished(folder)
        run_url = os.environ.get("PVECTL_RUN_URL", "")
        return journals.start(folder, plan, whoami(api), run_url, fence, clock.now())

    return _locked(common, api, plan, secrets, begin, apply_plan)


def execute_journal(
    common: Common, api: Api, path: Path, secrets: FolderSecrets, *, back: bool
) -> ExitStatus:
    """Go on with the run of a journal, the way it was going, or back."""
    events = read_journal(path)
    plan = journals.plan_of(events, path)
    if plan.cluster != api.endpoint:
        raise StalePlan(f"the journal is of {plan.cluster}, not of {api.endpoint}")

    def work(run: Run) -> Report:
        if back and not journals.going_back(events):
            run.journal.write("rollback", cause={"code": "E_ASKED", "summary": "asked for"})
        return roll_back(run) if back or journals.going_back(events) else apply_plan(run)

    return _locked(common, api, plan, secrets, lambda *_: Journal.open(path), work)


def _locked(
    common: Common,
    api: Api,
    plan: Plan,
    secrets: FolderSecrets,
    begin: Callable[[Path, int, SystemClock], Journal],
    work: Callable[[Run], Report],
) -> ExitStatus:
    """Hold both locks while `work` runs over the journal that `begin` opens."""
    folder, clock = journals.folder_of(api.endpoint), SystemClock()
    run_url = os.environ.get("PVECTL_RUN_URL", "")
    with local_lock(folder) as fence_file:
        lock = acquire(api, clock, whoami(api), run_url, highest_fence(fence_file))
        try:
            remember_fence(fence_file, lock.mine.fence)
            with begin(folder, lock.mine.fence, clock) as journal:
                run = Run(api, plan.steps, journal, clock, secrets, lock, tell=teller(common))
                with signals(run):
                    report = work(run)
        finally:
            lock.release()
    return finish(common, report, run.stop)


def whoami(api: Api) -> str:
    """Who holds the lock, for others to see."""
    return f"{getpass.getuser()}@{socket.gethostname()} as {api.actor}"


def teller(common: Common) -> Callable[[Progress], None]:
    """Progress lines on standard error."""

    def tell(progress: Progress) -> None:
        text = f"[{progress.number}/{progress.total}] {progress.text}"
        say(common, text, step=progress.number, of=progress.total)

    return tell


@contextmanager
def signals(run: Run) -> Iterator[None]:
    """The first INT or TERM asks the run to stop and roll back; the second one stops at once."""

    def stop(number: int, frame: object) -> None:
        del frame
        run.stop.append(number)
        if len(run.stop) > 1:
            os._exit(128 + number)
        sys.stderr.write(
            "\nfinishing the request, then taking everything back; again: stop at once\n"
        )

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish(common: Common, report: Report, stopped: list[int]) -> ExitStatus:
    """Show the report; the exit status that belongs to it."""
    show(common, "report", report)
    if report.outcome == "done":
        return ExitStatus.OK
    if report.outcome == "rolled back" and report.restored:
        if isinstance(report.failure, Interrupted) and stopped:
            return ExitStatus(128 + stopped[0])
        return ExitStatus.RESTORED
    return ExitStatus.NOT_RESTORED
