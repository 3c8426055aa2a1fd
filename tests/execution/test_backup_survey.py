"""Every archive of a cluster with few requests, and what cannot be read named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reconciler.execution.backups.survey import Survey, survey
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.live.answer_check import check_answer
from reconciler.model.request import Request
from reconciler.sandbox.http.direct import SandboxApi
from tests.support.pve import lay_out


class Counting(SandboxApi):
    """Every answer compared with its shape, and every request counted."""

    asked = 0

    def get(self, requests: Sequence[Request]) -> list[Any]:
        self.asked += len(requests)
        answers = super().get(requests)
        for request, answer in zip(requests, answers, strict=True):
            check_answer(request, answer)
        return answers


def looked(folder: Path) -> tuple[Survey, int]:
    api = Counting(folder)
    (resources,) = api.get([RESOURCES])
    return survey(api, resources), api.asked


def test_requests_are_counted_by_nodes_and_storages_alone(tmp_path: Path) -> None:
    folder = lay_out("backups", tmp_path)
    found, asked = looked(folder)
    assert len(found.found) == 16
    assert found.unread == ()
    configs = folder / "nodes" / "demo-felhom" / "lxc"
    for guest in range(200, 240):
        (configs / f"{guest}.conf").write_text("arch: amd64\nhostname: more\nmemory: 64\n")
    assert looked(folder)[1] == asked == 4


def test_a_node_that_is_down_hides_nothing_else(tmp_path: Path) -> None:
    folder = lay_out("backups", tmp_path)
    (folder / "nodes" / "second" / "lxc").mkdir(parents=True)
    down = tmp_path / "pve.run" / "nodes" / "second.down"
    down.parent.mkdir()
    down.touch()
    found, _ = looked(folder)
    assert len(found.found) == 16
    assert [place for place, _ in found.unread] == ["local on second"]
