"""The embedded Proxmox VE answers every recorded request as a Proxmox VE 9.2 did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.replay import recordings, replay


@pytest.mark.parametrize("scenario", recordings("exchanges"), ids=lambda one: one["name"])
def test_topics(scenario: dict[str, Any], tmp_path: Path) -> None:
    assert not replay(scenario, tmp_path)


@pytest.mark.parametrize("scenario", recordings("traces"), ids=lambda one: one["name"])
def test_random_sequences_of_writes(scenario: dict[str, Any], tmp_path: Path) -> None:
    assert not replay(scenario, tmp_path)
