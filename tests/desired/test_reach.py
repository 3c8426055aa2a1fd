"""What counts as the checkout of state files."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.desired.reach import checkouts_of


def test_etckeeper_makes_no_checkout_of_etc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setattr(Path, "exists", lambda path: path.name == ".git")
    found = checkouts_of(Path("/etc/pvectl/state"))
    assert found == [Path("/etc/pvectl/state"), Path("/etc/pvectl")]
