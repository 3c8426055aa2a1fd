"""pvectl schema: print a JSON Schema of the state files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.release_option import ReleaseOption, asked_release
from reconciler.cli.state_folder.editor_schema import schema_text, write_schemas
from reconciler.cli.terminal.output import info, result
from reconciler.errors import ExitStatus, UsageError
from reconciler.pve.release import NEWEST
from reconciler.text.suggest import did_you_mean


@command(app, "schema", Panel.FILES, 6)
def schema(
    common: CommonOptions,
    settings: Annotated[
        bool, typer.Option("--settings", help="Print the schema of pvectl.toml instead.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write state.json and settings.json there."),
    ] = None,
    document: Annotated[
        str,
        typer.Option(
            "--document",
            metavar="NAME",
            help="Print the schema of a JSON document: plan, drift, ...",
        ),
    ] = "",
    release: ReleaseOption = "",
) -> ExitStatus:
    """Print a JSON Schema of the state files, for editors.

    Editors that use Taplo (Even Better TOML, Helix, Neovim) complete and check a file whose first
    line is `#:schema ./.schema/state.json`, as `init` and `import` write it. After an upgrade of
    pvectl, `pvectl schema --out state/.schema` brings the schemas up to date.

    With --document: the schema of a document that `--format json` writes.
    """
    asked = asked_release(release)
    if document:
        result(schema_text(_of_document(document)))
        return ExitStatus.OK
    if out is not None:
        for path in write_schemas(out, asked or NEWEST):
            info(common, f"wrote {path}")
        return ExitStatus.OK
    from reconciler.desired.schema.state_schema import schema as state_schema
    from reconciler.desired.schema.state_schema import settings_schema

    wanted = settings_schema() if settings else state_schema(asked or NEWEST)
    result(schema_text(wanted))
    return ExitStatus.OK


def _of_document(name: str) -> dict[str, Any]:
    """Raises UsageError for a document without a schema of its own."""
    from reconciler.render.json_schemas import SCHEMAS, schema_of

    if name not in SCHEMAS:
        known = f"documents: {', '.join(sorted(SCHEMAS))}"
        raise UsageError(
            f"there is no schema of a document '{name}'", hint=did_you_mean(name, SCHEMAS) or known
        )
    return schema_of(name)
