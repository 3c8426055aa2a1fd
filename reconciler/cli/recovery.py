"""pvectl status, resume, rollback, unlock, show: what an earlier run left behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from reconciler.cli.app import app
from reconciler.cli.apply import confirm
from reconciler.cli.common import Common, command
from reconciler.cli.running import execute_journal
from reconciler.cli.secrets import FolderSecrets
from reconciler.cli.session import connect, each_cluster, name_of, now
from reconciler.cli.talk import check_formats, say, show
from reconciler.desired.settings import Settings
from reconciler.desired.target import Cluster
from reconciler.errors import ExitStatus, UsageError
from reconciler.execution import journals
from reconciler.execution.holders import Holder, holders
from reconciler.execution.holders import unlock as remove_lock
from reconciler.execution.journal import Event, is_finished, read_journal
from reconciler.execution.lock import clear
from reconciler.execution.report import ROLLED_BACK, STOPPED, Report, account
from reconciler.execution.run import look
from reconciler.execution.trail import going_back
from reconciler.model.api import Api
from reconciler.render.view import View

JournalFile = Annotated[
    Path | None,
    typer.Argument(help="The journal; by default the unfinished one.", show_default=False),
]


class Standing(NamedTuple):
    """What `status` shows; `journal` is empty where no run is unfinished."""

    journal: str
    events: Sequence[Event]
    report: Report | None
    holders: Sequence[Holder]


@command(app, "status")
def status(common: Common) -> ExitStatus:
    """Show the unfinished run, if there is one, what became of each object, and who holds the lock.

    Reads only. Exit 11 when a run is unfinished, 6 when somebody holds the lock, else 0.
    """
    check_formats(common, "standing")

    def one(cluster: Cluster, settings: Settings) -> ExitStatus:
        del settings
        with connect(cluster, read_only=True) as api:
            path = journals.unfinished(journals.folder_of(name_of(cluster, api)))
            events = read_journal(path) if path else []
            reached = _account(api, events, path) if path else None
            there = holders(api)
        moment = now()
        standing = Standing(str(path or ""), events, reached, there)
        show(common, "standing", standing, View(now=moment))
        if path is not None:
            return ExitStatus.UNFINISHED
        live = any(holder.until > moment for holder in there)
        return ExitStatus.LOCKED if live else ExitStatus.OK

    return each_cluster(common, one)


def _account(api: Api, events: list[Event], path: Path) -> Report:
    """What became of each object of an unfinished run, read from the cluster."""
    steps = journals.plan_of(events, path).steps
    outcome = ROLLED_BACK if going_back(events) else STOPPED
    return account(events, steps, lambda changes: look(api, changes).state, outcome)


@command(app, "resume")
def resume(common: Common, journal: JournalFile = None) -> ExitStatus:
    """Finish an interrupted run, forward or back, whichever way it was going.

    What was done already is read from the cluster; nothing is sent twice.
    """
    return _continue(common, journal, back=False)


@command(app, "rollback")
def rollback(
    common: Common,
    journal: JournalFile = None,
    yes: Annotated[
        bool, typer.Option("--yes", envvar="PVECTL_YES", help="Do not ask; for CI.")
    ] = False,
) -> ExitStatus:
    """Take an interrupted run back, and verify that everything is as before.

    With a finished journal: asks first, then takes back what that run did, where the objects are
    still as it left them.
    """
    if journal is not None and journal.is_file() and is_finished(read_journal(journal)):
        _show_journal(common, journal)
        confirm("Take back what this run did?", yes=yes)
    return _continue(common, journal, back=True)


def _continue(common: Common, path: Path | None, *, back: bool) -> ExitStatus:
    check_formats(common, "report")

    def one(cluster: Cluster, settings: Settings) -> ExitStatus:
        del settings
        with connect(cluster, read_only=False) as api:
            name = name_of(cluster, api)
            chosen = path or journals.unfinished(journals.folder_of(name))
            if chosen is None:
                for dead in clear(api, journals.folder_of(name)):
                    say(common, f"removed the lock of a dead run, number {dead.fence}")
                say(common, "there is no unfinished run; nothing to do")
                return ExitStatus.OK
            if not chosen.is_file():
                raise UsageError(f"there is no journal {chosen}")
            if not back and is_finished(read_journal(chosen)):
                say(common, "this run came to its end; nothing to do")
                return ExitStatus.OK
            secrets = FolderSecrets(cluster.folder)
            return execute_journal(common, api, name, chosen, secrets, back=back)

    return each_cluster(common, one)


@command(app, "unlock")
def unlock(
    common: Common,
    fence: Annotated[int, typer.Option("--fence", help="The lock's number, from `status`.")],
) -> ExitStatus:
    """Remove the lock of a run that is dead for certain."""

    def one(cluster: Cluster, settings: Settings) -> ExitStatus:
        del settings
        with connect(cluster, read_only=False) as api:
            holder = remove_lock(api, fence)
        say(common, f"removed the lock of {holder.owner}")
        return ExitStatus.OK

    return each_cluster(common, one)


@command(app, "show")
def show_file(
    common: Common, file: Annotated[Path, typer.Argument(help="A saved plan or a journal.")]
) -> ExitStatus:
    """Show a saved plan or a journal, offline."""
    from reconciler.execution.saved import is_plan, load_plan

    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    with file.open("rb") as opened:
        first = opened.readline()
    try:
        content = json.loads(first)
        kind = "plan" if is_plan(content) else "journal" if "event" in content else ""
    except (ValueError, AttributeError, TypeError):
        kind = "journal" if file.suffix == ".jsonl" else ""
    if not kind:
        raise UsageError(f"{file} is neither a saved plan nor a journal, or only a part of one")
    check_formats(common, kind)
    if kind == "journal":
        _show_journal(common, file)
    else:
        show(common, "plan", load_plan(file).plan)
    return ExitStatus.OK


def _show_journal(common: Common, path: Path) -> None:
    show(common, "journal", read_journal(path))
