"""Where the caller's own secret comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.context import connect
from reconciler.cli.trusted_targets import confirm
from reconciler.desired.settings.destination import destination
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import UsageError
from reconciler.model.secret import SecretRef
from reconciler.model.target import Target


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path_factory.mktemp("home")))


def cluster(folder: Path) -> ClusterSettings:
    target = Target(endpoints=("https://pve.example.invalid:8006",), token_id="auto@pve!plan")
    made = ClusterSettings(
        "one", folder, target, SecretRef(command=("sh", "-c", "touch ran; echo s3cret"))
    )
    confirm(made, destination(made))
    return made


def test_whoever_only_reads_runs_no_command_of_the_state_folder(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="commands do not run") as refused,
        connect(cluster(tmp_path), read_only=True),
    ):
        pass
    assert "PVECTL_ALLOW_COMMANDS=1" in refused.value.hint
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("read_only", [True, False])
def test_a_command_runs_where_the_environment_or_a_write_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    if read_only:
        monkeypatch.setenv("PVECTL_ALLOW_COMMANDS", "1")
    with connect(cluster(tmp_path), read_only=read_only):
        assert (tmp_path / "ran").exists()
