"""The targets of the settings, listed for shells and for CI systems."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest
import yaml

from reconciler.errors import ExitStatus
from tests.support.command import Ended, pvectl

EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"


def listed(folder: Path, *arguments: str, number: int = 3, rest: str = "") -> Ended:
    """`pvectl targets` on so many of them."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    tables = (f'[target.site-{n}]\nendpoint = "sandbox:{n}"\n' for n in range(number))
    (state / "pvectl.toml").write_text("".join(tables) + rest)
    return pvectl("targets", *arguments, cwd=folder)


def test_one_name_per_line(tmp_path: Path) -> None:
    assert listed(tmp_path) == (0, "site-0\nsite-1\nsite-2\n", "")
    assert listed(tmp_path, "--on", "*-[12]").out == "site-1\nsite-2\n"
    assert listed(tmp_path, number=0, rest='[target]\nendpoint = "sandbox:one"\n').out == (
        "default\n"
    )
    none = listed(tmp_path, number=0)
    assert (none.status, none.out, "[target.NAME]" in none.err) == (ExitStatus.USAGE, "", True)


def test_each_target_is_a_job_of_github(tmp_path: Path) -> None:
    rest = '[rollout]\nwaves = [["site-1"]]\n'
    ended = listed(tmp_path, "--format", "github-matrix", rest=rest)
    assert json.loads(ended.out)["include"] == [
        {"target": "site-0", "wave": 2},
        {"target": "site-1", "wave": 1},
        {"target": "site-2", "wave": 2},
    ]
    assert ended.out.count("\n") == 1


def test_each_target_is_a_job_of_a_child_pipeline_of_gitlab(tmp_path: Path) -> None:
    rest = '[rollout]\nwaves = [["site-1"]]\n'
    found = yaml.safe_load(listed(tmp_path, "--format", "gitlab-matrix", rest=rest).out)
    assert found["stages"] == ["wave 1", "wave 2"]
    assert found["wave 1"]["parallel"]["matrix"] == [{"PVECTL_ON": ["site-1"]}]
    assert found["wave 2"]["extends"] == ".pvectl"


def test_programs_read_where_each_one_is(tmp_path: Path) -> None:
    found = json.loads(listed(tmp_path, "--format", "json").out)
    assert found["targets"][0]["endpoint"].startswith("sandbox:")


@pytest.mark.parametrize(("name", "most"), [("github-matrix", 256), ("gitlab-matrix", 200)])
def test_more_than_a_matrix_holds_are_refused(tmp_path: Path, name: str, most: int) -> None:
    assert listed(tmp_path, "--format", name, number=most).status == ExitStatus.OK
    ended = listed(tmp_path, "--format", name, number=most + 1)
    assert ended.status == ExitStatus.USAGE
    assert "--on GLOB" in ended.err


def test_the_examples_say_what_the_command_takes() -> None:
    """The pod of an index takes the target of that line."""
    job = yaml.safe_load((EXAMPLES / "kubernetes-cronjob.yml").read_text())
    spec = job["spec"]["jobTemplate"]["spec"]
    assert spec["completionMode"] == "Indexed"
    (container,) = spec["template"]["spec"]["containers"]
    assert "pvectl targets | sed" in container["command"][2]
    given = {one["name"]: one["value"] for one in container["env"]}
    volumes = {PurePosixPath(one["mountPath"]) for one in container["volumeMounts"]}
    assert PurePosixPath(given["PVECTL_HOME"]).parent in volumes  # whose root belongs to root
    *_, workers, asking = yaml.safe_load_all((EXAMPLES / "kubernetes-dask.yml").read_text())
    (worker,) = workers["spec"]["template"]["spec"]["containers"]
    (asks,) = asking["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert f"--executor=dask={worker['command'][2]}" in asks["command"]
    assert {one["mountPath"] for one in asks["volumeMounts"]} <= {
        one["mountPath"] for one in worker["volumeMounts"]
    }
    actions = yaml.safe_load((EXAMPLES / "fleet-github-actions.yml").read_text())
    assert actions["jobs"]["drift"]["strategy"]["fail-fast"] is False
    gitlab = yaml.safe_load((EXAMPLES / "fleet-gitlab-ci.yml").read_text())
    assert "--format gitlab-matrix=fleet.yml" in gitlab["targets"]["script"]
