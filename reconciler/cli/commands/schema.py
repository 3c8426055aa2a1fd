"""pvectl schema: print a JSON Schema of the state files."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.output import result
from reconciler.cli.release_option import ReleaseOption, asked_release
from reconciler.errors import ExitStatus
from reconciler.pve.release import NEWEST


@command(app, "schema", Panel.FILES, 6)
def schema(
    common: CommonOptions,
    settings: Annotated[
        bool, typer.Option("--settings", help="Print the schema of pvectl.toml instead.")
    ] = False,
    release: ReleaseOption = "",
) -> ExitStatus:
    """Print a JSON Schema of the state files, for editors."""
    del common
    asked = asked_release(release)
    from reconciler.desired.schema import schema as state_schema
    from reconciler.desired.schema import settings_schema

    wanted = settings_schema() if settings else state_schema(asked or NEWEST)
    result(json.dumps(wanted, indent=2, sort_keys=True))
    return ExitStatus.OK
