"""`--release`: the release of Proxmox VE to check against when no cluster is asked."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.errors import UsageError
from reconciler.invalid_value import message_and_hint
from reconciler.pve.release import Release, release_named

ReleaseOption = Annotated[
    str,
    typer.Option(
        "--release", metavar="X.Y", help="Check against this Proxmox VE release, for example 9.0."
    ),
]


def asked_release(text: str) -> Release | None:
    """The release named; None where none is. Raises UsageError for an unknown one."""
    try:
        return release_named(text) if text else None
    except ValueError as error:
        message, hint = message_and_hint(error)
        raise UsageError(f"--release: {message}", hint=hint) from None
