"""pvectl status, resume, rollback, unlock, show: what an earlier run left behind."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from reconciler.cli import runner as runs
from reconciler.cli.app import app
from reconciler.cli.command import CommonOptions, command
from reconciler.cli.commands.apply import confirm
from reconciler.cli.context import connect, each_cluster, here, load_cluster, now
from reconciler.cli.folder_secrets import FolderSecrets
from reconciler.cli.output import check_formats, info, show
from reconciler.cli.runner import Way, execute_journal
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import (
    ApplyNotRestored,
    ExitStatus,
    FilesInvalid,
    RequestRefused,
    Unreachable,
    UsageError,
)
from reconciler.execution.identity import NEW, SAME
from reconciler.execution.journal import store
from reconciler.execution.journal.journal import Event, is_finished, read_journal
from reconciler.execution.journal.replay import (
    OVERTAKEN,
    announced,
    final,
    going_back,
    is_taken_back,
    is_unbroken,
    touched,
)
from reconciler.execution.lock.cluster import clear, lease_ended
from reconciler.execution.lock.local import refuse_running, running
from reconciler.execution.lock.record import LockRecord, known_as, lock_records
from reconciler.execution.lock.record import unlock as remove_lock
from reconciler.execution.private_folder import check_file
from reconciler.execution.run.context import take_snapshot
from reconciler.execution.run.outcome import (
    ROLLED_BACK,
    STOPPED,
    RunReport,
    report_from_cluster,
    report_from_journal,
)
from reconciler.execution.wording import differences
from reconciler.kinds import kind_of
from reconciler.kinds.token import TokenSpec
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.change import Change, Undo
from reconciler.model.secret import SecretSink
from reconciler.render.documents.schedule_preview import remarks
from reconciler.render.view import View

JournalFile = Annotated[
    Path | None,
    typer.Argument(help="The journal; by default the unfinished one.", show_default=False),
]


class Standing(NamedTuple):
    """What `status` shows; `journal` is empty where no run is unfinished."""

    journal: str
    events: Sequence[Event]
    report: RunReport | None
    holders: Sequence[LockRecord]
    running: str = ""
    unasked: str = ""

    def exit_status(self, moment: float) -> ExitStatus:
        """An unfinished run before everything else, unless it is under way."""
        if self.running:
            return ExitStatus.LOCKED
        if self.report is not None:
            return ExitStatus.UNFINISHED
        if self.unasked:
            return ExitStatus.UNREACHABLE
        live = any(holder.until > moment for holder in self.holders)
        return ExitStatus.LOCKED if live else ExitStatus.OK


@command(app, "status")
def status(
    common: CommonOptions,
    cluster_is: Annotated[
        str,
        typer.Option(
            "--cluster-is",
            metavar="same|new",
            help="What a cluster is that shows another CA than before.",
            show_default=False,
        ),
    ] = "",
) -> ExitStatus:
    """Show the unfinished run, if there is one, what became of each object, and who holds the lock.

    Reads only. A cluster that cannot be reached is no hindrance: then it is what the journal says.
    Exit 11 when a run is unfinished, 6 when one is under way or somebody holds the lock, 7 when
    that cannot be asked, else 0.
    """
    check_formats(common, "standing")
    if cluster_is not in ("", SAME, NEW):
        raise UsageError(f"--cluster-is takes {SAME} or {NEW}, not '{cluster_is}'")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        del settings
        with connect(cluster, read_only=True) as api:
            standing = _standing(api, here(cluster, api, moved=cluster_is).folder)
        moment = now()
        show(common, "standing", standing, View(now=moment))
        return standing.exit_status(moment)

    return each_cluster(common, one)


def _standing(api: Api, folder: Path) -> Standing:
    """Read from the cluster and the newest journal; where nobody answers, from the journal."""
    live = running(folder)
    path = store.unfinished(folder)
    events = read_journal(path) if path else []
    steps = store.plan_of(events, path).steps if path else ()
    outcome = ROLLED_BACK if going_back(events) else STOPPED
    reached: RunReport | None = None
    try:
        there = lock_records(api)
        if path:
            if not live and not is_unbroken(events, known_as(there)):
                events = [*events, Event(OVERTAKEN, {})]
            reached = report_from_cluster(
                events, steps, lambda changes: take_snapshot(api, changes).state, outcome
            )
            if live:  # a secret is on its way, and nothing is to be done about it
                reached = replace(reached, secrets={})
    except (Unreachable, RequestRefused) as error:
        reached = report_from_journal(events, steps, outcome) if path else None
        return Standing(str(path or ""), events, reached, (), live, error.summary)
    return Standing(str(path or ""), events, reached, there, live)


@command(app, "resume")
def resume(
    common: CommonOptions,
    journal: JournalFile = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Go on although another run may have written since."),
    ] = False,
    abandon: Annotated[
        bool,
        typer.Option("--abandon", help="Close the run; the cluster stays as it is."),
    ] = False,
) -> ExitStatus:
    """Finish an interrupted run, forward or back, whichever way it was going.

    What was done already is read from the cluster; nothing is sent twice. Where another run may
    have written since, this one is closed if all that it wanted is in force; else exit 11 says
    what differs, and what can be done.
    """
    if yes and abandon:
        raise UsageError("--abandon closes the run, --yes goes on with it", hint="give one of them")
    return _continue(common, journal, Way(chosen=yes, abandon=abandon))


@command(app, "rollback")
def rollback(
    common: CommonOptions,
    journal: JournalFile = None,
    yes: Annotated[
        bool, typer.Option("--yes", envvar="PVECTL_YES", help="Do not ask; for CI.")
    ] = False,
) -> ExitStatus:
    """Take an interrupted run back, and verify that everything is as before.

    With a finished journal: lists what that run did and asks, then takes it back, where the objects
    are still as it left them.
    """
    check_formats(common, "report")
    if journal is not None and journal.is_file() and is_finished(read_journal(journal)):
        listed = _ways_back(journal)
        if not listed:
            info(common, "nothing of this run is in force; nothing to do")
            return ExitStatus.OK
        _ask_back(common, listed, yes=yes)
        yes = True
    return _continue(common, journal, Way(back=True, chosen=yes))


def _ask_back(common: CommonOptions, listed: Sequence[str], *, yes: bool) -> None:
    info(common, "This is undone, where it is still as the run left it:")
    for text in listed:
        info(common, f"  {text}")
    confirm("Undo it?", yes=yes)


def _ways_back(journal: Path) -> list[str]:
    """What takes a finished run back, in this order, as far as its journal tells; raises
    ApplyNotRestored where nothing does."""
    events = read_journal(journal)
    steps = store.plan_of(events, journal).steps
    pivot = final(events, steps)
    if pivot:
        raise ApplyNotRestored(
            f"it cannot be taken back any more: {pivot} was irreversible",
            hint="nothing was sent; declare what you want instead, then: pvectl plan",
        )
    numbers = sorted(touched(events), reverse=True)
    done = [number for number in numbers if not is_taken_back(events, number)]
    return [_way_back(change) for number in done for change in reversed(steps[number].changes)]


def _way_back(change: Change) -> str:
    kind, back = kind_of(change.address), change.inverse()
    text = kind.title((back,))
    if back.before is not None and back.after is not None:
        text = f"{text}: {differences(back.before, back.after) or 'a secret'}"
    lossy = " (LOSSY: a secret that was set before cannot be given back)"
    return text + lossy * (kind.undo(change) is Undo.LOSSY)


def _continue(common: CommonOptions, path: Path | None, way: Way) -> ExitStatus:
    check_formats(common, "report")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        with connect(cluster, read_only=False) as api:
            place = here(cluster, api)
            refuse_running(place.folder)
            chosen = path or store.unfinished(place.folder)
            if chosen is None:
                for dead in clear(api, place.folder):
                    info(common, f"removed the lock of a dead run, number {dead.fence}")
                info(common, "there is no unfinished run; nothing to do")
                return ExitStatus.OK
            if not chosen.is_file():
                raise UsageError(f"there is no journal {chosen}")
            check_file(chosen)
            events = read_journal(chosen)
            if not way.back and is_finished(events):
                info(common, "this run came to its end; nothing to do")
                return ExitStatus.OK
            if is_finished(events):
                store.refuse_unfinished(place.folder)
            sure = way
            if way.back and not is_finished(events) and _is_others(common, api, events):
                _ask_back(common, _ways_back(chosen), yes=way.chosen)
                sure = way._replace(chosen=True)
            secrets = FolderSecrets(cluster.folder, cluster.reach, cluster.secret)
            declared = partial(_declared_sinks, common, cluster, settings)
            return execute_journal(common, api, place, chosen, secrets, declared, sure)

    return each_cluster(common, one)


def _is_others(common: CommonOptions, api: Api, events: Sequence[Event]) -> bool:
    """Whether others may have built upon an unfinished run, which is then said."""
    if not is_unbroken(events, known_as(lock_records(api))):
        info(common, "another run may have written to this cluster since this one stopped")
    elif announced(events) and lease_ended(events, runs.SystemClock().now()):
        info(common, "this run stopped a while ago; others may rely on what it did")
    else:
        return False
    return True


def _declared_sinks(
    common: CommonOptions, cluster: ClusterSettings, settings: Settings
) -> Mapping[Address, SecretSink]:
    """Where the state files send the secrets of tokens; none where they cannot be read."""
    try:
        desired = load_cluster(cluster, settings).desired
    except (FilesInvalid, UsageError) as error:
        info(common, f"{error.summary}: secrets go where the journal says")
        return {}
    return {
        address: declared.spec.secret_to
        for address, declared in desired.objects.items()
        if isinstance(declared.spec, TokenSpec) and declared.spec.secret_to is not None
    }


@command(app, "unlock")
def unlock(
    common: CommonOptions,
    fence: Annotated[int, typer.Option("--fence", help="The lock's number, from `status`.")],
) -> ExitStatus:
    """Remove the lock of a run that is dead for certain."""

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        del settings
        with connect(cluster, read_only=False) as api:
            holder = remove_lock(api, fence)
        info(common, f"removed the lock of {holder.owner}")
        return ExitStatus.OK

    return each_cluster(common, one)


@command(app, "show")
def show_file(
    common: CommonOptions, file: Annotated[Path, typer.Argument(help="A saved plan or a journal.")]
) -> ExitStatus:
    """Show a saved plan or a journal, offline."""
    from reconciler.execution.plan_file import is_plan, load_plan

    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    with file.open("rb") as opened:
        first = opened.readline()
    try:
        content = json.loads(first)
        kind = "plan" if is_plan(content) else "journal" if "event" in content else ""
    except (ValueError, AttributeError, TypeError, RecursionError):
        kind = "journal" if file.suffix == ".jsonl" else ""
    if not kind:
        raise UsageError(f"{file} is neither a saved plan nor a journal, or only a part of one")
    check_formats(common, kind)
    if kind == "journal":
        _show_journal(common, file)
    else:
        plan = load_plan(file).plan
        notes = remarks(plan, dt.datetime.fromtimestamp(now(), dt.UTC))
        show(common, "plan", plan, View(now=now(), remarks=notes))
    return ExitStatus.OK


def _show_journal(common: CommonOptions, path: Path) -> None:
    show(common, "journal", read_journal(path))
