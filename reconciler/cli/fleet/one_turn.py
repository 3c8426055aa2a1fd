"""The turn of one of several clusters: what it shows and what goes wrong is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import typer

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.hints import with_options
from reconciler.cli.terminal.output import error_words, show
from reconciler.cli.turn import Turn, taking
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import Bug, PvectlError
from reconciler.render.documents.failure import Failure
from reconciler.render.view import View

Work = Callable[[ClusterSettings, Settings], int]


def take(
    common: CommonOptions, cluster: ClusterSettings, turn: Turn, settings: Settings, work: Work
) -> Turn:
    """Take a turn; an error is kept and becomes the exit status."""
    with taking(turn):
        try:
            turn.status = work(cluster, settings)
        except typer.Exit as end:
            turn.status = end.exit_code
        except Exception as error:
            known = error if isinstance(error, PvectlError) else Bug.of(error)
            turn.status = known.exit_status
            turn.errors.append(error_words(common, known))
            turn.findings = turn.findings or known.code
            _keep_failure(common, turn, known)
    return turn


def _keep_failure(common: CommonOptions, turn: Turn, error: PvectlError) -> None:
    """The error in place of each document that the target does not have."""
    again = common.again
    failure = Failure(
        common.command,
        error.code,
        int(error.exit_status),
        with_options(error.summary, again),
        with_options(error.hint, again),
        error.findings,
    )
    for output in common.outputs:
        if (output.name, output.file) not in turn.documents and (
            output.file is not None or output.name != "text"
        ):
            show(replace(common, outputs=(output,)), "failure", failure, View())
