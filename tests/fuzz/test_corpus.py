"""Each input of the corpus, seeds and what once failed, goes through its target."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.commands import validate
from tests.fuzz.targets import CORPUS, TARGETS, Failed

CASES = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVECTL_HOME", "/nonexistent")
    monkeypatch.setenv("CI", "true")


@pytest.mark.parametrize("path", CASES, ids=[f"{path.parent.name}-{path.name}" for path in CASES])
def test_every_input_ends_with_an_error_of_ours(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_seeds() -> None:
    assert {path.parent.name for path in CASES} == set(TARGETS)


def test_a_traceback_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(validate, "load_cluster", broken)
    with pytest.raises(Failed, match="validate"):
        TARGETS["state"](b"[group.ops]\n")
