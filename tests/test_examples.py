"""Every example works as it stands: applied on a fresh Proxmox VE, then nothing to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from reconciler.desired.load import load
from reconciler.desired.settings import read_settings
from reconciler.execution import journals
from reconciler.execution.apply import apply
from reconciler.execution.run import Run
from reconciler.kinds import all_kinds
from reconciler.kinds.read import EVERYTHING
from reconciler.live.read import read_live
from reconciler.model.finding import Severity
from reconciler.planning.compose import Question, compose
from reconciler.sandbox.direct import SandboxApi
from tests.engine import NOW, MemorySecrets, NoLease, TestClock

ROOT = Path(__file__).parent.parent
FOLDERS = ["state", "examples/team-access", "examples/backup-plan"]


@pytest.mark.parametrize("name", FOLDERS)
def test_an_example_is_applied_and_then_there_is_nothing_to_do(name, tmp_path):
    shutil.copytree(ROOT / "examples" / "fresh-pve", tmp_path / "pve")
    api = SandboxApi(tmp_path / "pve")
    folder = ROOT / name
    desired = load(folder, settings=read_settings(folder))
    assert not [f for f in desired.findings if f.severity is Severity.ERROR]

    def plan():
        live = read_live(api, all_kinds(), dict.fromkeys(all_kinds(), EVERYTHING))
        return compose(desired, live.state, live.facts, Question(api.endpoint, api.actor, NOW)).plan

    first = plan()
    assert first.steps
    assert not first.refusals
    clock = TestClock()
    journal = journals.start(tmp_path / "journal", first, "tester", "", 1, clock.now())
    with journal:
        run = Run(api, first.steps, journal, clock, MemorySecrets(), NoLease())
        assert apply(run).complete
    assert plan().steps == ()


def test_the_workflow_is_yaml_and_every_example_is_tested():
    yaml.safe_load((ROOT / "examples" / "ci" / "github-actions.yml").read_text())
    folders = {str(p.parent.relative_to(ROOT)) for p in (ROOT / "examples").glob("*/pvectl.toml")}
    assert folders <= set(FOLDERS)
