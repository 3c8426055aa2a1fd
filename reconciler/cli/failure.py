"""Write the error of a failed command in each format of `--format`."""

from __future__ import annotations

import time
from dataclasses import replace

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.hints import with_options
from reconciler.cli.terminal.output import UnknownFormat, info, show
from reconciler.errors import Bug, PvectlError, UsageError
from reconciler.render.documents.failure import Failure
from reconciler.render.view import View


def write_failure(common: CommonOptions, command: str, error: Exception) -> None:
    """Write the error to each file that holds no result of this run, and to a standard output that
    has none and is read by a program, unless its format is what is wrong; never changes the exit
    status.
    """
    if not isinstance(error, PvectlError | OSError):
        error = Bug.of(error)
    known = error if isinstance(error, PvectlError) else UsageError(str(error))
    for output in common.outputs:
        unknown = isinstance(error, UnknownFormat) and output.file is None
        if output.file not in common.written and output != ("text", None) and not unknown:
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
