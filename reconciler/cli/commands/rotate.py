"""pvectl rotate: give a token a new secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import (
    connect,
    each_cluster,
    here,
    load_cluster,
    now,
    read_cluster,
    with_health,
)
from reconciler.cli.run.lock_wait import wait_for_turn
from reconciler.cli.run.plan_options import Allow, LockTimeout, Yes
from reconciler.cli.run.planning import carry_out
from reconciler.cli.terminal.output import (
    beside_secrets,
    check_formats,
    info,
    show,
    show_if_possible,
)
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.execution.secrets.ages import secret_ages
from reconciler.kinds.token import TokenSpec
from reconciler.live.reader import Live
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.secret import SecretSink
from reconciler.planning.request import PlanRequest
from reconciler.planning.rotation.due import aged
from reconciler.planning.rotation.new_secrets import rotate as plan_rotation
from reconciler.render.view import View
from reconciler.text.shell import shell
from reconciler.text.suggest import did_you_mean


@command(app, "rotate", Panel.OTHER, 2)
def rotate(
    common: CommonOptions,
    token: Annotated[
        str,
        typer.Argument(metavar="USER@REALM!TOKEN", help="The declared token.", show_default=False),
    ] = "",
    *,
    due: Annotated[
        bool,
        typer.Option("--due", help="All whose secret is older than `rotate_after` says."),
    ] = False,
    yes: Yes = False,
    allow: Allow = None,
    lock_timeout: LockTimeout = None,
) -> ExitStatus:
    """Give a token a new secret and deliver it to the token's `secret_to`; its ACL entries are
    kept.

    The old secret stops working at once and cannot be restored. Refused where [protected] or
    [lockout] forbids it, and for the token that pvectl itself uses. The age of a secret is known
    from the journals of this machine. Exit status as for `apply`.
    """
    common = replace(common, lock_timeout=lock_timeout or 0)
    check_formats(common, "plan", "report")
    if bool(token) == due:
        raise UsageError(
            "name one token, or all that are due",
            hint="pvectl rotate 'USER@REALM!TOKEN', or pvectl rotate --due",
        )

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        desired = load_cluster(cluster, settings).desired
        tokens = {} if due else dict([_chosen(desired, token)])
        with connect(cluster, read_only=False) as api:
            place = here(cluster, api, keep=True)
            wait_for_turn(common, api, place.folder)
            live = with_health(api, read_cluster(api, desired))
            if due:
                tokens = _due(common, desired, live, place.folder, api.actor)
            if not tokens:
                return ExitStatus.OK
            if not tokens.keys() <= live.state.keys():
                raise UsageError(
                    f"token {token} is not in the cluster", hint="create it with `pvectl apply`"
                )
            allowed = tuple(allow or ())
            question = PlanRequest(
                place.name, api.actor, now(), allowed=allowed, identity=place.identity
            )
            plan = plan_rotation(tokens, live.state, live.facts, question, desired)
            write = show_if_possible if yes else show
            write(beside_secrets(common, plan), "plan", plan, View())
            return carry_out(common, cluster, settings, api, plan, None, yes=yes)

    return each_cluster(common, one)


def _due(
    common: CommonOptions, desired: Desired, live: Live, folder: Path, actor: str
) -> dict[Address, SecretSink]:
    """The tokens that are due, with their sinks; those that cannot be rotated here are named."""
    found = list(aged(desired, live.state, secret_ages(folder)))
    for unknown in (one for one in found if not one.made):
        name = shell("pvectl", "rotate", unknown.address.id)
        info(common, f"the age of {unknown.address} is not known on this machine: {name}")
    due = [one.address for one in found if one.is_due(now())]
    if any(address.id == actor for address in due):
        info(common, f"left out: {actor} is the token that pvectl itself uses")
    others = {a: _sink(desired, a.id) for a in due if a.id != actor}
    if not others:
        info(common, "no token is due for rotation")
    return others


def _chosen(desired: Desired, token: str) -> tuple[Address, SecretSink]:
    """The token of that name or address, and its sink."""
    whole = Address("token", token)
    if whole not in desired.objects:
        whole = Address("token", token.removeprefix("token."))
    return whole, _sink(desired, whole.id)


def _sink(desired: Desired, token: str) -> SecretSink:
    declared = desired.objects.get(Address("token", token))
    if declared is None or not isinstance(declared.spec, TokenSpec):
        known = [address.id for address in desired.objects if address.kind == "token"]
        hint = (
            did_you_mean(token, known) or "declare it with secret_to, where the secret is delivered"
        )
        raise UsageError(f"token {token} is not declared", hint=hint)
    if declared.spec.secret_to is None:
        raise UsageError(
            f"token {token} is declared without secret_to",
            hint='say where to deliver the secret: secret_to = { file = "secrets/x" }',
        )
    return declared.spec.secret_to
