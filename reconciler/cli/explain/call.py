"""Explain whether a principal may make an API call: `pvectl explain 'POST /...' --who TOKEN`."""

from __future__ import annotations

from reconciler.access.any_member import stands_for, with_member
from reconciler.access.explain.call import judge
from reconciler.access.explain.recommendation import for_missing
from reconciler.access.login import login
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster, now
from reconciler.cli.explain.query import find_principal, parse_call
from reconciler.cli.explain.source import view_access
from reconciler.cli.terminal.output import check_formats, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus
from reconciler.render.documents.call import ExplainedCall
from reconciler.render.view import View


def explain_call(
    common: CommonOptions, subject: str, who: str, *, from_files: bool, planned: bool
) -> ExitStatus:
    """Show each rule of the call and what is missing; exit 0 whatever the answer is."""
    check_formats(common, "call")
    asked = parse_call(subject, who)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        seen = view_access(
            cluster, settings, from_files=from_files, planned=planned, kinds=("pool",)
        )
        who = find_principal(seen.table, asked.who)
        group = stands_for(who)
        table = with_member(seen.table, group) if group else seen.table
        answer = judge(table, who, asked.call, asked.params)
        told = ExplainedCall(
            who,
            asked.title,
            answer,
            login(table, who, now()),
            seen.asked,
            for_missing(table, who, answer.missing),
        )
        show(common, "call", told, View(now=now()))
        return ExitStatus.OK

    return each_cluster(common, one)
