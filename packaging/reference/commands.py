"""The page of the commands, and the man pages."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

import typer
from tables import item, page, wrapped

from reconciler import __version__
from reconciler.cli import commands as package
from reconciler.cli.app import app
from reconciler.cli.command import argument_usage
from reconciler.cli.common_options import PANEL
from reconciler.cli.hints import command_modules
from reconciler.errors import MEANINGS


def root() -> Any:
    """The whole program."""
    for module in command_modules().values():
        importlib.import_module(f"{package.__name__}.{module}")
    return typer.main.get_command(app)


def leaves() -> Iterator[tuple[str, Any]]:
    """`backup run` and so on, in the order of `pvectl --help`."""
    waiting = list(root().commands.items())
    for name, one in waiting:
        if hasattr(one, "commands"):
            yield from ((f"{name} {inner}", sub) for inner, sub in one.commands.items())
        else:
            yield name, one


def pages() -> dict[str, str]:
    """Path below docs/reference -> its text."""
    parts = [
        wrapped("Each command also has these common options:"),
        _options(next(iter(leaves()))[1], common=True),
    ]
    for name, one in leaves():
        parts += [f"## {name}", f"```\n{_usage(name, one)}\n```"]
        parts += [wrapped(paragraph) for paragraph in (one.help or "").split("\n\n")]
        parts += [text for text in (_arguments(one), _options(one, common=False)) if text]
    return {"commands.md": page("Commands", *parts)}


def _usage(name: str, one: Any) -> str:
    given = [argument_usage(param) for param in _params(one, "argument")]
    return " ".join([f"pvectl {name}", "[OPTIONS]", *given])


def _params(one: Any, kind: str, *, common: bool = False) -> list[Any]:
    return [
        param
        for param in one.params
        if param.param_type_name == kind
        and not getattr(param, "hidden", False)
        and (getattr(param, "rich_help_panel", None) == PANEL) == common
    ]


def _arguments(one: Any) -> str:
    rows = [
        f"`{argument_usage(param)}`: {getattr(param, 'help', '') or ''}"
        for param in _params(one, "argument")
    ]
    return "\n".join(map(item, rows))


def _options(one: Any, *, common: bool) -> str:
    rows = []
    for param in _params(one, "option", common=common):
        names, told = _option(param)
        rows.append(item(f"`{names}`: {told}"))
    return "\n".join(rows)


def _option(param: Any) -> tuple[str, str]:
    """Names with their value, and what the help says."""
    names = ", ".join([*param.opts, *param.secondary_opts])
    flag = getattr(param, "is_flag", False)
    value = "" if flag else f" {param.metavar or _kind(param)}"
    told = getattr(param, "help", "") or ""
    envvar = getattr(param, "envvar", None)
    return f"{names}{value}", told + (f" (`{envvar}`)" if envvar else "")


def _kind(param: Any) -> str:
    """What an option without a metavar takes."""
    return {"int": "N", "float": "N", "Path": "PATH"}.get(param.bare_type.__name__, "TEXT")


def man_pages() -> dict[str, str]:
    """File name -> roff text: pvectl(1), and pvectl-COMMAND(1) for each command."""
    every = list(leaves())
    found = {"pvectl.1": _main_page(every)}
    for name, one in every:
        found[f"pvectl-{name.replace(' ', '-')}.1"] = _command_page(name, one)
    return found


def _main_page(every: list[tuple[str, Any]]) -> str:
    parts = [_title("pvectl", "declarative access control and backups for Proxmox VE")]
    parts += [".SH SYNOPSIS", ".B pvectl", r"\fICOMMAND\fR [\fIOPTIONS\fR]", ".SH DESCRIPTION"]
    parts += _paragraphs(app.info.help or "")
    parts.append(".SH COMMANDS")
    for name, one in every:
        first = (one.help or "").partition("\n\n")[0].partition(". ")[0].rstrip(".")
        parts += [".TP", rf"\fBpvectl-{_roff(name.replace(' ', '-'))}\fR(1)", _roff(first)]
    parts.append(".SH OPTIONS")
    parts += _man_options(every[0][1], common=True)
    parts.append(".SH EXIT STATUS")
    for status, text in MEANINGS.items():
        parts += [".TP", rf"\fB{int(status)}\fR", _roff(text)]
    return "\n".join(parts) + "\n"


def _command_page(name: str, one: Any) -> str:
    text = one.help or ""
    first = text.partition("\n\n")[0].partition(". ")[0].rstrip(".")
    parts = [_title(f"pvectl-{name.replace(' ', '-')}", first), ".SH SYNOPSIS"]
    parts += [rf"\fB{_roff(_usage(name, one))}\fR", ".SH DESCRIPTION", *_paragraphs(text)]
    if _params(one, "argument") or _params(one, "option"):
        parts.append(".SH OPTIONS")
        for param in _params(one, "argument"):
            told = getattr(param, "help", "") or ""
            parts += [".TP", rf"\fI{_roff(argument_usage(param))}\fR", _roff(told)]
        parts += _man_options(one, common=False)
    parts += [".SH SEE ALSO", r"\fBpvectl\fR(1), for the options of every command"]
    return "\n".join(parts) + "\n"


def _title(name: str, told: str) -> str:
    return (
        f'.TH {name.upper()} 1 "" "pvectl {__version__}" "pvectl"\n'
        f".SH NAME\n{_roff(name)} \\- {_roff(told)}"
    )


def _man_options(one: Any, *, common: bool) -> list[str]:
    lines = []
    for param in _params(one, "option", common=common):
        names, told = _option(param)
        lines += [".TP", rf"\fB{_roff(names)}\fR", _roff(told.replace("`", ""))]
    return lines


def _paragraphs(text: str) -> list[str]:
    return [line for paragraph in text.split("\n\n") for line in (".PP", _roff(paragraph))]


def _roff(text: str) -> str:
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("`", "")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)
