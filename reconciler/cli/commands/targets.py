"""pvectl targets: the clusters that the settings name."""

from __future__ import annotations

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.fleet.rollout import in_waves
from reconciler.cli.terminal.output import check_formats, show
from reconciler.desired.loader import require_valid
from reconciler.desired.settings.settings import read_settings
from reconciler.errors import ExitStatus, UsageError
from reconciler.render.documents.targets import TargetRow

MOST_JOBS = {"github-matrix": 256, "gitlab-matrix": 200}
"""Jobs that one matrix may have there."""


@command(app, "targets", Panel.OTHER, 4)
def targets(common: CommonOptions) -> ExitStatus:
    """List the clusters of pvectl.toml; all of them, or those of --on GLOB.

    One name per line. --format github-matrix and gitlab-matrix give each of them a job of its own;
    examples/ci shows how. Needs no network.
    """
    check_formats(common, "targets")
    settings = read_settings(common.state, common.settings)
    require_valid(settings.findings)
    named = settings.select(common.on or "all", environ={})
    number = {
        one.name: wave
        for wave, together in enumerate(in_waves(named, settings.policy.rollout.waves), 1)
        for one in together
    }
    rows = [
        TargetRow(one.name, one.target.endpoints[0] if one.target else "", number[one.name])
        for one in named
        if one.name
    ]
    if not rows:
        raise UsageError(
            "no cluster is configured",
            hint="write a table [target.NAME] for each into pvectl.toml, or choose another folder "
            "with --state DIR",
        )
    for output in common.outputs:
        most = MOST_JOBS.get(output.name, len(rows))
        if len(rows) > most:
            raise UsageError(
                f"{len(rows)} targets exceed the maximum number of jobs in one matrix, {most}",
                hint="split them: one matrix each, with --on GLOB",
            )
    show(common, "targets", rows)
    return ExitStatus.OK
