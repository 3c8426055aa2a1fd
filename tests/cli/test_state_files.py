"""The commands that are only about the files: `fmt`, `schema`, `kinds`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.errors import ExitStatus
from reconciler.kinds import all_kinds
from tests.support.command import pvectl

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


def test_fmt_leaves_every_file_alone_when_one_is_no_toml(tmp_path: Path) -> None:
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
