"""Every command that an answer prints is collected, run on a copy, and does what it says.

The scenarios are those of `examples/three-nodes`, a folder with mistakes of all sorts, and a run
that was killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reconciler.cli.explain.code_pages import pages
from reconciler.errors import ExitStatus
from reconciler.render.documents.code_page import Page
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask, ask_json
from tests.cli.test_three_nodes import EXAMPLE, ROWS
from tests.support.command import Ended, copy_fixture
from tests.support.pveum import pveum
from tests.test_documents_as_typed import root

_QUOTED = re.compile(r"`((?:pvectl|pveum) [^`]+)`")
_ALONE = re.compile(r"^\s*(?:To apply: )?((?:pvectl|pveum) .*)$", re.M)
FILLED = {
    "USER@REALM!TOKEN": "svc-terraform@pve!tf-ci",
    "TOKEN": "svc-terraform@pve!tf-ci",
    "USER@REALM": "bob@ldap",
    "WHO": "bob@ldap",
    "PATH": "/vms/201",
    "PRIV": "VM.Audit",
    "ID": "201",
    "JOB": "nightly",
    "NODE": "pve01",
    "STORAGE": "local",
    "POOL": "Dev",
    "NAME": "x",
    "CODE": "EXPECT",
    "ADDRESS": "group.DevOps",
    "DIR": "out",
}
"""What somebody has to fill in, and what the example has."""
_FILLED = re.compile(rf"\b(?:{'|'.join(FILLED)})\b(?!_)")
_PLACEHOLDER = re.compile(r"(?<![\w.])[A-Z]{3,}[A-Z@!]*\b(?![_\w.])")
"""What is left to fill in."""

ASKS = frozenset({"apply", "grant", "resume", "revoke", "rollback", "rotate"})
"""They ask for a yes first."""
CHANGE = ASKS | {"import", "removed"}

MORE = (
    "plan",
    "plan --known",
    "drift",
    "status",
    "report",
    "verify",
    "escalation",
    "validate",
    "backup status",
    "log",
    "bootstrap",
    "rotate x",
    "show nix",
    "unlock",
    "unlock --fence 3",
    "explain retention nix",
    "explain LINT_NO_EFFECT",
    "backup",
    "role",
)
MISTAKES = """
[group.g]
[user."ann@pve"]
groups = ["g"]
[user."ann@pve".token.tok]
secret_to = { file = "s" }
[[acl]]
roles = ["PVEVMUser"]
paths = ["/", "/vms/9000", "/vms/777", "/pool/gone", "/nodes/nix"]
groups = ["g"]
users = ["ann@pve"]
[[acl]]
roles = ["PVEVMAdmin"]
paths = ["/vms/9001"]
tokens = ["ann@pve!tok"]
pair = false
[backup.nightly]
schedule = "02:00"
all = true
storage = "local-lvm"
[role.Unused]
privileges = ["VM.Audit"]
[[expect]]
who = "ann@pve"
path = "/vms/9001"
can = ["VM.Backup"]
"""


def printed(text: str) -> list[str]:
    """The commands of an answer, as somebody copies them; several lines between quotes are one."""
    found = [" ".join(one.split()) for one in _QUOTED.findall(text)]
    for line in _ALONE.findall(_QUOTED.sub("", text)):
        found += re.split(r", or (?=pvectl )", line.strip())
    return list(dict.fromkeys(found))


class Lab:
    """A cluster in `pve` and its files in `state`, below the current folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, line: str) -> Ended:
        words = shlex.split(line)
        asks = words[0] in ASKS or words[:2] == ["backup", "run"]
        yes = ["--yes"] if asks and "--yes" not in words else []
        return ask(*words, *yes)

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """Whatever happens inside is undone: a copy elsewhere would be another cluster."""
        aside = self.folder.with_name(self.folder.name + "-aside")
        shutil.copytree(self.folder, aside)
        try:
            yield
        finally:
            for path in self.folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(aside, self.folder, dirs_exist_ok=True)
            shutil.rmtree(aside)


class Said(NamedTuple):
    lab: Lab
    by: str
    command: str


@pytest.fixture(scope="module")
def env() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PVECTL_STATE", "state")
        patch.setenv("PVECTL_ON", "sandbox:pve")
        patch.setenv("PVECTL_HOME", "home")
        yield patch


def _enter(env: pytest.MonkeyPatch, lab: Lab) -> None:
    env.chdir(lab.folder)
    env.setenv("PVECTL_HOME", str(lab.folder / "home"))


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory, env: pytest.MonkeyPatch) -> dict[str, Lab]:
    base = tmp_path_factory.mktemp("labs")
    found = {name: base / name for name in ("three", "wrong", "killed")}
    shutil.copytree(EXAMPLE, found["three"])
    for name in ("wrong", "killed"):
        (found[name] / "state").mkdir(parents=True)
        copy_fixture("fresh", found[name] / "pve")
    (found["wrong"] / "state" / "a.toml").write_text(MISTAKES)
    killed = Lab(found["killed"])
    (killed.folder / "state" / "a.toml").write_text("[group.a]\n[group.b]\n")
    _enter(env, killed)
    _kill_at(killed, "b")
    return {name: Lab(folder) for name, folder in found.items()}


