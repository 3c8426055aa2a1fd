"""An unfinished or finished run, continued or rolled back: what `resume` and `rollback` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli import runner as runs
from reconciler.cli.command import CommonOptions
from reconciler.cli.context import connect, each_cluster, here, load_cluster
from reconciler.cli.folder_secrets import FolderSecrets
from reconciler.cli.output import check_formats, info
from reconciler.cli.prompt import confirm
from reconciler.cli.runner import Way, execute_journal
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import (
    ApplyNotRestored,
    ExitStatus,
    FilesInvalid,
    UsageError,
)
from reconciler.execution.journal import store
from reconciler.execution.journal.journal import Event, is_finished, read_journal
from reconciler.execution.journal.replay import (
    announced,
    final,
    is_taken_back,
    is_unbroken,
    touched,
)
from reconciler.execution.lock.cluster import clear, lease_ended
from reconciler.execution.lock.local import refuse_running
from reconciler.execution.lock.record import known_as, lock_records
from reconciler.execution.private_folder import check_file
from reconciler.execution.wording import differences
from reconciler.kinds import kind_of
from reconciler.kinds.token import TokenSpec
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.change import Change, Undo
from reconciler.model.secret import SecretSink

JournalFile = Annotated[
    Path | None,
    typer.Argument(help="The journal; by default the unfinished one.", show_default=False),
]


def continue_run(common: CommonOptions, path: Path | None, way: Way) -> ExitStatus:
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
                confirm_undo(common, steps_to_undo(chosen), yes=way.chosen)
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


def confirm_undo(common: CommonOptions, listed: Sequence[str], *, yes: bool) -> None:
    info(common, "This is undone, where it is still as the run left it:")
    for text in listed:
        info(common, f"  {text}")
    confirm("Undo it?", yes=yes)


def steps_to_undo(journal: Path) -> list[str]:
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
