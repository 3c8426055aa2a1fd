"""Every example folder: in the usual layout, valid, applied to a fresh cluster, then done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.command import pvectl

ROOT = Path(__file__).parent.parent.parent
FOLDERS = [ROOT / "state", *sorted(f.parent for f in ROOT.glob("examples/*/pvectl.toml"))]
ENV = {"LDAP_BIND_PASSWORD": "correct-horse-battery"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_works(folder: Path, tmp_path: Path) -> None:
    state = shutil.copytree(folder, tmp_path / "state", ignore=shutil.ignore_patterns("secrets"))
    cluster = shutil.copytree(ROOT / "examples" / "fresh-pve", tmp_path / "pve")
    env = {**ENV, "PVECTL_HOME": str(tmp_path / "home")}
    on = ("--state", state, "--on", f"sandbox:{cluster}")
    assert pvectl("fmt", "--check", "--state", state, cwd=tmp_path) == (0, "", "")

    applied = pvectl("apply", "--yes", *on, cwd=tmp_path, env=env)
    assert applied.status == 0, applied
    again = pvectl("plan", "--detailed-exitcode", *on, cwd=tmp_path, env=env)
    assert again.status == 0, again
    assert "No changes" in again.out


def test_the_workflow_is_yaml() -> None:
    assert yaml.safe_load((ROOT / "examples" / "ci" / "github-actions.yml").read_text())["jobs"]
