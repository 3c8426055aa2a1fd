"""Ask for confirmation."""

from __future__ import annotations

import sys

import typer

from reconciler.cli.streams import write_err
from reconciler.errors import ExitStatus, UsageError


def confirm(question: str, *, yes: bool) -> None:
    """Ask unless `yes`. An answer other than yes ends the command, which is not an error; raises
    UsageError where there is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "cannot prompt: stdin is not a terminal",
            hint="pass --yes to continue without confirmation",
        )
    write_err(f"\n{question} Type 'yes' to confirm: ")
    answer = sys.stdin.readline()
    if answer.strip() != "yes":
        write_err("" if answer else "\n")
        write_err("Cancelled: nothing was sent.\n")
        raise typer.Exit(ExitStatus.OK)
