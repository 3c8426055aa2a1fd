"""The JSON Schemas beside a state folder, and the line that leads an editor to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.cli.terminal.output import write_file
from reconciler.desired.export.toml_files import SCHEMA_FOLDER
from reconciler.pve.release import NEWEST, Release


def schema_text(schema: dict[str, Any]) -> str:
    """A schema as it is printed and written."""
    return json.dumps(schema, indent=2, sort_keys=True)


def write_schemas(folder: Path, release: Release = NEWEST) -> list[Path]:
    """Write both schemas for this release into `folder`; returns their paths."""
    from reconciler.desired.schema.state_schema import schema, settings_schema

    written = {"state.json": schema(release), "settings.json": settings_schema()}
    for name, wanted in written.items():
        write_file(folder / name, schema_text(wanted) + "\n")
    return [folder / name for name in written]


def beside(state: Path) -> list[Path]:
    """The schemas to which the files of this state folder lead."""
    return [state / SCHEMA_FOLDER / name for name in ("state.json", "settings.json")]


def write_beside(state: Path, release: Release = NEWEST) -> None:
    """Write the schemas to which the files of this state folder lead."""
    write_schemas(state / SCHEMA_FOLDER, release)
