"""pvectl fmt: format state files."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.output import result, write_file
from reconciler.desired.loader import state_files
from reconciler.desired.reach import require_inside
from reconciler.desired.settings.settings import SETTINGS_FILE, read_settings
from reconciler.desired.toml.formatter import format_file
from reconciler.errors import ExitStatus
from reconciler.text.sanitize import clean


@command(app, "fmt", Panel.FILES, 5)
def fmt(
    common: CommonOptions,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 2 when a file would change.")
    ] = False,
) -> ExitStatus:
    """Format the state files; comments and order are kept."""
    settings = common.state / SETTINGS_FILE
    files = [*state_files(common.state), *([settings] if settings.is_file() else [])]
    require_inside(read_settings(common.state, common.settings).reach, files)
    formatted = {path: format_file(path) for path in files}
    changed = [path for path, (before, after) in formatted.items() if after != before]
    for path in changed:
        result(clean(str(path)))
        if not check:
            write_file(path, formatted[path][1].decode())
    return ExitStatus.CHANGES if check and changed else ExitStatus.OK
