"""`--release`: the release of Proxmox VE that is meant where no cluster is asked."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.errors import UsageError
from reconciler.invalid_value import message_and_hint
from reconciler.pve.release import Release, release_named

ReleaseOption = Annotated[
    str, typer.Option("--release", metavar="X.Y", help="For this Proxmox VE, as in 9.0.")
]


def asked_release(text: str) -> Release | None:
    """None where none is given; raises UsageError for one that is not known."""
    try:
        return release_named(text) if text else None
    except ValueError as error:
        message, hint = message_and_hint(error)
        raise UsageError(f"--release: {message}", hint=hint) from None
