"""The meaning of the options of storages, realms and jobs, and their names elsewhere.

The data: `option_descriptions.toml`.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class OptionDescription(NamedTuple):
    """`text`: what it means, "" if the table of the kind says so itself. `label`: the field's name
    in the web interface, "" if it has none. `parameter`: its name in the API, "" if it is the key
    of the row."""

    text: str = ""
    label: str = ""
    parameter: str = ""


@cache
def option_descriptions(kind: str) -> dict[str, OptionDescription]:
    """Name of each option -> its description: PVE's name for a storage, a realm or a backup job,
    the key of the table for other kinds."""
    text = (files(__package__) / "option_descriptions.toml").read_text(encoding="utf-8")
    return {
        name: OptionDescription(row.get("text", ""), row.get("web", ""), row.get("api", ""))
        for name, row in tomllib.loads(text)[kind].items()
    }
