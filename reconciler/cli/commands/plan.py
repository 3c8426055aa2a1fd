"""pvectl plan: show what apply would do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions, means_several
from reconciler.cli.context import Loaded, connect, each_cluster, here, now
from reconciler.cli.fleet.turn_summary import note_declared
from reconciler.cli.run.plan_options import Allow, SendSecrets, Since, Targets
from reconciler.cli.terminal.output import check_file, check_formats, info, unwritable
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, PvectlError, UsageError
from reconciler.model.api import Api
from reconciler.text.shell import shell

if TYPE_CHECKING:
    from reconciler.planning.builder import PlanResult


@command(app, "plan", Panel.PLAN, 1)
def plan(
    common: CommonOptions,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan for `apply FILE`.")
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option("--sign", metavar="KEY", help="Sign the saved plan with an SSH key."),
    ] = None,
    target: Targets = None,
    allow: Allow = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="DIR",
            help="Compare with another state folder instead of the cluster.",
        ),
    ] = None,
    since: Since = None,
    *,
    send_secrets: SendSecrets = False,
    known: Annotated[
        bool, typer.Option("--known", help="Also show known findings in full.")
    ] = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when there are changes.")
    ] = False,
) -> ExitStatus:
    """Show what `apply` would do, why, and who gains or loses which privilege.

    `--format html=FILE` is one page with the access before and after, as table and as picture.

    Sends GET requests only. Exit 0; 2 with --detailed-exitcode when there are changes; 4 when a
    policy forbids the plan (it is still shown); 14 when a secret that it sends is missing on this
    machine or would be refused by Proxmox VE (with --out, a missing one is not an error).
    """
    check_formats(common, "plan")
    if sign is not None and out is None:
        raise UsageError("--sign signs the plan that --out saves", hint="add --out FILE")
    if out is not None:
        check_file(out)
    if out is not None and means_several(common.on):
        raise UsageError("--out saves the plan of one cluster", hint="choose one with --on NAME")
    if out is not None and against is not None:
        raise UsageError(
            "--out saves a plan to apply, but --against only compares files",
            hint="for programs: --format json=FILE",
        )

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        unfinished = False
        if against is not None:
            from reconciler.cli.run.offline_plan import plan_between
            from reconciler.cli.run.planning import load_to_plan

            loaded = load_to_plan(cluster, settings, offline=True)
            planned = plan_between(common, loaded, against, target, allow)
        else:
            with _opened(cluster, settings) as (api, loaded):
                from reconciler.cli.run.planning import left_unfinished, make_plan, read_to_plan

                live, earlier = read_to_plan(loaded, api, since)
                planned = make_plan(
                    loaded, api, live, target, allow, earlier, send_secrets=send_secrets
                )
                unfinished = left_unfinished(here(cluster, api).folder)
        from reconciler.cli.run.planning import plan_status, show_plan

        note_declared(loaded.desired.state)
        command = _next(common, out, against, target, allow, send_secrets=send_secrets)
        show_plan(common, planned, command, unfinished=unfinished, known=known)
        if out is not None:
            _keep(common, planned, out, sign, command, unfinished=unfinished)
        status = plan_status(planned, detailed=detailed_exitcode)
        if status is ExitStatus.SECRETS and out is not None and not planned.plan.refusals:
            return ExitStatus.CHANGES if detailed_exitcode else ExitStatus.OK
        return status

    return each_cluster(common, one, at_once=True)


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
    from reconciler.access.review.kept import to_json, to_keep

    kept = to_keep(*planned.bare, planned.guests, now())
    return None if kept is None else to_json(kept)


def _next(
    common: CommonOptions,
    out: Path | None,
    against: Path | None,
    targets: list[str] | None,
    allowed: list[str] | None,
    *,
    send_secrets: bool,
) -> str:
    """The command that applies the plan shown; "" where there is none."""
    if against is not None:
        return ""
    if out is not None:
        return shell("pvectl", "apply", *common.again, str(out))
    chosen = (word for target in targets or () for word in ("--target", target))
    passed = (word for flag in allowed or () for word in ("--allow", flag))
    more = ("--send-secrets",) if send_secrets else ()
    return shell("pvectl", "apply", *common.again, *chosen, *passed, *more)
