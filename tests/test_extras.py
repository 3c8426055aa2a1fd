"""How a package that a command lacks is installed."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from reconciler.extras import install_command


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("pipx_metadata.json", "pipx inject pvectl 'pvectl[notify]'"),
        ("uv-receipt.toml", "uv tool install 'pvectl[notify]'"),
        ("", "pip install 'pvectl[notify]'"),
    ],
)
def test_an_extra_is_added_by_what_installed_pvectl(
    marker: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    if marker:
        (tmp_path / marker).touch()
    assert install_command("notify") == told


def test_the_python_of_the_system_gets_no_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path))
    assert install_command("sandbox") == "pip install 'pvectl[sandbox]'"
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    assert install_command("sandbox") == "pipx install 'pvectl[sandbox]'"
