"""pvectl fmt: format state files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import load_cluster
from reconciler.cli.terminal.output import result, write_file
from reconciler.desired.files import SETTINGS_FILE, state_files
from reconciler.desired.reach import require_inside
from reconciler.desired.settings.settings import read_settings
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
    """Format the state files and those that they include; comments and order are kept."""
    files = _files(common)
    require_inside(read_settings(common.state, common.settings).reach, files)
    formatted = {path: format_file(path) for path in files}
    changed = [path for path, (before, after) in formatted.items() if after != before]
    for path in changed:
        result(clean(str(path)))
        if not check:
            write_file(path, formatted[path][1].decode())
    return ExitStatus.CHANGES if check and changed else ExitStatus.OK


def _files(common: CommonOptions) -> list[Path]:
    """The files of the state folder and of its clusters, and those that they include in it."""
    root = common.state
    settings = root / SETTINGS_FILE
    found = [*state_files(root), *([settings] if settings.is_file() else [])]
    read = read_settings(root, common.settings)
    for cluster in read.select("all"):
        if not cluster.reach.inside(cluster.folder) or not cluster.folder.is_dir():
            continue
        declared = load_cluster(cluster, read, strict=False).desired
        besides = [Path(os.path.normpath(cluster.folder / name)) for name in declared.included]
        found += state_files(cluster.folder)
        found += [path for path in besides if read.reach.inside(path)]
    return list(dict.fromkeys(found))
