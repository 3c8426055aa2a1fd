"""pvectl grant: grant a role temporarily."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster, now
from reconciler.cli.run.plan_options import Allow, LockTimeout, Yes
from reconciler.cli.state_folder.temporary_grants import apply_grant, change_of, check_grant
from reconciler.cli.terminal.output import check_formats, info, result
from reconciler.desired.grants import FILE, seconds, table
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.model.grant import Grant
from reconciler.text.humanize import moment


@command(app, "grant", Panel.ACCESS, 7)
def grant(
    common: CommonOptions,
    who: Annotated[str, typer.Argument(metavar="WHO", help="User, token, or group:NAME.")],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="For example PVEVMUser.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="For example /vms/100.")],
    *,
    duration: Annotated[
        str, typer.Option("--for", metavar="TIME", help="For example 30m, 4h or 2d.")
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="The reason, recorded with the grant.")
    ],
    print_: Annotated[
        bool,
        typer.Option(
            "--print", help="Only check it, and print the [[acl]] table for a pull request."
        ),
    ] = False,
    yes: Yes = False,
    allow: Allow = None,
    lock_timeout: LockTimeout = None,
) -> ExitStatus:
    """Grant a role temporarily: `pvectl grant alice@pve PVEVMAdmin /vms/100 --for 4h --reason x`.

    Plans, shows and applies this one grant, and records it with its expiry in grants.toml of the
    state folder. Once it has expired, `drift` reports it and `apply` deletes it; `pvectl revoke`
    ends it early. A grant to a token is also made to its user. Where an expectation or a policy
    forbids it, nothing is sent and grants.toml is left unchanged.
    """
    common = replace(common, lock_timeout=lock_timeout or 0)
    check_formats(common, "plan", "report")
    if not reason.strip():
        raise UsageError("--reason is empty", hint='say why: --reason "restore of guest 100"')
    wanted = Grant(who, role, path, now() + seconds(duration), reason)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        change = change_of(cluster, wanted, wanted)
        if print_:
            check_grant(common, cluster, settings, change)
            return ExitStatus.OK
        ended = apply_grant(common, cluster, settings, change, allow, yes=yes)
        if ended is ExitStatus.OK:
            where = cluster.folder / FILE
            info(common, f"granted until {moment(wanted.expires)}, as declared in {where}")
        return ended

    ended = each_cluster(common, one)
    if print_ and ended is ExitStatus.OK:
        result(table(wanted).rstrip("\n"))
    return ended
