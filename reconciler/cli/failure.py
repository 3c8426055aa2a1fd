"""Write the error of a failed command to its `--format` files."""

from __future__ import annotations

import time
from dataclasses import replace

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.hints import with_options
from reconciler.cli.terminal.output import info, show
from reconciler.errors import Bug, PvectlError, UsageError
from reconciler.render.documents.failure import Failure
from reconciler.render.view import View


def write_failure(common: CommonOptions, command: str, error: Exception) -> None:
    """Write the error to each file that holds no result of this run, and to the standard output of
    a monitoring plugin that has none; never changes the exit status.
    """
    if not isinstance(error, PvectlError | OSError):
        error = Bug.of(error)
    known = error if isinstance(error, PvectlError) else UsageError(str(error))
    for output in common.outputs:
        silent = output == ("nagios", None) and not common.plugin
        if silent or (output.file is not None and output.file not in common.written):
            again = () if output.name in {"text", "markdown"} else common.again
            failure = Failure(
                command,
                known.code,
                int(known.exit_status),
                with_options(known.summary, again),
                with_options(known.hint, again),
                known.findings,
            )
            try:
                view = View(now=int(time.time()))
                show(replace(common, outputs=(output,)), "failure", failure, view)
            except UsageError as why:
                info(common, f"warning: cannot write the error: {why.summary}")
