"""The commands that are only about the files: `fmt`, `schema`, `kinds`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.errors import ExitStatus
from reconciler.kinds import all_kinds
from tests.support.command import copy_fixture, pvectl

LOOSE = """\
# who may what
[group.ops]   # the team
comment="on call"
[[acl]]
roles=["PVEAuditor"]
paths = [ "/" ]
groups=['ops']
"""

TIDY = """\
# who may what
[group.ops]   # the team
comment = "on call"

[[acl]]
roles = ["PVEAuditor"]
paths = ["/"]
groups = ["ops"]
"""


def test_fmt_writes_the_files_that_change_and_names_them(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "access.toml").write_text(LOOSE)
    (state / "tidy.toml").write_text(TIDY.replace("ops", "dev"))
    tidy = (state / "tidy.toml").stat().st_mtime_ns

    checked = pvectl("fmt", "--check", cwd=tmp_path)
    assert checked == (ExitStatus.CHANGES, "state/access.toml\n", "")
    assert (state / "access.toml").read_text() == LOOSE

    assert pvectl("fmt", cwd=tmp_path) == (ExitStatus.OK, "state/access.toml\n", "")
    assert (state / "access.toml").read_text() == TIDY
    assert (state / "tidy.toml").stat().st_mtime_ns == tidy
    assert pvectl("fmt", cwd=tmp_path) == (ExitStatus.OK, "", "")
    assert sorted(path.name for path in state.iterdir()) == ["access.toml", "tidy.toml"]


def test_fmt_leaves_every_file_alone_when_one_is_not_toml(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "access.toml").write_text(LOOSE)
    (state / "broken.toml").write_text("[group.a\n")
    ended = pvectl("fmt", cwd=tmp_path)
    assert ended.status == ExitStatus.FILES_INVALID
    assert "broken.toml:1" in ended.err
    assert (state / "access.toml").read_text() == LOOSE


@pytest.mark.parametrize(
    ("options", "good", "bad"),
    [
        ((), '[group.ops]\ncomment = "x"\n', "[group.ops]\ncoment = 1\n"),
        (("--settings",), '[target]\nendpoint = "https://a:8006"\n', "[targett]\n"),
    ],
)
def test_the_schema_takes_what_is_right_and_nothing_else(
    options: tuple[str, ...], good: str, bad: str, tmp_path: Path
) -> None:
    ended = pvectl("schema", *options, cwd=tmp_path)
    assert (ended.status, ended.err) == (ExitStatus.OK, "")
    schema = json.loads(ended.out)
    Draft202012Validator.check_schema(schema)
    checker = Draft202012Validator(schema)
    assert [error.message for error in checker.iter_errors(tomllib.loads(good))] == []
    assert list(checker.iter_errors(tomllib.loads(bad)))


def test_an_editor_finds_the_schemas_beside_the_files(tmp_path: Path) -> None:
    """Taplo is the engine of Even Better TOML, and of the TOML support of Helix and Neovim."""
    copy_fixture("team", tmp_path / "pve")
    for words in (("init", "--endpoint", "sandbox:pve"), ("import",), ("fmt", "--check")):
        assert pvectl(*words, cwd=tmp_path).status == ExitStatus.OK
    state = tmp_path / "state"
    assert lint(state) == (0, "")
    roles = (state / "roles.toml").read_text()
    (state / "roles.toml").write_text(roles.replace('"VM.Audit"', '"VM.Monitor"'))
    status, said = lint(state)
    assert status != 0
    assert '"VM.Monitor" is not one of' in said
    written = [path.read_text() for path in sorted((state / ".schema").iterdir())]
    out = tmp_path / "again"
    assert pvectl("schema", "--out", out, cwd=tmp_path).status == ExitStatus.OK
    assert [path.read_text() for path in sorted(out.iterdir())] == written


def lint(folder: Path) -> tuple[int, str]:
    """Exit status of taplo, and the errors that it finds."""
    taplo = Path(sys.executable).parent / "taplo"
    files = sorted(map(str, folder.glob("*.toml")))
    ended = subprocess.run(
        [taplo, "lint", "--colors", "never", *files],
        cwd=folder,
        env={"RUST_LOG": "warn", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr.replace("\n", " ").strip()


def test_kinds_lists_every_kind_with_its_keys(tmp_path: Path) -> None:
    ended = pvectl("kinds", cwd=tmp_path)
    assert (ended.status, ended.err) == (ExitStatus.OK, "")
    words = ended.out.split()
    for name, kind in all_kinds().items():
        assert name in words
        assert {f"{key}" for key in kind.toml.table.model_fields} <= {
            one.rstrip(",") for one in words
        }
    assert "[user.NAME.token.NAME]" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 100
