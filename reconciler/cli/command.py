"""What every command has in common: its options, and how arguments become one value."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from reconciler.cli.hints import same_cluster
from reconciler.errors import ExitStatus, UsageError

PANEL = "Common options"


class Output(NamedTuple):
    """One `--format NAME[=FILE]`; without a file the document goes to standard output."""

    name: str
    file: Path | None


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """The options that every command takes."""

    state: Path
    on: str | None
    outputs: tuple[Output, ...]
    color: bool
    quiet: bool
    log_format: str
    settings: Path | None = None
    written: set[Path] = field(default_factory=set, compare=False)
    """the files of --format that hold the result of this run already"""

    @property
    def again(self) -> tuple[str, ...]:
        """The options with which another command means the same files and the same cluster."""
        return same_cluster(self.state, self.on, self.settings)


def _options(
    state: Annotated[
        Path,
        typer.Option(
            "--state",
            envvar="PVECTL_STATE",
            help="Folder of desired state.",
            rich_help_panel=PANEL,
        ),
    ] = Path("state"),
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            envvar="PVECTL_SETTINGS",
            metavar="FILE",
            help="Trusted settings outside the state folder; they win over its pvectl.toml.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            envvar="PVECTL_ON",
            metavar="TARGET",
            help="Cluster by its name in pvectl.toml, or sandbox:FOLDER.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            envvar="PVECTL_FORMAT",
            metavar="NAME[=FILE]",
            help="Output: text, json, markdown, ...; repeatable.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    color: Annotated[
        bool | None,
        typer.Option(
            "--color/--no-color",
            help="Colour; by default only on a terminal.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", envvar="PVECTL_QUIET", help="No progress.", rich_help_panel=PANEL),
    ] = False,
    log_format: Annotated[
        str,
        typer.Option(
            "--log-format",
            envvar="PVECTL_LOG_FORMAT",
            metavar="text|json",
            help="How progress and errors are written to standard error.",
            rich_help_panel=PANEL,
        ),
    ] = "text",
) -> CommonOptions:
    if log_format not in {"text", "json"}:
        raise UsageError(f"--log-format '{log_format}' is not known", hint="text or json")
    plain = bool(os.environ.get("NO_COLOR")) or not sys.stdout.isatty()
    outputs = tuple(_output(text) for text in format_ or ["text"])
    colored = not plain if color is None else color
    return CommonOptions(state, on, outputs, colored, quiet, log_format, settings)


def _output(text: str) -> Output:
    name, _, file = text.partition("=")
    return Output(name, Path(file) if file else None)


class FailureReports:
    """Writes every `--format NAME=FILE` that holds no result yet when a command fails, so that
    nobody takes the report of an earlier run for this one."""

    def __init__(self, common: CommonOptions, command: str) -> None:
        self._common = common
        self._command = command

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        del kind, trace
        if isinstance(error, Exception) and any(one.file for one in self._common.outputs):
            from reconciler.cli.failure import write_failure

            write_failure(self._common, self._command, error)


class Panel(Enum):
    """Where `pvectl --help` lists a command; panels appear in this order."""

    PLAN = "Plan and apply"
    FILES = "State files"
    ACCESS = "Who can do what"
    RECOVERY = "Recovery"
    OTHER = "Other"


def command(
    app: typer.Typer, name: str, panel: Panel, place: int
) -> Callable[[Callable[..., ExitStatus]], Callable[..., ExitStatus]]:
    """Register a command; its first parameter gets the common options as one `CommonOptions`.

    `place` is its position in the panel, from 1.
    """

    def register(function: Callable[..., ExitStatus]) -> Callable[..., ExitStatus]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        taken = {parameter.name for parameter in own}
        every = inspect.signature(_options, eval_str=True).parameters.values()
        shared = [parameter for parameter in every if parameter.name not in taken]
        names = {parameter.name for parameter in shared}

        @functools.wraps(function)
        def run(**given: Any) -> ExitStatus:
            common = _options(**{key: given.pop(key) for key in list(given) if key in names})
            with FailureReports(common, name):
                return function(common, **given)

        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(kind=p.KEYWORD_ONLY) for p in [*own, *shared]], return_annotation=ExitStatus
        )
        run.__annotations__ = {p.name: p.annotation for p in [*own, *shared]}
        help_text = _unwrapped(function.__doc__ or "")
        app.command(name, help=help_text, rich_help_panel=panel.value)(run)
        order = list(Panel)
        _PLACES[name] = (order.index(panel), place)
        app.registered_commands.sort(key=lambda made: _PLACES[str(made.name)])
        return function

    return register


_PLACES: dict[str, tuple[int, int]] = {}
"""Command -> its panel and its position there."""


def _unwrapped(text: str) -> str:
    """A docstring with one line per paragraph, so that only the terminal breaks its lines."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
