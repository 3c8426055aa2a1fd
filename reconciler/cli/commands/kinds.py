"""pvectl kinds: what can be declared."""

from __future__ import annotations

import textwrap

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.output import result, width
from reconciler.errors import ExitStatus
from reconciler.kinds import all_kinds, summary
from reconciler.kinds.shared.ungiven import Rule, by_rule

_WORDS = {
    Rule.REQUIRED: "required",
    Rule.DEFAULT: "not given, the default counts",
    Rule.WATCHED: "not given, left alone, and `drift` tells of a change",
    Rule.LEFT: "not given, left alone",
    Rule.FILE: "of the file alone, or sent once",
}


@command(app, "kinds", Panel.FILES, 7)
def kinds(common: CommonOptions) -> ExitStatus:
    """List the kinds of objects that can be declared, and the keys of their tables: what becomes of
    each that a file does not give."""
    del common
    for name, kind in all_kinds().items():
        place = kind.toml.place
        outer = f"{place.inside}.NAME." if place.inside else ""
        table = f"[[{place.key}]]" if place.array else f"[{outer}{place.key}.NAME]"
        result(f"{name:<11} {table}")
        result(_indented(summary(kind)))
        for rule, keys in by_rule(kind.toml.table).items():
            result(_indented(f"{_WORDS[rule]}: {', '.join(keys)}", 6))
        result("")
    return ExitStatus.OK


def _indented(text: str, further: int = 0) -> str:
    """Below the table's name, every line after the first `further` in."""
    indent = " " * 12
    return textwrap.fill(
        text, width(), initial_indent=indent, subsequent_indent=indent + " " * further
    )
