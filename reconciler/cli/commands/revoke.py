"""pvectl revoke: end a temporary grant early."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster, load_cluster, now
from reconciler.cli.run.plan_options import Allow, LockTimeout, Yes
from reconciler.cli.state_folder.temporary_grants import apply_grant, change_of, grants_of
from reconciler.cli.terminal.output import check_formats, info
from reconciler.desired.grants import FILE, grants
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.model.grant import Grant
from reconciler.text.shell import shell


@command(app, "revoke", Panel.ACCESS, 8)
def revoke(
    common: CommonOptions,
    who: Annotated[str, typer.Argument(metavar="WHO", help="User, token, or group:NAME.")],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="For example PVEVMUser.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="For example /vms/100.")],
    *,
    yes: Yes = False,
    allow: Allow = None,
    lock_timeout: LockTimeout = None,
) -> ExitStatus:
    """End a grant made by `pvectl grant` now: delete its entries and remove it from grants.toml.

    Plans, shows and applies only that. A grant declared in another state file is not touched.
    """
    common = replace(common, lock_timeout=lock_timeout or 0)
    check_formats(common, "plan", "report")
    asked = Grant(who, role, path, now() - 1, "")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        before = grants_of(cluster)
        found = next((grant for grant in grants(before) if grant.is_same(asked)), None)
        if found is None:
            raise _unknown(asked, before, cluster, settings)
        ended_by_now = min(found.expires, asked.expires)
        change = change_of(cluster, found._replace(expires=ended_by_now), None)
        ended = apply_grant(common, cluster, settings, change, allow, yes=yes)
        if ended is ExitStatus.OK:
            info(common, f"revoked, and removed from {cluster.folder / FILE}")
        return ended

    return each_cluster(common, one)


def _unknown(asked: Grant, text: str, cluster: ClusterSettings, settings: Settings) -> UsageError:
    """The error for a grant that is not in grants.toml: where else it is declared, or which grants
    there are.
    """
    desired = load_cluster(cluster, settings, strict=False).desired
    for address, declared in desired.objects.items():
        if asked.concerns(address):
            return UsageError(
                f"{asked.role} on {asked.path} for {asked.who} is declared in {declared.source}",
                hint=f"delete it there; only grants of {FILE} are revoked",
            )
    known = "\n".join(shell("pvectl", "revoke", *one[:3]) for one in grants(text))
    return UsageError(
        f"{FILE} has no grant of {asked.role} on {asked.path} for {asked.who}",
        hint=known or f"{shell('pvectl', 'explain', asked.who)} shows what is granted",
    )
