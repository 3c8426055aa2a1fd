"""Questions that a person answers."""

from __future__ import annotations

import sys

from reconciler.cli.streams import write_err
from reconciler.errors import Refused, UsageError


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless `yes`; raises Refused for any answer but yes, UsageError when nobody is there."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here", hint="add --yes to do it without a question")
    write_err(f"\n{question} Only 'yes' is taken for yes: ")
    if sys.stdin.readline().strip() != "yes":
        raise Refused("not done", hint="nothing was sent")
