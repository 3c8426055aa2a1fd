"""Secrets that are due, and those of which this machine knows nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from importlib import import_module
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask
from tests.support.command import PVECTL, Ended, copy_fixture, environment, pvectl, secret_of

drift = import_module("reconciler.cli.commands.drift")
rotate = import_module("reconciler.cli.commands.rotate")

VAULT = """
[storage.vault]
type = "cifs"
server = "192.0.2.7"
share = "backup"
username = "pve"
content = ["backup"]
password = { file = "secrets/vault" }
"""


class Lab:
    def __init__(self, folder: Path) -> None:
        self.pve = copy_fixture("fresh", folder / "pve")
        self.state = folder / "state"
        (self.state / "secrets").mkdir(parents=True)
        self.home = folder / "home"

    def run(self, *arguments: object) -> Ended:
        return ask(*arguments, on=self.pve, state=self.state)

    def write(self, text: str) -> None:
        (self.state / "a.toml").write_text(text)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    return Lab(tmp_path)


def test_a_machine_that_never_sent_a_secret_says_that_it_cannot_compare(lab: Lab) -> None:
    lab.write(VAULT)
    secret = lab.state / "secrets" / "vault"
    secret.write_text("correct-horse-battery")
    secret.chmod(0o600)
    assert lab.run("apply", "--yes").status == ExitStatus.OK
    assert "No changes. The cluster matches" in lab.run("plan").out
    shutil.rmtree(lab.home)  # another machine
    planned = lab.run("plan")
    assert "The cluster matches the declared state" not in planned.out
    assert "No changes in what can be compared" in planned.out
    assert "SECRET_NOT_COMPARED" in lab.run("plan", "--known").out
    sent = lab.run("plan", "--send-secrets")
    assert "its password is sent again" in sent.out
    assert "pvectl apply --state" in sent.out
    assert sent.out.rstrip().endswith("--send-secrets")
    assert lab.run("apply", "--yes", "--send-secrets").status == ExitStatus.OK
    assert "No changes. The cluster matches" in lab.run("plan").out
    secret.write_text("another-horse-battery")
    assert "its password was changed" in lab.run("plan").out


CI = """
[user."ci@pve"]

[user."ci@pve".token.build]
rotate_after = "90d"
secret_to = {sink}
"""
TOKEN = "ci@pve!build"


def _later(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    moment = time.time() + days * 86400
    for module in (drift, rotate):
        monkeypatch.setattr(module, "now", lambda: int(moment))


def test_a_secret_that_is_old_rings_until_all_that_are_due_are_rotated(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write(CI.replace("{sink}", '{ file = "secrets/build" }'))
    assert lab.run("apply", "--yes").status == ExitStatus.OK
    first = secret_of(lab.pve, TOKEN)
    lab.run("drift", "--acknowledge")
    assert lab.run("drift").status == ExitStatus.OK
    assert "no token is due for rotation" in lab.run("rotate", "--due", "--yes").err
    _later(monkeypatch, 91)
    metrics = tmp_path / "drift.prom"
    ringing = lab.run("drift", "--format", "text", "--format", f"metrics={metrics}")
    assert ringing.status == ExitStatus.CHANGES
    assert ringing.out.startswith("Drift: 1 due for rotation")
    assert "rotate_after is 90d" in ringing.out
    assert re.search(r"^pvectl_rotation_due\{.*\} 1$", metrics.read_text(), re.M)
    assert lab.run("rotate", "--due", "--yes").status == ExitStatus.OK
    second = secret_of(lab.pve, TOKEN)
    assert second != first
    assert (lab.state / "secrets" / "build").read_text() == f"{second}\n"
    monkeypatch.undo()
    monkeypatch.setenv("PVECTL_HOME", str(lab.home))
    assert lab.run("drift").status == ExitStatus.OK
    shutil.rmtree(lab.home)
    lab.home.mkdir()
    told = lab.run("drift")
    assert "SECRET_AGE_UNKNOWN" in lab.run("plan", "--known").out + told.out
    named = lab.run("rotate", "--due", "--yes").err
    assert "the age of token.ci@pve!build is not known on this machine" in named


@pytest.mark.parametrize("text", ["90", "0d", "3 months", "-1d"])
def test_an_age_is_a_number_of_days(lab: Lab, text: str) -> None:
    lab.write(CI.replace("90d", text).replace("{sink}", '{ file = "secrets/build" }'))
    wrong = lab.run("validate")
    assert wrong.status == ExitStatus.FILES_INVALID
    assert "a number of days is expected" in wrong.out + wrong.err


@pytest.mark.parametrize("words", [(), (TOKEN, "--due")])
def test_one_token_or_all_that_are_due(lab: Lab, words: tuple[str, ...]) -> None:
    lab.write(CI.replace("{sink}", "{ stdout = true }"))
    assert lab.run("rotate", *words).status == ExitStatus.USAGE


def test_a_pipe_gets_the_secret_and_nothing_else(lab: Lab, tmp_path: Path) -> None:
    lab.write(CI.replace("{sink}", "{ stdout = true }"))
    on = ("--state", lab.state, "--on", f"sandbox:{lab.pve}")
    env = {"PVECTL_HOME": str(lab.home)}
    made = pvectl("apply", "--yes", *on, cwd=tmp_path, env=env)
    assert made.status == ExitStatus.OK, made
    assert made.out == f"{secret_of(lab.pve, TOKEN)}\n"
    assert "Apply complete" in made.err
    assert "never expires\n      set expires\n" in made.err
    rotated = pvectl("rotate", TOKEN, "--yes", *on, cwd=tmp_path, env=env)
    assert rotated.out == f"{secret_of(lab.pve, TOKEN)}\n" != made.out
    assert rotated.out.strip() not in rotated.err
    assert re.search(r"IRREVERSIBLE  \w+.toml:\d", rotated.err)
    planned = pvectl("plan", *on, cwd=tmp_path, env=env)
    assert "No changes" in planned.out
    kept = "".join(path.read_text() for path in lab.home.rglob("*") if path.is_file())
    assert rotated.out.strip() not in kept


def test_a_secret_is_not_printed_into_a_file(lab: Lab, tmp_path: Path) -> None:
    lab.write(CI.replace("{sink}", "{ stdout = true }"))
    words = ["apply", "--yes", "--state", str(lab.state), "--on", f"sandbox:{lab.pve}"]
    words += ["--format", "json"]
    with (tmp_path / "out.txt").open("wb") as file:
        ended = subprocess.run(
            [PVECTL, *words],
            stdout=file,
            stderr=subprocess.PIPE,
            env=environment({"PVECTL_HOME": str(lab.home)}),
            check=False,
        )
    assert ended.returncode not in {0, 1}
    assert b"neither a terminal nor a pipe" in ended.stderr
    assert (tmp_path / "out.txt").read_bytes() == b""
    assert TOKEN not in (lab.pve / "user.cfg").read_text()
