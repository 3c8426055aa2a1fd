"""The meaning of each option of storages, realms and backup jobs: `option_descriptions.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class OptionDescription(NamedTuple):
    """`label`: the field's name in the web interface, "" where it has none. `since`: the first
    release that knows the option, "" where every supported one does."""

    text: str
    label: str = ""
    since: str = ""


@cache
def option_descriptions(kind: str) -> dict[str, OptionDescription]:
    """PVE's name of each option -> its description; `kind` is storage, realm or backup."""
    text = (files(__package__) / "option_descriptions.toml").read_text(encoding="utf-8")
    return {
        name: OptionDescription(row["text"], row.get("web", ""), row.get("since", ""))
        for name, row in tomllib.loads(text)[kind].items()
    }
