"""Shared by `resume` and `rollback`: continue or roll back a recorded run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, each_cluster, here, load_cluster
from reconciler.cli.drill.recovery import continue_drills
from reconciler.cli.run import runner as runs
from reconciler.cli.run.lock_wait import wait_while_running
from reconciler.cli.run.runner import Pace, Way, execute_journal
from reconciler.cli.state_folder.folder_secrets import FolderSecrets
from reconciler.cli.terminal.output import check_formats, info
from reconciler.cli.terminal.prompt import confirm
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import (
    ApplyNotRestored,
    ExitStatus,
    FilesInvalid,
    UsageError,
)
from reconciler.execution.drills.store import is_drill
from reconciler.execution.journal import store
from reconciler.execution.journal.journal import read_journal
from reconciler.execution.journal.replay import point_of_no_return
from reconciler.execution.lock.cluster import clear
from reconciler.execution.lock.lease import lease_ended
from reconciler.execution.lock.record import known_as, lock_records
from reconciler.execution.private_folder import check_file
from reconciler.kinds import describe_step, kind_of
from reconciler.kinds.token import TokenSpec
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.change import Change, Undo
from reconciler.model.field_diff import in_one_line
from reconciler.model.plan import Plan
from reconciler.model.run_state import RunState
from reconciler.model.secret import SecretSink


def continue_run(
    common: CommonOptions, path: Path | None, way: Way, lock_timeout: int | None
) -> ExitStatus:
    """`lock_timeout`: seconds to wait for another run to end."""
    common = replace(common, lock_timeout=lock_timeout or 0)
    check_formats(common, "report")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        with connect(cluster, read_only=False) as api:
            place = here(cluster, api)
            wait_while_running(common, place.folder)
            chosen = path or store.unfinished(place.folder)
            if chosen is None or (chosen.is_file() and is_drill(chosen)):
                ended = continue_drills(common, api, place, cluster.folder, path, way)
                if ended is not None:
                    return ended
            if chosen is None:
                for dead in clear(api, place.folder):
                    info(common, f"removed lock {dead.fence} of a dead run")
                info(common, "there is no unfinished run; nothing to do")
                return ExitStatus.OK
            if not chosen.is_file():
                raise UsageError(f"journal not found: {chosen}", hint="list them: pvectl log")
            check_file(chosen)
            state = RunState.of(read_journal(chosen))
            if not way.back and state.is_finished:
                info(common, "the run is already complete; nothing to do")
                return ExitStatus.OK
            if state.is_finished:
                store.refuse_unfinished(place.folder)
            sure = way
            if way.back and not state.is_finished and _is_others(common, api, state):
                confirm_undo(common, steps_to_undo(*store.load(chosen)), yes=way.chosen)
                sure = way._replace(chosen=True)
            secrets = FolderSecrets(cluster.folder, cluster.reach, cluster.own_secrets)
            declared = partial(_declared_sinks, common, cluster, settings)
            pace = Pace(settings.policy.apply.max_staleness)
            return execute_journal(common, api, place, chosen, secrets, declared, sure, pace=pace)

    return each_cluster(common, one)


def _is_others(common: CommonOptions, api: Api, state: RunState) -> bool:
    """Whether later runs may depend on an unfinished run, which is then reported instead."""
    if not state.is_unbroken(known_as(lock_records(api))):
        info(common, "another run may have written to this cluster since this one stopped")
    elif state.has_announced and lease_ended(state.last_time, runs.SystemClock().now()):
        info(common, "this run stopped a while ago; later changes may depend on it")
    else:
        return False
    return True


def _declared_sinks(
    common: CommonOptions, cluster: ClusterSettings, settings: Settings
) -> Mapping[Address, SecretSink]:
    """Where the state files deliver the secrets of tokens; empty where the files cannot be read."""
    try:
        desired = load_cluster(cluster, settings).desired
    except (FilesInvalid, UsageError) as error:
        info(common, f"{error.summary}: secrets are delivered where the journal says")
        return {}
    return {
        address: declared.spec.secret_to
        for address, declared in desired.objects.items()
        if isinstance(declared.spec, TokenSpec) and declared.spec.secret_to is not None
    }


def confirm_undo(common: CommonOptions, listed: Sequence[str], *, yes: bool) -> None:
    info(common, "Will be rolled back, if unchanged since the run:")
    for text in listed:
        info(common, f"  {text}")
    confirm("Roll this back?", yes=yes)


def steps_to_undo(plan: Plan, state: RunState) -> list[str]:
    """The steps that roll a recorded run back, in order, according to its journal; raises
    ApplyNotRestored where that is impossible.
    """
    pivot = point_of_no_return(state, plan.steps)
    if pivot:
        raise ApplyNotRestored(
            f"cannot roll back: {pivot} is irreversible and was applied",
            hint="nothing was sent; declare what you want instead, then run `pvectl plan`",
        )
    applied = [number for number in reversed(state.touched) if not state.step(number).is_undone]
    return [_undo(change) for number in applied for change in reversed(plan.steps[number].changes)]


def _undo(change: Change) -> str:
    kind, back = kind_of(change.address), change.inverse()
    text = describe_step((back,))
    if back.before is not None and back.after is not None:
        text = f"{text}: {in_one_line(back.before, back.after) or 'a secret'}"
    lossy = " (LOSSY: the previous secret cannot be restored)"
    return text + lossy * (kind.writes.undo(change) is Undo.LOSSY)
