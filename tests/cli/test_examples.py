"""Every example folder: in the usual layout, valid, applied to a fresh cluster, then done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
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


def checked(tool: str, *words: str | Path) -> tuple[int, str]:
    """Exit status and output of a linter that is installed beside Python."""
    tools = Path(sys.executable).parent
    done = subprocess.run(
        [tools / tool, *words],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_workflows_are_clean() -> None:
    status, said = checked("zizmor", "--offline", "--quiet", "action", ".github", *workflows())
    assert status == 0, said
    assert said.startswith("No findings to report.")


@pytest.mark.skipif(sys.platform != "linux", reason="actionlint is installed on Linux only")
def test_actionlint_finds_nothing() -> None:
    """With shellcheck, which it finds on the path, for the scripts in the workflows."""
    own = ROOT.glob(".github/workflows/*.yml")
    settings = ROOT / ".github" / "actionlint.yaml"
    assert checked("actionlint", "-config-file", settings, *own, *workflows()) == (0, "")


def scripts_within() -> Iterator[tuple[str, str]]:
    """The shell lines of the examples that are not workflows of GitHub."""
    folder = ROOT / "examples" / "ci"
    for name in ("gitlab/pvectl.yml", "fleet-gitlab-ci.yml"):
        *_, pipeline = yaml.safe_load_all((folder / name).read_text())
        for job, keys in pipeline.items():
            if "script" in keys:
                lines = keys["script"] if isinstance(keys["script"], list) else [keys["script"]]
                yield f"{name}-{job}", "\n".join(lines)
    jenkins = (folder / "jenkins" / "Jenkinsfile").read_text()
    for number, script in enumerate(re.findall(r"sh '''(.*?)'''", jenkins, re.S)):
        yield f"jenkins-{number}", script
    pod = yaml.safe_load((folder / "kubernetes-cronjob.yml").read_text())["spec"]["jobTemplate"]
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    yield "kubernetes", container["command"][-1]


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    """In the scripts of the project, and in those within the examples for CI."""
    own = [
        path
        for place in ("action", "examples", "packaging", ".ci")
        for path in (ROOT / place).rglob("*")
        if path.is_file() and re.match(rb"#!.*\b(ba)?sh\n", path.read_bytes()[:40])
    ]
    assert len(own) > 14
    within = []
    for name, script in scripts_within():
        within.append(tmp_path / f"{name.replace('/', '-')}.sh")
        within[-1].write_text(f"#!/bin/sh\n{script}\n")
    assert len(within) > 10
    assert checked("shellcheck", *own, *within) == (0, "")


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
