"""pvectl schema: a JSON Schema of the state files, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.editor_schema import schema_text, write_schemas
from reconciler.cli.output import info, result
from reconciler.cli.release_option import ReleaseOption, asked_release
from reconciler.errors import ExitStatus
from reconciler.pve.release import NEWEST


@command(app, "schema", Panel.FILES, 6)
def schema(
    common: CommonOptions,
    settings: Annotated[
        bool, typer.Option("--settings", help="The schema of pvectl.toml instead.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write state.json and settings.json there."),
    ] = None,
    release: ReleaseOption = "",
) -> ExitStatus:
    """Print a JSON Schema of the state files, for editors.

    Editors that use Taplo (Even Better TOML, Helix, Neovim) complete and check a file whose first
    line is `#:schema ./.schema/state.json`, as `init` and `import` write it. After an upgrade of
    pvectl, `pvectl schema --out state/.schema` brings the schemas up to date.
    """
    asked = asked_release(release)
    if out is not None:
        for path in write_schemas(out, asked or NEWEST):
            info(common, f"wrote {path}")
        return ExitStatus.OK
    from reconciler.desired.schema import schema as state_schema
    from reconciler.desired.schema import settings_schema

    wanted = settings_schema() if settings else state_schema(asked or NEWEST)
    result(schema_text(wanted))
    return ExitStatus.OK
