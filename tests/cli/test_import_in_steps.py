"""Adoption in steps: a kind, an object, a glob, what `drift` calls undeclared."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask, ask_json
from tests.support.command import Ended

EXAMPLE = Path(__file__).parents[2] / "examples" / "three-nodes"


class Lab:
    """The cluster of the example, with a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.pve = shutil.copytree(EXAMPLE / "pve", folder / "pve")
        self.state = folder / "state"
        self.state.mkdir()

    def run(self, *arguments: object) -> Ended:
        return ask(*arguments, on=self.pve, state=self.state)

    def changes(self) -> list[str]:
        steps = ask_json("plan", on=self.pve, state=self.state)["steps"]
        return [change["address"] for step in steps for change in step["changes"]]

    def text(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.state.glob("*.toml")))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    return Lab(tmp_path)


STEPS = [
    "group.DevOps",
    "user.*@ldap",
    "token.svc-terraform@pve!tf-prod",
    "role",
    "acl./pool/*",
    "pool.Dev",
    "realm",
    "storage.backup-nfs",
    "backup",
    "user",
    "group",
    "acl",
    "pool",
    "storage",
    "token",
]


@pytest.mark.parametrize("seed", range(4))
def test_no_step_changes_anything_or_declares_twice(lab: Lab, seed: int) -> None:
    """In any order; at the end nothing is left to import."""
    steps = STEPS.copy()
    random.Random(seed).shuffle(steps)  # noqa: S311
    for step in steps:
        ended = lab.run("import", step)
        assert ended.status == ExitStatus.OK, ended
        assert lab.run("validate").status == ExitStatus.OK, lab.text()
        assert lab.changes() == []
    assert lab.run("fmt", "--check").status == ExitStatus.OK
    for kind in ("user", "group", "acl", "pool", "storage", "token", "role", "realm", "backup"):
        again = lab.run("import", kind)
        assert again.err.startswith("nothing to import\n"), again
    assert lab.run("drift").status == ExitStatus.OK


def test_what_drift_calls_undeclared_is_declared_and_drift_is_quiet(lab: Lab) -> None:
    shutil.copytree(EXAMPLE / "state", lab.state, dirs_exist_ok=True)
    before = {path.name: path.read_text() for path in lab.state.glob("*.toml")}
    assert "Undeclared: 4" in lab.run("drift").out
    ended = lab.run("import", "--undeclared")
    assert "imported 4 objects: acl./vms/201|user:bob@ldap|PVEAuditor" in ended.err
    assert "token.dave@pve!laptop, user.alice@pve, user.dave@pve" in ended.err
    report = json.loads(lab.run("drift", "--format", "json").out)
    assert {one["class"] for one in report["differences"]} == {"unknown"}
    assert not [one for one in report["undeclared"] if one["rings"]]
    for name, text in before.items():
        assert (lab.state / name).read_text().startswith(text)


def test_a_group_comes_with_its_entries_and_a_user_with_its_tokens(lab: Lab) -> None:
    ended = lab.run("import", "group.DevOps", "user.svc-terraform@pve")
    assert "acl./|group:DevOps|PVEAuditor" in ended.err
    assert "token.svc-terraform@pve!tf-ci" in ended.err
    assert "dave@pve" not in lab.text()


def test_a_group_that_is_declared_by_name_alone_loses_nothing(lab: Lab) -> None:
    """Until the files declare one of its entries: then the others are revoked, and later all."""
    path = lab.state / "a.toml"
    path.write_text("[group.DevOps]\n")
    assert lab.changes() == []
    planned = lab.run("plan").out
    assert "belongs to group.DevOps, declared by its name alone" in " ".join(planned.split())
    path.write_text(
        '[group.DevOps]\n[[acl]]\nroles = ["PVEAuditor"]\npaths = ["/"]\ngroups = ["DevOps"]\n'
    )
    other = "acl./storage/local|group:DevOps|PVEDatastoreUser"
    assert lab.changes() == [other]
    assert lab.run("apply", "--yes").status == ExitStatus.OK
    assert lab.run("drift").status == ExitStatus.CHANGES
    path.write_text("[group.DevOps]\n")
    assert lab.changes() == ["acl./|group:DevOps|PVEAuditor"]


def test_what_is_to_be_removed_is_not_imported(lab: Lab) -> None:
    (lab.state / "a.toml").write_text('[[removed]]\naddress = "user.dave@pve"\n')
    ended = lab.run("import", "user.dave@pve")
    told = "because [[removed]] or [[moved]] deletes them: token.dave@pve!laptop, user.dave@pve"
    assert told in ended.err
    assert '[user."dave@pve"]' not in lab.text()


@pytest.mark.parametrize(
    ("what", "hint"),
    [("group.DevOp", "did you mean group.DevOps?"), ("gruop", "did you mean group?")],
)
def test_a_name_that_nothing_has_is_reported_with_the_likely_one(
    lab: Lab, what: str, hint: str
) -> None:
    ended = lab.run("import", what)
    assert ended.status == ExitStatus.USAGE
    assert hint in ended.err
    assert list(lab.state.iterdir()) == []


def test_files_with_mistakes_are_left_as_they_are(lab: Lab) -> None:
    (lab.state / "a.toml").write_text("[group.DevOps]\nnonsense = 1\n")
    assert lab.run("import", "group").status == ExitStatus.FILES_INVALID
    assert [path.name for path in lab.state.iterdir()] == ["a.toml"]


def test_a_table_that_toml_does_not_let_grow_gets_a_file_beside_it(lab: Lab) -> None:
    (lab.state / "users.toml").write_text('user = { "alice@ldap" = {} }\n')
    assert lab.run("import", "user.bob@ldap").status == ExitStatus.OK
    assert (lab.state / "users-imported.toml").exists()
    assert lab.changes() == []
