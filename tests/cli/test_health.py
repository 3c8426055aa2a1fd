"""A cluster that is not fit for a change: shown, refused, and let pass by name."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask, ask_json
from tests.cli.site import ROOT_TOKEN
from tests.support.command import Ended, Served, pvectl, sandbox, secret_of, trust

EXAMPLE = Path(__file__).parents[2] / "examples" / "three-nodes"
NEW = '[group.new]\ncomment = "made"\n'


class Lab:
    def __init__(self, folder: Path) -> None:
        self.pve = shutil.copytree(EXAMPLE / "pve", folder / "pve")
        self.state = folder / "state"
        self.state.mkdir()
        (self.state / "a.toml").write_text(NEW)

    def down(self, *names: str) -> None:
        nodes = self.pve.with_name("pve.run") / "nodes"
        nodes.mkdir(parents=True, exist_ok=True)
        for name in names:
            (nodes / f"{name}.down").touch()

    def run(self, *arguments: object) -> Ended:
        return ask(*arguments, on=self.pve, state=self.state)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    return Lab(tmp_path)


def test_a_healthy_cluster_is_one_line(lab: Lab) -> None:
    assert "Cluster: 3 nodes online, quorate.\n" in lab.run("status").out
    assert re.search(r"health +3 nodes online, quorate", lab.run("report").out)
    assert lab.run("plan").status == ExitStatus.OK
    told = ask_json("status", on=lab.pve, state=lab.state)["health"]
    assert told["quorate"] is True
    assert told["troubles"] == []


def test_a_node_that_is_offline_stops_a_change_until_it_is_allowed(lab: Lab) -> None:
    lab.down("pve03")
    assert "node pve03 is offline" in lab.run("status").out
    assert re.search(r"health +pve03 of 3 nodes offline", lab.run("report").out)
    refused = lab.run("apply", "--yes")
    assert refused.status == ExitStatus.REFUSED
    assert "--allow 'NODE_OFFLINE=pve03'" in refused.out
    assert "new" not in lab.run("explain", "group:new").out
    flag = ("--allow", "NODE_OFFLINE=pve03")
    assert lab.run("apply", "--yes", *flag).status == ExitStatus.OK
    assert lab.run("plan").status == ExitStatus.OK, "nothing to change, so nothing to refuse"
    drift = lab.run("drift")
    assert "NODE_OFFLINE" not in drift.out


def test_without_quorum_nothing_is_sent_and_proxmox_says_why(lab: Lab) -> None:
    lab.down("pve02", "pve03")
    assert "the cluster has no quorum" in lab.run("status").out
    before = (lab.pve / "user.cfg").read_bytes()
    refused = lab.run("apply", "--yes")
    assert refused.status == ExitStatus.REFUSED
    assert "NO_QUORUM" in refused.out.partition("Access")[0]
    tried = lab.run("apply", "--yes", "--allow", "NO_QUORUM=cluster", "--allow", "NODE_OFFLINE=*")
    assert tried.status not in {ExitStatus.OK, ExitStatus.REFUSED}
    assert "no quorum!" in tried.err
    assert "`pvecm status` on a node shows which nodes are missing" in tried.err
    assert (lab.pve / "user.cfg").read_bytes() == before


def test_a_saved_plan_is_judged_again(lab: Lab, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    assert lab.run("plan", "--out", saved).status == ExitStatus.OK
    lab.down("pve02")
    assert lab.run("apply", saved, "--yes").status == ExitStatus.REFUSED


def test_who_may_not_see_the_quorum_is_told_of_the_nodes(lab: Lab) -> None:
    """A token whose grants are on single paths cannot read /cluster/status."""
    cfg = lab.pve / "user.cfg"
    cfg.write_text(cfg.read_text() + "user:weak@pve:1:0::::::\n")
    lab.down("pve02")
    (lab.state / "pvectl.toml").write_text(
        f'[target]\nendpoint = "sandbox:{lab.pve}"\ntoken_id = "weak@pve!none"\n'
    )
    api = SandboxApi(lab.pve, "weak@pve")
    from reconciler.live.health import ask_health

    found = ask_health(api)
    assert found.quorate is None
    assert found.offline == ("pve02",)


@contextmanager
def _served(lab: Lab, *releases: str, ahead: str = "0") -> Iterator[list[Served]]:
    with ExitStack() as stack:
        env = {"PVECTL_SANDBOX_CLOCK_AHEAD": ahead}
        yield [stack.enter_context(sandbox(lab.pve, env, release=one)) for one in releases]


def _over_https(lab: Lab, tmp_path: Path, served: list[Served], *arguments: object) -> Ended:
    priv = lab.pve / "priv"
    if ROOT_TOKEN not in (lab.pve / "user.cfg").read_text():
        with (lab.pve / "user.cfg").open("a") as cfg:
            cfg.write(f"token:{ROOT_TOKEN}:0:0::\n")
        (priv / "token.cfg").write_text(f"{ROOT_TOKEN} 33333333-2222-4333-8444-555555555555\n")
    urls = json.dumps([one.url for one in served])
    (lab.state / "pvectl.toml").write_text(
        f'[target]\nendpoint = {urls}\ntoken_id = "{ROOT_TOKEN}"\n'
        f'fingerprint = "{served[0].fingerprint}"\n'
    )
    home = tmp_path / "home"
    trust(lab.state, home)
    env = {"PVECTL_HOME": str(home), "PVECTL_TOKEN_SECRET": secret_of(lab.pve, ROOT_TOKEN)}
    return pvectl(*arguments, "--state", lab.state, cwd=tmp_path, env=env)


def test_a_clock_that_is_wrong_stops_a_change(lab: Lab, tmp_path: Path) -> None:
    with _served(lab, "", ahead="600") as served:
        status = _over_https(lab, tmp_path, served, "status")
        assert "the cluster's clock is 10 min ahead of this machine's" in status.out, status
        refused = _over_https(lab, tmp_path, served, "apply", "--yes")
        assert refused.status == ExitStatus.REFUSED, refused
        flag = ("--allow", "CLOCK_SKEW=cluster")
        assert _over_https(lab, tmp_path, served, "apply", "--yes", *flag).status == ExitStatus.OK


def test_nodes_that_answer_differently_stop_a_change(lab: Lab, tmp_path: Path) -> None:
    with _served(lab, "", "8.4") as served:
        refused = _over_https(lab, tmp_path, served, "plan")
        assert refused.status == ExitStatus.REFUSED, refused
        assert f"{served[1].url} runs Proxmox VE 8.4" in " ".join(refused.out.split())
        assert f"--allow 'NODES_DIFFER={served[1].url}'" in refused.out


def test_an_endpoint_that_is_down_stops_nothing(lab: Lab, tmp_path: Path) -> None:
    with _served(lab, "", "") as served:
        gone = served[1]
        with _served(lab, "") as others:
            there = [served[0], others[0]]
            assert _over_https(lab, tmp_path, there, "plan").status == ExitStatus.OK
        status = _over_https(lab, tmp_path, [served[0], others[0]], "status")
        assert f"{others[0].url} does not answer" in status.out, status
        assert _over_https(lab, tmp_path, [served[0], others[0]], "plan").status == ExitStatus.OK
        assert gone.url not in status.out
