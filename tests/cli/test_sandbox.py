"""The command `sandbox`: a new cluster to try things on, and what it says where it cannot serve."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from reconciler.sandbox.http.direct import SandboxApi
from tests.support.command import PVECTL, environment, pvectl, secret_of
from tests.support.pveum import run_lines

WITHOUT_CHEROOT = """
import sys
sys.modules["cheroot"] = None
from reconciler.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_missing_package_is_named_with_what_installs_it(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_CHEROOT, "sandbox", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == ExitStatus.USAGE
    assert "cheroot" in ended.stderr
    assert "pip install 'pvectl[sandbox]'" in ended.stderr


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A new cluster of three nodes, and the variables that it printed."""
    words = [PVECTL, "sandbox", "--new", "lab", "--nodes", "pve1,pve2,pve3", "--port", "0"]
    process = subprocess.Popen(
        words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line.strip())
        if "pvectl plan" in line:
            break
    exports = "\n".join(line for line in lines if line.startswith("export "))
    shown = subprocess.run(
        ["bash", "-c", f"{exports}\nenv"], capture_output=True, text=True, check=True
    )
    given = dict(line.partition("=")[::2] for line in shown.stdout.splitlines())
    yield (
        tmp_path,
        {
            "PVECTL_HOME": str(tmp_path / "home"),
            **{name: value for name, value in given.items() if name.startswith("PVECTL_")},
        },
    )
    process.terminate()
    process.wait()
    process.stderr.close()


def test_a_new_cluster_can_be_used_as_it_says(lab: tuple[Path, dict[str, str]]) -> None:
    folder, env = lab
    assert pvectl("import", "--out", "state", cwd=folder, env=env).status == ExitStatus.OK
    planned = pvectl("plan", cwd=folder, env=env)
    assert planned.status == ExitStatus.OK, planned
    assert "Plan: no changes" in planned.out
    nodes = sorted(path.name for path in (folder / "lab" / "nodes").iterdir())
    assert nodes == ["pve1", "pve2", "pve3"]
    (folder / "state" / "storages.toml").write_text(
        '[storage.local]\ncontent = ["backup"]\nnodes = ["pve2", "pve3"]\n'
    )
    assert pvectl("apply", "--yes", cwd=folder, env=env).status == ExitStatus.OK
    assert (folder / "lab" / "priv" / "token.cfg").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("user", "may_apply"), [("planner", False), ("automation", True)])
def test_the_tokens_of_the_readme_may_do_what_it_says(
    user: str, may_apply: bool, lab: tuple[Path, dict[str, str]]
) -> None:
    folder, env = lab
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    lines = [line for line in readme.splitlines() if line.startswith("pveum") and user in line]
    assert len(lines) == 3
    run_lines(SandboxApi(folder / "lab"), "\n".join(lines))
    token = f"{user}@pve!pvectl"
    secret = secret_of(folder / "lab", token)
    env = {**env, "PVECTL_TOKEN_ID": token, "PVECTL_TOKEN_SECRET": secret}
    (folder / "state").mkdir()
    (folder / "state" / "a.toml").write_text(
        '[group.ops]\n\n[[acl]]\nroles = ["PVEVMUser"]\npaths = ["/vms/100"]\ngroups = ["ops"]\n'
    )
    assert pvectl("plan", cwd=folder, env=env).status == ExitStatus.OK
    applied = pvectl("apply", "--yes", cwd=folder, env=env)
    assert (applied.status == ExitStatus.OK) is may_apply, applied


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--new", "."), "is not empty"),
        (("--new", "lab", "--nodes", "a b"), "not a valid list of nodes"),
        (("--new", "lab", "--nodes", "a,a"), "not a valid list of nodes"),
        (("lab",), "pvectl sandbox --new lab"),
        ((".", "--nodes", "a"), "--nodes needs --new"),
    ],
)
def test_mistakes_make_nothing(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = pvectl("sandbox", *words, cwd=tmp_path)
    assert (ended.status, told in ended.err) == (ExitStatus.USAGE, True), ended
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = pvectl("sandbox", "--new", "lab", "--port", port, cwd=tmp_path)
    assert ended.status == ExitStatus.USAGE
    assert f"port {port} is in use" in ended.err
    assert "pvectl sandbox lab --port 0" in ended.err
