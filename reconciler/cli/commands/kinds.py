"""pvectl kinds: list what can be declared."""

from __future__ import annotations

import sys
import textwrap

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.output import result, width
from reconciler.errors import ExitStatus
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.ungiven import Rule, by_rule

_WORDS = {
    Rule.REQUIRED: "required",
    Rule.DEFAULT: "if omitted, the default applies",
    Rule.WATCHED: "if omitted, left unchanged; `drift` reports changes",
    Rule.LEFT: "if omitted, left unchanged",
    Rule.FILE: "kept in the file only, or sent once",
}


@command(app, "kinds", Panel.FILES, 7)
def kinds(common: CommonOptions) -> ExitStatus:
    """List the kinds of objects that can be declared and the keys of their tables, by what happens
    when a key is omitted.
    """
    del common
    for name, kind in all_kinds().items():
        place = kind.toml.place
        outer = f"{place.inside}.NAME." if place.inside else ""
        table = f"[[{place.key}]]" if place.array else f"[{outer}{place.key}.NAME]"
        summary = (sys.modules[kind.reads.parse.__module__].__doc__ or "").splitlines()[0]
        result(f"{name:<11} {table}")
        result(_indented(summary))
        for rule, keys in by_rule(kind.toml.table).items():
            result(_indented(f"{_WORDS[rule]}: {', '.join(keys)}", 6))
        result("")
    return ExitStatus.OK


def _indented(text: str, further: int = 0) -> str:
    """The text below the table's name, continuation lines indented by `further`."""
    indent = " " * 12
    return textwrap.fill(
        text, width(), initial_indent=indent, subsequent_indent=indent + " " * further
    )