def _kill_at(lab: Lab, group: str) -> None:
    """An apply that dies as soon as it has sent this group."""
    child = os.fork()
    if not child:
        real = SandboxApi.send

        def send(api: SandboxApi, sent: Any, *rest: Any) -> Any:
            answer = real(api, sent, *rest)
            if ("groupid", group) in sent.params:
                os._exit(9)
            return answer

        pytest.MonkeyPatch().setattr(SandboxApi, "send", send)
        lab.run("apply")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.fixture(scope="module")
def said(labs: dict[str, Lab], env: pytest.MonkeyPatch) -> list[Said]:
    """Every printed command once, with the first answer that printed it."""
    found: dict[tuple[str, str], Said] = {}
    asked = [row.command.removeprefix("pvectl ") for row in ROWS]
    for name, lab in labs.items():
        _enter(env, lab)
        for line in (*(asked if name == "three" else ()), *MORE):
            ended = ask(*shlex.split(line))
            for command in printed(ended.out + "\n" + ended.err):
                found.setdefault((name, command), Said(lab, line, command))
    for command in (one for page in pages().values() for one in _of_page(page)):
        found.setdefault(("three", command), Said(labs["three"], "a page", command))
    return list(found.values())


def _of_page(page: Page) -> list[str]:
    return printed(" ".join((*page.meaning, *page.action)))


def test_enough_is_collected(said: list[Said]) -> None:
    verbs = {" ".join(one.command.split()[:2]) for one in said}
    assert len(said) > 60
    wanted = {"apply", "drift", "explain", "plan", "resume", "rollback", "rotate", "validate"}
    assert {f"pvectl {verb}" for verb in wanted} | {"pveum acl", "pveum role"} <= verbs, verbs


def test_every_printed_pvectl_command_is_whole_and_runs(
    said: list[Said], env: pytest.MonkeyPatch
) -> None:
    """Where something is left to be filled in, or a drill would take long, it is at least one that
    pvectl takes."""
    wrong = []
    for lab, by, command in said:
        if not command.startswith("pvectl "):
            continue
        words = shlex.split(_FILLED.sub(lambda found: FILLED[found[0]], command))[1:]
        left = _PLACEHOLDER.search(re.sub(r"^explain .*$", "", " ".join(words)))
        if left or words[0] == "drill":
            if words[0].isalpha() and words[0].islower():
                root().commands[words[0]].make_context(words[0], words[1:])
            continue
        changes = words[0] in CHANGE or words[:2] == ["backup", "run"]
        _enter(env, lab)
        with lab.trial() if changes else contextlib.nullcontext():
            ended = lab.run(shlex.join(words))
        if ended.status in (ExitStatus.USAGE, ExitStatus.BUG, ExitStatus.FILES_INVALID):
            wrong.append(f"{command} (by {by}): {ended}")
        if changes and ended.status not in (ExitStatus.OK, ExitStatus.REFUSED):
            wrong.append(f"{command} (by {by}): {ended}")
    assert wrong == []


def test_what_pveum_lines_were_printed_for_is_allowed_afterwards(
    labs: dict[str, Lab], said: list[Said], env: pytest.MonkeyPatch
) -> None:
    """All lines of an answer run in their order; a refusal that they cure is one no more."""
    cured = 0
    printing = {one.by for one in said if one.command.startswith("pveum ")}
    asked = [row.command.removeprefix("pvectl ") for row in ROWS]
    again = [("three", one) for one in (*asked, "bootstrap") if one in printing]
    for name, line in [*again, ("wrong", "plan")]:
        _enter(env, labs[name])
        before = ask(*shlex.split(line))
        lines = [one for one in printed(before.out + "\n" + before.err) if "pveum" in one[:6]]
        lines = [one for one in lines if len(one.split()) > 4]
        if not lines:
            continue
        with labs[name].trial():
            for one in lines:
                pveum(SandboxApi(labs[name].folder / "pve"), one)
            if line.startswith("explain "):
                assert ask_json(*shlex.split(line))["allowed"] is True, (line, lines)
            if line == "plan":
                codes = [one["code"] for one in ask_json("plan")["findings"]]
                assert "EXPECT" not in codes, lines
            cured += line != "bootstrap"
    assert cured > 4


def test_drift_is_quiet_once_its_commands_were_run(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "lab")
    here = Lab(tmp_path / "lab")
    _enter(env, here)
    first = here.run("drift")
    assert {"pvectl apply", "pvectl drift --acknowledge"} <= set(printed(first.out)), first.out
    assert first.status == ExitStatus.CHANGES
    done = here.run("apply")
    assert done.status == ExitStatus.OK, done
    here.run("drift --acknowledge")
    quiet = here.run("drift")
    assert not re.search(r"^ +(extra|missing|changed) ", quiet.out, re.M), quiet


@pytest.mark.parametrize("command", ["resume", "rollback"])
def test_what_status_says_of_a_killed_run_ends_it(
    labs: dict[str, Lab], env: pytest.MonkeyPatch, command: str
) -> None:
    here = labs["killed"]
    _enter(env, here)
    with here.trial():
        told, refused = here.run("status"), here.run("apply")
        assert refused.status == ExitStatus.UNFINISHED
        assert f"pvectl {command}" in printed(told.out + refused.err), (told, refused)
        ended = here.run(command)
        assert ended.status == ExitStatus.OK, ended
        assert not {"pvectl resume", "pvectl rollback"} & set(printed(here.run("status").out))
        assert here.run("apply").status == ExitStatus.OK
