"""pvectl show: show a saved plan, a journal or the state files, offline."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.bounded_read import read_bounded
from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster, load_cluster, now
from reconciler.cli.journal_argument import find_journal
from reconciler.cli.terminal.output import check_formats, result, show
from reconciler.desired.loader import expand
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import (
    ExitStatus,
    StalePlan,
    UsageError,
)
from reconciler.execution.journal.journal import read_journal
from reconciler.model.run_state import RunState
from reconciler.render.documents.schedule_preview import remarks
from reconciler.render.view import View

if TYPE_CHECKING:
    from reconciler.access.review.before_after import BeforeAfter
    from reconciler.execution.plan_file import SavedPlan

FILES = "files"
"""The argument that means the state files instead of a file."""


@command(app, "show", Panel.RECOVERY, 5)
def show_file(
    common: CommonOptions,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A saved plan; a journal, by path or by its name in `pvectl log`; or `files` for "
            "the state files.",
            callback=find_journal,
        ),
    ],
) -> ExitStatus:
    """Show a saved plan or a journal, or with `files` the state files as one plain TOML file.

    With `files`, [[each]] templates are expanded, includes are read and variables filled in.
    """
    if str(file) == FILES:
        return each_cluster(common, _show_files)
    from reconciler.execution.plan_file import is_plan, load_plan

    if not file.is_file():
        raise UsageError(
            f"there is no file {file}",
            hint="journals: `pvectl log`; the state files: `pvectl show files`",
        )
    try:
        first = read_bounded(file).partition(b"\n")[0]
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    try:
        content = json.loads(first)
        kind = "plan" if is_plan(content) else "journal" if "event" in content else ""
    except (ValueError, OverflowError, AttributeError, TypeError, RecursionError):
        kind = "journal" if file.suffix == ".jsonl" else ""
    if not kind:
        raise UsageError(f"{file} is neither a complete saved plan nor a journal")
    check_formats(common, kind)
    if kind == "journal":
        _show_journal(common, file)
    else:
        saved = load_plan(file)
        notes = remarks(saved.plan, dt.datetime.fromtimestamp(now(), dt.UTC))
        access = _access(saved) if any(one.name == "html" for one in common.outputs) else None
        show(common, "plan", saved.plan, View(now=now(), remarks=notes, access=access))
    return ExitStatus.OK


def _access(saved: SavedPlan) -> BeforeAfter | None:
    """The access before and after, if the file has it."""
    from reconciler.access.review.saved_access import from_json
    from reconciler.execution.plan_file import AGAIN

    if saved.access is None:
        return None
    try:
        return from_json(saved.access)
    except (ValueError, OverflowError):
        raise StalePlan(
            f"{saved.path} is not a plan as pvectl saves it: its table of access is forged",
            hint=AGAIN,
        ) from None


def _show_files(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
    from reconciler.desired.templates.plain import plain_text

    load_cluster(cluster, settings)
    expansion = expand(cluster.folder, settings=settings)
    text = plain_text(expansion.documents(cluster.variables, cluster.places))
    result(text.rstrip("\n") or "# nothing is declared")
    return ExitStatus.OK


def _show_journal(common: CommonOptions, path: Path) -> None:
    show(common, "journal", RunState.of(read_journal(path)))
