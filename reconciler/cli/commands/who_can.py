"""pvectl who-can: list the principals that hold a privilege on a path."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.access.explain.explain import who_can
from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster, now
from reconciler.cli.explain.notes import kinds_for, notes_on
from reconciler.cli.explain.query import (
    check_place,
    check_privilege,
    parse_path,
)
from reconciler.cli.explain.source import (
    FromFiles,
    PlannedOption,
    check_sources,
    view_access,
)
from reconciler.cli.terminal.output import check_formats, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus
from reconciler.render.documents.who_can import Holders


@command(app, "who-can", Panel.ACCESS, 2)
def who_can_command(
    common: CommonOptions,
    privilege: Annotated[str, typer.Argument(metavar="PRIV", help="For example VM.Backup.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="For example /vms/100.")],
    from_files: FromFiles = False,
    planned: PlannedOption = False,
) -> ExitStatus:
    """List who holds a privilege on a path, and through which ACL entries."""
    check_formats(common, "holders")
    check_sources(from_files=from_files, planned=planned)
    if privilege.startswith("/"):
        privilege, path = path, privilege
    wanted, where = privilege, parse_path(path)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        seen = view_access(
            cluster, settings, from_files=from_files, planned=planned, kinds=kinds_for(where)
        )
        check_privilege(seen.table, wanted)
        check_place(seen.table, where)
        holders = who_can(seen.table, wanted, where, now())
        notes = tuple(notes_on(seen, where, "pam"))
        show(common, "holders", Holders(wanted, where, seen.asked, holders, notes))
        return ExitStatus.OK

    return each_cluster(common, one)
