"""pvectl removed: print [[removed]] tables for objects that left the state files but still
exist.
"""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, each_cluster
from reconciler.cli.run.plan_options import Since
from reconciler.cli.run.planning import load_to_plan, make_plan, read_to_plan
from reconciler.cli.terminal.output import check_formats, info, result, unwritable, write_file
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus
from reconciler.planning.checks.no_longer_declared import no_longer_declared, tables
from reconciler.text.humanize import count

FILE = "removed.toml"


@command(app, "removed", Panel.FILES, 6)
def removed(
    common: CommonOptions,
    since: Since = None,
    write: Annotated[
        bool, typer.Option("--write", help=f"Add the tables to {FILE} of the state folder.")
    ] = False,
) -> ExitStatus:
    """Print a [[removed]] table for each object that was deleted from the files but still exists.

    Deleting a table from a state file deletes nothing in the cluster. What the files declared
    before is known from git (--since, or the merge base), otherwise from what this machine applied
    last. Nothing is deleted until `apply`.
    """
    check_formats(common, "findings")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = load_to_plan(cluster, settings)
        with connect(cluster, read_only=True) as api:
            live, earlier = read_to_plan(loaded, api, since)
            planned = make_plan(loaded, api, live, None, None, earlier)
        left = no_longer_declared(loaded.desired, earlier.addresses, planned.state)
        if not left:
            info(common, "nothing to remove: no object that left the state files still exists")
            return ExitStatus.OK
        text = "\n\n".join(tables(left)) + "\n"
        if not write:
            result(text.rstrip("\n"))
            return ExitStatus.OK
        path = cluster.folder / FILE
        try:
            before = path.read_text() if path.exists() else ""
        except OSError as error:
            raise unwritable(str(path), error) from None
        write_file(path, f"{before.rstrip()}\n\n{text}" if before.strip() else text)
        info(common, f"added to {path}: {count(len(left), 'object')}; `pvectl plan` shows the rest")
        return ExitStatus.OK

    return each_cluster(common, one)
