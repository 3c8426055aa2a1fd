"""The options that every command takes, as one value."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from reconciler.cli.hints import same_cluster
from reconciler.cli.turn import capturing
from reconciler.desired.settings.selection import is_glob
from reconciler.errors import UsageError

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
    jobs: int = 8
    executor: str = ""
    command: str = ""
    written: set[Path | None] = field(default_factory=set, compare=False)
    """the files of --format that hold the result of this run already; None: standard output"""
    plugin: list[int] = field(default_factory=list, compare=False)
    """the exit status of a monitoring plugin, once one was shown"""
    lock_timeout: int = 0
    """seconds to wait for another run to end"""
    stdout_is_taken: bool = False
    """a secret is to go to standard output, and nothing else"""

    @property
    def is_plugin(self) -> bool:
        """Whether a monitoring system reads standard output and takes the exit status for its own
        states."""
        return any(output == ("nagios", None) for output in self.outputs)

    @property
    def again(self) -> tuple[str, ...]:
        """The options with which another command uses the same files and the same cluster."""
        turn = capturing()
        return same_cluster(self.state, turn.name if turn else self.on, self.settings)


def common_options(
    state: Annotated[
        Path,
        typer.Option(
            "--state",
            envvar="PVECTL_STATE",
            metavar="DIR",
            help="State folder.",
            rich_help_panel=PANEL,
        ),
    ] = Path("state"),
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            envvar="PVECTL_SETTINGS",
            metavar="FILE",
            help="Trusted settings outside the state folder; they override its pvectl.toml.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            envvar="PVECTL_ON",
            metavar="TARGET",
            help="A cluster of pvectl.toml by name, all of them (all), those that match a GLOB, or "
            "sandbox:FOLDER.",
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
    *,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            envvar="PVECTL_JOBS",
            metavar="N",
            min=1,
            help="How many clusters at once, with --on all or GLOB.",
            rich_help_panel=PANEL,
        ),
    ] = 8,
    executor: Annotated[
        str,
        typer.Option(
            "--executor",
            envvar="PVECTL_EXECUTOR",
            metavar="dask=ADDRESS",
            help="With --on all or GLOB: run on the workers of this dask scheduler.",
            rich_help_panel=PANEL,
        ),
    ] = "",
    color: Annotated[
        bool | None,
        typer.Option(
            "--color/--no-color",
            help="Colour output; default: only on a terminal.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", envvar="PVECTL_QUIET", help="Hide progress.", rich_help_panel=PANEL
        ),
    ] = False,
    log_format: Annotated[
        str,
        typer.Option(
            "--log-format",
            envvar="PVECTL_LOG_FORMAT",
            metavar="text|json",
            help="Format of progress and errors on standard error.",
            rich_help_panel=PANEL,
        ),
    ] = "text",
) -> CommonOptions:
    """The arguments as one value; raises UsageError."""
    if log_format not in {"text", "json"}:
        raise UsageError(f"--log-format '{log_format}' is not known", hint="text or json")
    if executor and not (executor.startswith("dask=") and executor.partition("=")[2]):
        raise UsageError(
            f"--executor '{executor}' is not known", hint="--executor dask=tcp://HOST:8786"
        )
    plain = bool(os.environ.get("NO_COLOR")) or not sys.stdout.isatty()
    outputs = tuple(_output(text) for text in format_ or ["text"])
    colored = not plain if color is None else color
    return CommonOptions(state, on, outputs, colored, quiet, log_format, settings, jobs, executor)


def _output(text: str) -> Output:
    name, _, file = text.partition("=")
    return Output(name, Path(file) if file else None)


def for_target(file: Path | None) -> bool:
    """Whether a file is one per target: its name has `{target}`."""
    return file is not None and "{target}" in str(file)


def means_several(on: str | None) -> bool:
    """Whether `--on` may select more than one cluster."""
    return on == "all" or (on is not None and is_glob(on))
