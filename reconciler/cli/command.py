"""Registration of commands: their place in the help, and error handling around each."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from reconciler.cli.common_options import CommonOptions, common_options
from reconciler.cli.completion import offer_for
from reconciler.errors import ExitStatus

PLUGIN_UNKNOWN = 3
"""The exit status of a monitoring plugin that failed to produce a result."""


class FailureReports:
    """When a command fails, writes the error to every `--format NAME=FILE` that holds no result
    yet, so that the report of an earlier run is not mistaken for this one's, and to standard output
    for a program that reads it. `task` is the command with its action, for notices.
    """

    def __init__(self, common: CommonOptions, command: str, task: str) -> None:
        self._common = common
        self._command = command
        self._task = task

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        del kind, trace
        common = self._common
        if not isinstance(error, Exception):
            return False
        if any(one.file or one.name != "text" for one in common.outputs):
            from reconciler.cli.failure import write_failure

            write_failure(common, self._command, error)
        if common.settings is not None:
            from reconciler.cli.notices import tell_failure

            tell_failure(common, self._task, error)
        return bool(common.plugin)


class Command(TyperCommand):
    """A command whose usage shows its arguments as man pages do: `WHO [PATH]`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What follows the name of the command."""
        del ctx
        return ["[OPTIONS]", *(argument_usage(one) for one in self.params if _is_argument(one))]

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, with `--help`."""
        return without_values(super().get_params(ctx))


class Program(TyperGroup):
    """`pvectl` itself."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its options, with `--help`."""
        return without_values(super().get_params(ctx))


def without_values(params: list[Any]) -> list[Any]:
    """The parameters; those that are switches are shown without the value that they do not take."""
    for one in params:
        if getattr(one, "is_flag", False):
            one.metavar = ""
    return params


def argument_usage(argument: Any) -> str:
    """An argument of a command as its usage shows it: `WHO`, `[FILE]`, `[WHAT]...`."""
    shown = argument.metavar or argument.name.upper()
    shown = shown if argument.required else f"[{shown}]"
    return shown if argument.nargs == 1 else f"{shown}..."


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


class Panel(Enum):
    """Where `pvectl --help` lists a command; panels appear in this order."""

    PLAN = "Plan and apply"
    FILES = "State files"
    BACKUP = "Backups"
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
        every = inspect.signature(common_options, eval_str=True).parameters.values()
        shared = [parameter for parameter in every if parameter.name not in taken]
        names = {parameter.name for parameter in shared}

        @functools.wraps(function)
        def run(**given: Any) -> int:
            common = common_options(**{key: given.pop(key) for key in list(given) if key in names})
            common = replace(common, command=name)
            task = f"{name} {given['action']}" if "action" in given else name
            with FailureReports(common, name, task):
                status = function(common, **given)
                if common.settings is not None:
                    from reconciler.cli.notices import tell_status

                    tell_status(common, task, status)
                return max(common.plugin) if common.plugin else status
            return PLUGIN_UNKNOWN

        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(kind=p.KEYWORD_ONLY) for p in [*own, *shared]], return_annotation=ExitStatus
        )
        run.__annotations__ = {p.name: p.annotation for p in [*own, *shared]}
        for note in (note for p in own for note in getattr(p.annotation, "__metadata__", ())):
            note.help = _literal(note.help or "")
        for parameter in [*own, *shared]:
            for note in getattr(parameter.annotation, "__metadata__", ()):
                # typer keeps the first name of an option in `default` until the command is built
                names_of = [one for one in (note.default, *(note.param_decls or ())) if one]
                note.autocompletion = offer_for(name, parameter.name, map(str, names_of))
        help_text = _literal(_unwrapped(function.__doc__ or ""))
        app.command(name, cls=Command, help=help_text, rich_help_panel=panel.value)(run)
        order = list(Panel)
        _PLACES[name] = (order.index(panel), place)
        app.registered_commands.sort(key=lambda made: _PLACES[str(made.name)])
        return function

    return register


def with_literal_brackets(app: typer.Typer) -> None:
    """Make the help of what is registered show `[limits]` as it is; rich would take it for one of
    its styles. The texts themselves are changed."""
    infos: dict[int, Any] = {id(made): made for made in app.registered_commands}
    for made in app.registered_commands:
        for parameter in inspect.signature(made.callback or (lambda: None)).parameters.values():
            infos |= {id(one): one for one in getattr(parameter.annotation, "__metadata__", ())}
    for one in infos.values():
        if isinstance(getattr(one, "help", None), str):
            one.help = one.help.replace("\\[", "[").replace("[", "\\[")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            with_literal_brackets(group.typer_instance)


_PLACES: dict[str, tuple[int, int]] = {}
"""Command -> its panel and its position there."""


def _literal(text: str) -> str:
    """The text with `[table]` escaped, which the help would otherwise read as markup."""
    return re.sub(r"(?<!\\)\[[a-z#/@][^[]*?\]", r"\\\g<0>", text)


def _unwrapped(text: str) -> str:
    """A docstring with one line per paragraph, so that only the terminal breaks its lines."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
