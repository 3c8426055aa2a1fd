"""`run` is that of `reconciler.cli.app` for a process that calls it often: Typer builds commands
and parameters once instead of for each call.

Importing this module puts that in place for the whole process.
"""

from __future__ import annotations

from typing import Any

import typer
import typer.main

from reconciler.cli import app as command_line
from reconciler.cli.turn import COMMAND_LINE

run = command_line.run

_build = typer.main.get_command
_built: dict[tuple[int, ...], Any] = {}


def _built_once(app: typer.Typer) -> Any:
    """Anew where a command was registered meanwhile; and for a help, which rewrites texts."""
    if not {"--help", "-h"}.isdisjoint(COMMAND_LINE):
        return _build(app)
    key = tuple(_registered(app))
    if key not in _built:
        _built[key] = _build(app)
    return _built[key]


def _registered(app: typer.Typer) -> list[int]:
    found = [id(app), len(app.registered_commands)]
    for group in app.registered_groups:
        found += _registered(group.typer_instance) if group.typer_instance else []
    return found


typer.main.get_command = _built_once  # type: ignore[assignment]
