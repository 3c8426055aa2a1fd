"""The command line: arguments in, exit status out."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from reconciler.cli import commands
from reconciler.cli.command import Program
from reconciler.cli.hints import command_modules
from reconciler.cli.streams import silence, write_err, write_out
from reconciler.cli.turn import COMMAND_LINE
from reconciler.errors import Bug, ExitStatus, PvectlError, UsageError

app = typer.Typer(
    name="pvectl",
    cls=Program,
    help=(
        "Declarative access control and backups for Proxmox VE.\n\n"
        "State files say who may do what; `plan` shows what would change, for whom and why; "
        "`apply` does it and rolls everything back when a step fails; `drift` reports "
        "out-of-band changes.\n\n"
        "First steps: `pvectl init`, edit state/*.toml, `pvectl plan`, `pvectl apply`."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 2 changes or drift, 3 files invalid, 4 refused, 7 unreachable, "
    "8 cannot see enough, 9 failed and restored, 10 failed and not restored; "
    "`pvectl explain exit-status` shows them all.",
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from reconciler import __version__

        write_out(f"pvectl {__version__}\n")
        raise typer.Exit


def _register(arguments: Sequence[str]) -> None:
    """Import, and so register, the module of the command on the command line; all of them where
    there is none.

    Start-up stays short: a command needs no other one. A module is named as its command is typed,
    with `_` for `-` and behind a Python keyword.
    """
    modules = command_modules()
    for name in _asked(arguments) or modules:
        module = modules[name]
        importlib.import_module(f"{commands.__name__}.{module}")


def _asked(arguments: Sequence[str]) -> tuple[str, ...]:
    """The command on the command line; empty where there is none of that name."""
    first = next((text for text in arguments if not text.startswith("-")), "")
    return (first,) if first in command_modules() else ()


def call(arguments: Sequence[str]) -> Any:
    """Run one command; raises what goes wrong."""
    _register(arguments)
    if not {"--help", "-h"}.isdisjoint(arguments):
        from reconciler.cli.command import with_literal_brackets

        with_literal_brackets(app)
    return app(args=list(arguments), prog_name="pvectl", standalone_mode=False)


def run(arguments: Sequence[str]) -> int:
    """Run one command; every error becomes a message and an exit status."""
    try:
        COMMAND_LINE[:] = arguments
        result = call(arguments)
    except (KeyboardInterrupt, typer.Abort):
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        return _unheard()
    except SystemExit as end:  # how rich ends a help whose reader has gone
        unheard = isinstance(end.__context__, BrokenPipeError)
        return _unheard() if unheard else int(end.code or 0)
    except Exception as error:
        return _failure(error, arguments)
    return int(result or 0)


def _unheard() -> int:
    """End quietly: the reader of the output has gone, which is not an error."""
    silence(sys.stdout)
    return int(ExitStatus.OK)


def _failure(error: Exception, arguments: Sequence[str]) -> int:
    wrong_usage: type[Exception] = typer.BadParameter.__mro__[2]  # click's ClickException
    if isinstance(error, wrong_usage):
        words = _words(error)
        if not words:  # the help was shown instead
            return int(ExitStatus.USAGE)
        error = UsageError(words, hint=" ".join(("pvectl", *_asked(arguments), "--help")))
    elif isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        error = UsageError(f"{what}{error.strerror or error}", hint=_PLACE)
    return _fail(error, arguments) if isinstance(error, PvectlError) else _bug(error)


_PLACE = "check the path or port, and its permissions"


def _words(error: Exception) -> str:
    words = getattr(error, "format_message", lambda: str(error))()
    return words.rstrip(".")


def _fail(error: PvectlError, arguments: Sequence[str]) -> int:
    from reconciler.cli.hints import options_given as options
    from reconciler.cli.terminal.output import print_error

    given = " ".join(arguments).replace("--log-format=", "--log-format ")
    as_json = "--log-format json" in given or os.environ.get("PVECTL_LOG_FORMAT") == "json"
    color = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    print_error(error, as_json=as_json, color=color, again=options(arguments))
    return int(error.exit_status)


def _bug(error: Exception) -> int:
    bug = Bug.of(error)
    write_err(f"error {bug.code}: {bug.summary}\n  {bug.hint}\n")
    return int(bug.exit_status)
