"""pvectl validate: the state files alone, without any network."""

from __future__ import annotations

from reconciler.cli.app import app
from reconciler.cli.command import CommonOptions, Panel, command
from reconciler.cli.context import each_cluster, load_cluster, now
from reconciler.cli.output import check_formats, info, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus
from reconciler.kinds import access_table
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.expectations import expectations
from reconciler.planning.lint import lint_declared
from reconciler.text.humanize import count


@command(app, "validate", Panel.FILES, 4)
def validate(common: CommonOptions) -> ExitStatus:
    """Check the state files: every mistake at once, with file, line and column. No network.

    Expectations are checked as far as files suffice. Exit 0 when there is no error, 3 with
    mistakes, 4 when an expectation fails.
    """
    check_formats(common, "findings")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        desired = load_cluster(cluster, settings, strict=False).desired
        wrong = any(finding.severity is Severity.ERROR for finding in desired.findings)
        by_access = [] if wrong else _by_access(desired)
        show(common, "findings", [*desired.findings, *by_access])
        if wrong:
            return ExitStatus.FILES_INVALID
        if any(finding.severity is Severity.ERROR for finding in by_access):
            return ExitStatus.REFUSED
        info(common, f"{count(len(desired.objects), 'object')} declared in {cluster.folder}")
        return ExitStatus.OK

    return each_cluster(common, one)


def _by_access(desired: Desired) -> list[Finding]:
    """Failing expectations and lint, as far as the files alone tell."""
    table, moment = access_table(desired.state), now()
    failing = expectations(table, desired.expectations, now=moment, complete=False)
    return [*failing, *lint_declared(desired, desired.state, table, (), moment, complete=False)]
