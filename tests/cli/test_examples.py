"""Every example folder: in the usual layout, valid, applied to a fresh cluster, then done."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from reconciler.errors import ExitStatus
from tests.support.command import pvectl
from tests.support.workflows import OWN

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
    assert applied.status == ExitStatus.OK, applied
    again = pvectl("plan", "--detailed-exitcode", *on, cwd=tmp_path, env=env)
    assert again.status == ExitStatus.OK, again
    assert "No changes" in again.out


def test_the_workflow_applies_the_plan_that_was_approved() -> None:
    path = ROOT / "examples" / "ci" / "github" / "apply.yml"
    jobs = yaml.safe_load(path.read_text())["jobs"]
    given = {
        name: [step["with"] for step in job["steps"] if step["uses"].startswith(OWN)]
        for name, job in jobs.items()
    }
    assert given["plan"] == [{"plan": "plan.json", "allow": ".github/pvectl-allow"}]
    assert given["apply"] == [{"command": "apply", "plan": "plan.json"}]
    assert jobs["apply"]["needs"] == "plan"
    assert jobs["apply"]["environment"]


def test_workflows_are_clean() -> None:
    places = ["action", ".github", *(str(path) for path in workflows())]
    done = subprocess.run(
        [Path(sys.executable).parent / "zizmor", "--offline", "--quiet", *places],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("No findings to report.")


def workflows() -> list[Path]:
    folder = ROOT / "examples" / "ci"
    return [
        path
        for path in sorted(folder.rglob("*.yml"))
        if "jobs:\n" in path.read_text() and "runs-on:" in path.read_text()
    ]


@pytest.mark.parametrize(("status", "mailed"), [(0, ""), (2, "Drift\nfailed\n")])
def test_cron_mails_only_what_needs_attention(status: int, mailed: str, tmp_path: Path) -> None:
    """Whatever a line of cron says is mailed."""
    *_, line = (ROOT / "examples" / "ci" / "drift.cron").read_text().splitlines()
    command = line.split(maxsplit=6)[6].replace("/srv/pve-state", str(tmp_path))
    stand_in = tmp_path / "pvectl"
    stand_in.write_text(f"#!/bin/sh\necho Drift\necho failed >&2\nexit {status}\n")
    stand_in.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout + done.stderr == mailed
