"""Packages that only some commands need: the extras of pvectl."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def install_command(extra: str) -> str:
    """The shell command that adds an extra to this installation, by what installed it: pipx, uv or
    pip; where the system's package manager did (PEP 668), a separate installation."""
    wanted = f"'pvectl[{extra}]'"
    environment = Path(sys.prefix)
    if (environment / "pipx_metadata.json").is_file():
        return f"pipx inject pvectl {wanted}"
    if (environment / "uv-receipt.toml").is_file():
        return f"uv tool install {wanted}"
    of_the_system = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").is_file()
    if of_the_system and sys.prefix == sys.base_prefix:
        return f"pipx install {wanted}"
    return f"pip install {wanted}"
