"""Forecast the archives of a declared backup job: `pvectl explain retention JOB`; no network
access.
"""

from __future__ import annotations

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster, load_cluster, now
from reconciler.cli.terminal.output import check_formats, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError

RETENTION = "retention"


def explain_retention(common: CommonOptions, job: str) -> ExitStatus:
    """Show the rules of the job, or of its storage where that is declared, week by week."""
    if not job:
        raise UsageError("retention of which backup job?", hint="pvectl explain retention JOB")
    check_formats(common, RETENTION)
    job = job.removeprefix("backup.")
    from reconciler.cli.backup.run import declared_job
    from reconciler.planning.backups.retention import rules_of_job
    from reconciler.planning.backups.retention_forecast import forecast

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = load_cluster(cluster, settings)
        spec = declared_job(loaded, job)
        rules = rules_of_job(spec, loaded.desired.state)
        told = forecast(job, spec.schedule, rules, now())._replace(enabled=spec.enabled)
        show(common, RETENTION, told)
        return ExitStatus.OK

    return each_cluster(common, one)
