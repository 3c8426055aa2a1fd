"""pvectl graph: who reaches what, as a picture."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.access.graph import graph
from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster
from reconciler.cli.explain.source import FromFiles, PlannedOption, check_sources, view_access
from reconciler.cli.terminal.output import check_formats, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus


@command(app, "graph", Panel.ACCESS, 9)
def graph_command(
    common: CommonOptions,
    who: Annotated[
        list[str] | None,
        typer.Option("--who", metavar="GLOB", help="Only these users, tokens and groups."),
    ] = None,
    path: Annotated[
        list[str] | None, typer.Option("--path", metavar="GLOB", help="Only these paths.")
    ] = None,
    from_files: FromFiles = False,
    planned: PlannedOption = False,
) -> ExitStatus:
    """Draw who reaches what: users, tokens and groups, and the paths where they hold roles.

    `--format mermaid` for Markdown, `markdown` for a comment, `dot` for Graphviz, `svg` for a
    browser: pvectl graph --format svg=access.svg
    """
    check_formats(common, "graph")
    check_sources(from_files=from_files, planned=planned)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        seen = view_access(cluster, settings, from_files=from_files, planned=planned)
        show(common, "graph", graph(seen.table, seen.asked, who or (), path or ()))
        return ExitStatus.OK

    return each_cluster(common, one)
