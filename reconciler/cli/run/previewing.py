"""Plan one cluster or several: make the plan, show it, save it.

Imported when a plan is made: help and completion need none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.cli.common_options import CommonOptions, means_several
from reconciler.cli.context import Loaded, connect, each_cluster, here, now
from reconciler.cli.fleet.turn_summary import note_declared
from reconciler.cli.terminal.output import check_file, check_formats, info, unwritable
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, PvectlError, UsageError
from reconciler.model.api import Api
from reconciler.text.shell import shell

if TYPE_CHECKING:
    from reconciler.planning.builder import PlanResult


class PlanOptions(NamedTuple):
    """The options of `pvectl plan`."""

    out: Path | None
    sign: Path | None
    targets: list[str] | None
    allow: list[str] | None
    against: Path | None
    since: str | None
    send_secrets: bool
    known: bool
    detailed: bool


def preview(common: CommonOptions, asked: PlanOptions) -> ExitStatus:
    """Plan the clusters that the options choose; raises UsageError before anything is read."""
    _check(common, asked)
    return each_cluster(
        common, lambda cluster, settings: _one(common, asked, cluster, settings), at_once=True
    )


def _check(common: CommonOptions, asked: PlanOptions) -> None:
    check_formats(common, "plan")
    if asked.sign is not None and asked.out is None:
        raise UsageError("--sign signs the plan that --out saves", hint="add --out FILE")
    if asked.out is not None:
        check_file(asked.out)
    if asked.out is not None and means_several(common.on):
        raise UsageError("--out saves the plan of one cluster", hint="choose one with --on NAME")
    if asked.out is not None and asked.against is not None:
        raise UsageError(
            "--out saves a plan to apply, but --against only compares files",
            hint="for programs: --format json=FILE",
        )


def _one(
    common: CommonOptions, asked: PlanOptions, cluster: ClusterSettings, settings: Settings
) -> ExitStatus:
    unfinished = False
    if asked.against is not None:
        from reconciler.cli.run.offline_plan import plan_between
        from reconciler.cli.run.planning import load_to_plan

        loaded = load_to_plan(cluster, settings, offline=True)
        planned = plan_between(common, loaded, asked.against, asked.targets, asked.allow)
    else:
        with _opened(cluster, settings) as (api, loaded):
            from reconciler.cli.run.planning import left_unfinished, make_plan, read_to_plan

            live, earlier = read_to_plan(loaded, api, asked.since)
            planned = make_plan(
                loaded,
                api,
                live,
                asked.targets,
                asked.allow,
                earlier,
                send_secrets=asked.send_secrets,
            )
            unfinished = left_unfinished(here(cluster, api).folder)
    from reconciler.cli.run.planning import plan_status, show_plan

    note_declared(loaded.desired.state)
    command = _next(common, asked)
    show_plan(common, planned, command, unfinished=unfinished, known=asked.known)
    if asked.out is not None:
        _keep(common, planned, asked.out, asked.sign, command, unfinished=unfinished)
    status = plan_status(planned, detailed=asked.detailed)
    if status is ExitStatus.SECRETS and asked.out is not None and not planned.plan.refusals:
        return ExitStatus.CHANGES if asked.detailed else ExitStatus.OK
    return status


@contextmanager
def _opened(cluster: ClusterSettings, settings: Settings) -> Iterator[tuple[Api, Loaded]]:
    """A connection, and the files, loaded while it reads; their mistakes are told first."""
    with ExitStack() as stack:
        try:
            api = stack.enter_context(connect(cluster, read_only=True, plans=True))
        except PvectlError:
            from reconciler.cli.run.planning import load_to_plan

            load_to_plan(cluster, settings)
            raise
        from reconciler.cli.run.planning import load_to_plan

        yield api, load_to_plan(cluster, settings)


def _keep(
    common: CommonOptions,
    planned: PlanResult,
    out: Path,
    key: Path | None,
    command: str,
    *,
    unfinished: bool,
) -> None:
    """Save the plan, and say how it is applied, where it can be."""
    from reconciler.render.documents.plan import plans_only

    _save(planned, out, key)
    blocked = unfinished or plans_only(planned.plan) or planned.plan.refusals
    after = "" if blocked else f"; apply it with: {command}"
    info(common, f"saved: {out}{after}")


def _save(planned: PlanResult, out: Path, key: Path | None) -> None:
    """Write the plan, and its signature where a key is given; removes the signature of an earlier
    plan.
    """
    from reconciler.execution.plan_file import save_plan
    from reconciler.execution.signature import sign, signature_of

    try:
        signature_of(out).unlink(missing_ok=True)
        save_plan(planned.plan, out, now(), access=_access(planned))
        if key is not None:
            sign(out, key)
    except OSError as error:
        raise unwritable(str(out), error) from None


def _access(planned: PlanResult) -> object:
    from reconciler.access.review.saved_access import to_json, to_keep

    kept = to_keep(*planned.bare, planned.guests, now())
    return None if kept is None else to_json(kept)


def _next(common: CommonOptions, asked: PlanOptions) -> str:
    """The command that applies the plan shown; "" where there is none."""
    if asked.against is not None:
        return ""
    if asked.out is not None:
        return shell("pvectl", "apply", *common.again, str(asked.out))
    chosen = (word for target in asked.targets or () for word in ("--target", target))
    passed = (word for flag in asked.allow or () for word in ("--allow", flag))
    more = ("--send-secrets",) if asked.send_secrets else ()
    return shell("pvectl", "apply", *common.again, *chosen, *passed, *more)
