"""pvectl kinds: list what can be declared."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.terminal.output import result, width
from reconciler.errors import ExitStatus, UsageError
from reconciler.kinds import all_kinds, summary
from reconciler.kinds.shared.omitted_keys import WhenOmitted, by_rule
from reconciler.text.suggest import did_you_mean

_WORDS = {
    WhenOmitted.REQUIRED: "required",
    WhenOmitted.DEFAULT: "if omitted, the default applies",
    WhenOmitted.WATCHED: "if omitted, left unchanged; `drift` reports changes",
    WhenOmitted.LEFT: "if omitted, left unchanged",
    WhenOmitted.FILE: "kept in the file only, or sent once",
}


@command(app, "kinds", Panel.FILES, 7)
def kinds(
    common: CommonOptions,
    name: Annotated[str, typer.Argument(metavar="KIND", help="One of them, key by key.")] = "",
) -> ExitStatus:
    """List the kinds of objects that can be declared and the keys of their tables, by what happens
    when a key is omitted. With KIND: type, values, default and API name of each of its keys.
    """
    del common
    if name:
        _one(name)
        return ExitStatus.OK
    for one, kind in all_kinds().items():
        result(f"{one:<11} {kind.toml.place}")
        result(_indented(summary(kind)))
        for rule, keys in by_rule(kind.toml.table).items():
            result(_indented(f"{_WORDS[rule]}: {', '.join(keys)}", 6))
        result("")
    return ExitStatus.OK


def _one(name: str) -> None:
    """Show one kind; raises UsageError for an unknown one."""
    from reconciler.desired.schema.reference import facts, keys

    kind = all_kinds().get(name)
    if kind is None:
        known = f"kinds: {', '.join(sorted(all_kinds()))}"
        raise UsageError(
            f"there is no kind '{name}'", hint=did_you_mean(name, all_kinds()) or known
        )
    result(f"{kind.toml.place}  {summary(kind)}")
    for key in keys(kind):
        required = " (required)" if key.not_given is WhenOmitted.REQUIRED else ""
        result(f"\n{key.name}{required}")
        result(textwrap.fill(key.meaning, width(), initial_indent="  ", subsequent_indent="  "))
        for title, text in facts(key):
            if text:
                result(
                    textwrap.fill(
                        f"{title}: {text}", width(), initial_indent="  ", subsequent_indent="    "
                    )
                )


def _indented(text: str, further: int = 0) -> str:
    """The text below the table's name, continuation lines indented by `further`."""
    indent = " " * 12
    return textwrap.fill(
        text, width(), initial_indent=indent, subsequent_indent=indent + " " * further
    )
