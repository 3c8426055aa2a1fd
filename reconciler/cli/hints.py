"""Add --state/--on to quoted commands, so that they work when pasted."""

from __future__ import annotations

import os
import pkgutil
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from reconciler.cli import commands

ABOUT_NO_CLUSTER = frozenset({"explain", "fmt", "init", "kinds", "sandbox", "schema", "show"})
"""Commands that mean the same whichever cluster and state folder were named."""


@cache
def command_modules() -> Mapping[str, str]:
    """Each command, as typed, and its module in `cli/commands/`."""
    names = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
    return {name.rstrip("_").replace("_", "-"): name for name in names}


@cache
def _named() -> re.Pattern[str]:
    """Matches a command in a message that does not name its cluster yet."""
    verbs = "|".join(sorted(command_modules().keys() - ABOUT_NO_CLUSTER, key=len, reverse=True))
    return re.compile(
        rf"\bpvectl (?P<verb>backup (?:status|run)|{verbs})\b(?![-\w])(?! --(?:state|settings|on) )"
    )


def same_cluster(state: Path, on: str | None, settings: Path | None = None) -> tuple[str, ...]:
    """The options with which another command uses the same files and the same cluster; none for
    defaults.
    """
    files = () if state == Path(_meant("--state") or "state") else ("--state", str(state))
    trusted = "" if settings is None else str(settings)
    more = {"--settings": trusted, "--on": on or ""}
    chosen = ((name, text) for name, text in more.items() if text and text != _meant(name))
    return (*files, *(word for pair in chosen for word in pair))


def options_given(arguments: Sequence[str]) -> tuple[str, ...]:
    """The same, read from a command line."""
    found: dict[str, str] = {}
    for position, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in _VARIABLES:
            found[name] = value if equals else next(iter(arguments[position + 1 :]), "")
    state = found.get("--state") or _meant("--state") or "state"
    settings = found.get("--settings")
    return same_cluster(Path(state), found.get("--on"), Path(settings) if settings else None)


_VARIABLES = {"--state": "PVECTL_STATE", "--on": "PVECTL_ON", "--settings": "PVECTL_SETTINGS"}


def _meant(option: str) -> str:
    """The value of an option from the environment, which this command and the next one share."""
    return os.environ.get(_VARIABLES[option], "")


def with_options(text: str, options: Sequence[str]) -> str:
    """The message with these options added to its commands."""
    if not options:
        return text
    more = shlex.join(options)
    return _named().sub(lambda found: f"pvectl {found['verb']} {more}", text)
