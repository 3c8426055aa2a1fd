"""pvectl escalation: show who can become root, and how."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.access.contents import ROOT
from reconciler.access.escalation.search import escalations
from reconciler.access.table import AccessTable
from reconciler.access.trace import EntryEffect, TracedEntry, trace_decision
from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster
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
from reconciler.live.reader import DECIDING
from reconciler.render.documents.escalation import Ways


@command(app, "escalation", Panel.ACCESS, 3)
def escalation(
    common: CommonOptions,
    from_files: FromFiles = False,
    planned: PlannedOption = False,
    fail: Annotated[
        bool,
        typer.Option(
            "--fail",
            help="Exit 4 if any principal other than root@pam and [lockout] break_glass can "
            "certainly become root.",
        ),
    ] = False,
) -> ExitStatus:
    """Show who is root, who can become root and by which steps, and the ACL entry behind each step.

    Disabled and expired accounts count, since both are easily undone. Ways through the operating
    system of a node are reported as possible, not certain. Exit 0 whatever is found, unless --fail
    is given.
    """
    check_formats(common, "escalation")
    check_sources(from_files=from_files, planned=planned)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        seen = view_access(
            cluster, settings, from_files=from_files, planned=planned, kinds=DECIDING
        )
        ways = escalations(seen.table)
        meant = frozenset({ROOT, *settings.policy.lockout.break_glass})
        roots = {who for way in ways if not way.steps for who in way.principals}
        proofs = {who: _entries(seen.table, who) for who in sorted(roots)}
        found = Ways(ways, meant, seen.asked, proofs)
        show(common, "escalation", found)
        return ExitStatus.REFUSED if fail and found.unmeant else ExitStatus.OK

    return each_cluster(common, one, at_once=True)


def _entries(table: AccessTable, who: str) -> tuple[TracedEntry, ...]:
    """The ACL entries that decide for a principal on `/`."""
    return tuple(
        judged.entry
        for side in trace_decision(table, who, "/").sides
        for judged in side.entries
        if judged.effect is EntryEffect.DECIDES
    )
