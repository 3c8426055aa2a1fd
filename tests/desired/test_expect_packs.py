"""Packs of expectations, to be named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.desired.directives.expect_packs import PACKS
from reconciler.errors import ExitStatus
from reconciler.pve.release import NEWEST
from tests.cli.in_process import ask
from tests.support.command import FIXTURES

TF = "svc-terraform@pve!tf-ci"


def _table(pack: str, more: str = 'path = "/pool/Dev"') -> str:
    return f'[[expect]]\nwho = "{TF}"\npack = "{pack}"\n{more}\n'


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_names_privileges_that_are_there_and_does_not_contradict_itself(pack: str) -> None:
    one = PACKS[pack]
    assert {*one.can, *one.cannot, *one.never} <= NEWEST.privileges
    assert not {*one.can} & {*one.cannot, *one.never}
    assert one.never


@pytest.mark.parametrize(
    ("pack", "status"), [("terraform", ExitStatus.OK), ("backup", ExitStatus.REFUSED)]
)
def test_a_pack_is_checked_like_any_expectation(
    pack: str, status: ExitStatus, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text(_table(pack))
    ended = ask("plan", on=FIXTURES / "team", state=tmp_path)
    assert ended.status == status, ended
    if status is ExitStatus.REFUSED:
        assert "can VM.Allocate on /pool/Dev, but should not be able to" in ended.out


def test_ci_needs_no_path_and_others_do(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(_table("ci", ""))
    assert ask("plan", on=FIXTURES / "team", state=tmp_path).status == ExitStatus.OK
    file.write_text(_table("csi", ""))
    ended = ask("validate", state=tmp_path)
    assert ended.status == ExitStatus.FILES_INVALID
    assert "the pack csi needs one" in ended.out + ended.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_table("terrafrom"), "did you mean terraform?"),
        (_table("ci", 'path = "/"\ncan = ["VM.Audit"]'), "can cannot be combined with a pack"),
        (_table("ci", 'call = "GET /version"'), "pack cannot be combined with a call"),
    ],
)
def test_mistakes_are_reported(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    ended = ask("validate", state=tmp_path)
    assert ended.status == ExitStatus.FILES_INVALID
    assert said in ended.out + ended.err
