"""One command for several clusters, and what it ends with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.cli.common_options import CommonOptions, Output
from reconciler.cli.context import each_cluster
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, PvectlError, Unreachable, UsageError

Results = Mapping[str, ExitStatus | PvectlError]


def ends(folder: Path, results: Results, file: Path | None = None) -> tuple[ExitStatus, list[str]]:
    """The exit status, and the clusters that had their turn."""
    text = "".join(f'[target.{name}]\nendpoint = "sandbox:{name}"\n' for name in results)
    (folder / "pvectl.toml").write_text(text)
    outputs = (Output("text", file),)
    asked = CommonOptions(folder, "all", outputs, color=False, quiet=True, log_format="text")
    seen = []

    def work(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        del settings
        seen.append(cluster.name)
        result = results[cluster.name]
        if isinstance(result, PvectlError):
            raise result
        return result

    return each_cluster(asked, work), seen


def test_a_cluster_that_cannot_be_reached_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results: Results = {
        "east": Unreachable("no answer"),
        "north": ExitStatus.CHANGES,
        "south": ExitStatus.REFUSED,
    }
    assert ends(tmp_path, results) == (ExitStatus.UNREACHABLE, ["east", "north", "south"])
    assert "no answer" in capsys.readouterr().err


def test_after_a_signal_no_other_cluster_has_its_turn(tmp_path: Path) -> None:
    results: Results = {"east": ExitStatus.INTERRUPTED, "west": ExitStatus.OK}
    assert ends(tmp_path, results) == (ExitStatus.INTERRUPTED, ["east"])


def test_where_a_person_is_needed_no_other_cluster_is_changed(tmp_path: Path) -> None:
    results: Results = {"east": ExitStatus.NOT_RESTORED, "west": ExitStatus.OK}
    assert ends(tmp_path, results) == (ExitStatus.NOT_RESTORED, ["east"])


def test_results_of_several_clusters_do_not_overwrite_each_other(tmp_path: Path) -> None:
    results: Results = dict.fromkeys(("east", "west"), ExitStatus.OK)
    with pytest.raises(UsageError, match="one cluster only"):
        ends(tmp_path, results, tmp_path / "plan.json")
