"""Options that several commands about plans take; light, so that a command line is read at once."""

from __future__ import annotations

from typing import Annotated

import typer

Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target", metavar="GLOB", help="Plan only these addresses and what they depend on."
    ),
]


Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", metavar="CODE=WHAT", help="Allow one refusal; the refusal shows the flag."
    ),
]


SendSecrets = Annotated[
    bool,
    typer.Option("--send-secrets", help="Send every declared secret, also to what is there."),
]


Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="REF",
        help="Compare with the files of this commit; by default where this branch began.",
    ),
]
