"""The commands that messages name are spelled so that they work when they are typed."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

_NAMED = re.compile(
    r"\bpvectl (?P<verb>apply|bootstrap|drift|plan|resume|rollback|rotate|status|trust|unlock|"
    r"verify)\b"
    r"(?! --(?:state|settings|on) )"
)


def same_cluster(state: Path, on: str | None, settings: Path | None = None) -> tuple[str, ...]:
    """The options with which another command means the same files and the same cluster; none for
    what it would mean anyway."""
    files = () if state == Path(_meant("--state") or "state") else ("--state", str(state))
    trusted = "" if settings is None else str(settings)
    more = {"--settings": trusted, "--on": on or ""}
    chosen = ((name, text) for name, text in more.items() if text and text != _meant(name))
    return (*files, *(word for pair in chosen for word in pair))


def options_given(arguments: Sequence[str]) -> tuple[str, ...]:
    """The same, from the arguments of a command line."""
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
    """What the environment gives for an option, for this command and the next one."""
    return os.environ.get(_VARIABLES[option], "")


def with_options(text: str, options: Sequence[str]) -> str:
    """A message whose commands carry these options."""
    if not options:
        return text
    more = shlex.join(options)
    return _NAMED.sub(lambda found: f"pvectl {found['verb']} {more}", text)
