"""Options shared by several commands; light to import, so that a command line is parsed quickly."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.invalid_value import InvalidValue
from reconciler.text.period import seconds_of

Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target", metavar="GLOB", help="Plan only these addresses and what they depend on."
    ),
]


Yes = Annotated[
    bool, typer.Option("--yes", envvar="PVECTL_YES", help="Skip the confirmation; for CI.")
]


Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", metavar="CODE=WHAT", help="Allow one refusal; the refusal shows the flag."
    ),
]


SendSecrets = Annotated[
    bool,
    typer.Option("--send-secrets", help="Send every declared secret, also to existing objects."),
]


Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="REF",
        help="Compare with the files of this commit; default: the merge base, or HEAD.",
    ),
]


def _seconds(text: str | int) -> int:
    try:
        return seconds_of(str(text))
    except InvalidValue as error:
        raise typer.BadParameter(str(error)) from None


LockTimeout = Annotated[
    int | None,
    typer.Option(
        "--lock-timeout",
        envvar="PVECTL_LOCK_TIMEOUT",
        parser=_seconds,
        metavar="PERIOD",
        help="How long to wait for another run to end, such as 10m; default: do not wait.",
    ),
]
