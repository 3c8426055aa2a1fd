"""A cluster with two guests and an archive of each, and drills on it without any process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.execution.drills import store
from reconciler.execution.drills.context import DrillRun, PatientApi
from reconciler.execution.drills.run import carry_out
from reconciler.execution.journal.journal import Journal
from reconciler.model.api import Api
from reconciler.model.backups import Archive
from reconciler.model.drill import DrillPlan, DrillResult
from reconciler.model.policy import Check
from tests.cli.site import files_of
from tests.support.engine import Passing, TestClock
from tests.support.pve import Pve

NODE = "demo-felhom"
CT, VM = 9001, 9000
KINDS = {CT: "lxc", VM: "qemu"}
SENTINEL = "drill-sentinel"
CHECK = Check(agent=("cat", "/etc/sentinel"))


@dataclass
class Place:
    """`original`: the configuration of every guest, and every disk, before any drill."""

    pve: Pve
    folder: Path
    archives: dict[int, Archive]
    original: Mapping[str, bytes] = field(default_factory=dict)
    clock: TestClock = field(default_factory=TestClock)
    numbers: int = 0

    def world(self) -> dict[str, bytes]:
        """What of the cluster must be afterwards as it was before."""
        files = files_of(self.pve.folder)
        images = files_of(self.pve.run / "storage" / "local-lvm")
        return {**files, **{f"images/{name}": content for name, content in images.items()}}

    def api(self, actor: str = "root@pam!bootstrap") -> Api:
        from reconciler.sandbox.http.direct import SandboxApi

        return SandboxApi(self.pve.folder, actor, settings=self.pve.settings)

    def plan(self, guest: int, **more: Any) -> DrillPlan:
        self.numbers += 1
        self.clock.sleep(0.01)
        given = {
            "guest": guest,
            "kind": KINDS[guest],
            "node": NODE,
            "archive": self.archives[guest],
            "ids": (9900, 9903),
            "storage": "local-lvm",
            "mark": f"pvectl-drill-{self.numbers:016x}",
            "cluster": "sandbox",
            "checks": (CHECK,) if guest == VM else (),
            **more,
        }
        return DrillPlan(**given)

    def drill(self, api: Api, guest: int, **more: Any) -> DrillResult:
        plan = self.plan(guest, **more)
        with store.start(self.folder, plan, "tester", "", self.clock.now()) as journal:
            return self.go_on(api, journal)

    def go_on(self, api: Api, journal: Journal, stop: list[int] | None = None) -> DrillResult:
        plan = store.plan_of(list(journal.state.events), journal.path)
        patient = PatientApi(api, self.clock, lambda _: None)
        stops = [] if stop is None else stop
        return carry_out(
            DrillRun(patient, plan, journal, self.clock, self.folder, lambda _: None, stops)
        )

    def resume(self, *, back: bool = False) -> list[DrillResult]:
        """As `pvectl resume` and `pvectl rollback` do."""
        results = []
        for one in store.open_drills(self.folder):
            assert not one.running
            with Journal.open(Path(one.journal)) as journal:
                journal.write("continued", owner="tester", run="", time=self.clock.now())
                if back:
                    journal.write("stopped", why="rolled back", time=self.clock.now())
                results.append(self.go_on(self.api(), journal))
        return results

    @property
    def clean(self) -> bool:
        """Whether nothing of any drill is left, and nothing else has changed."""
        return self.world() == self.original and not store.open_drills(self.folder)


def make(folder: Path) -> Place:
    """Both guests saved: the container while it is stopped, the virtual machine while it runs."""
    pve = Pve(folder)
    disk = pve.run / f"storage/local-lvm/images/vm-{VM}-disk-0/etc"
    disk.mkdir(parents=True)
    (disk / "sentinel").write_text(f"{SENTINEL}\n")
    pve.put(f"/nodes/{NODE}/qemu/{VM}/config", agent="1")
    pve.post(f"/nodes/{NODE}/qemu/{VM}/status/start")
    for guest in (CT, VM):
        upid = pve.post(f"/nodes/{NODE}/vzdump", vmid=str(guest), storage="local")
        assert pve.ended(upid) == "OK"
    pve.post(f"/nodes/{NODE}/qemu/{VM}/status/stop")
    rows = pve.get(f"/nodes/{NODE}/storage/local/content", content="backup")
    archives = {
        int(row["vmid"]): Archive(
            row["volid"], int(row["vmid"]), int(row["ctime"]), int(row["size"]), row["subtype"]
        )
        for row in rows
    }
    place = Place(pve, folder / "home" / "drills", archives)
    place.original = place.world()
    return place


class Killed(BaseException):
    """The process dies here; nothing of the engine may catch it."""


@dataclass
class Counting(Passing):
    """Counts requests from 1, reads included; `act(number, method, send)` decides on each."""

    act: Any = None
    number: int = 0
    writes: list[int] = field(default_factory=list)
    """the numbers of those that wrote"""

    def get(self, requests: Any) -> Any:
        self.number += 1
        return self._do("GET", requests[0], lambda: self.api.get(requests))

    def send(self, request: Any, secrets: Any = None) -> Any:
        self.number += 1
        self.writes.append(self.number)
        return self._do(request.method, request, lambda: self.api.send(request, secrets))

    def _do(self, method: str, request: Any, send: Any) -> Any:
        return self.act(self.number, request, send) if self.act else send()


def journal_lines(place: Place) -> list[dict[str, Any]]:
    path = sorted(place.folder.glob("*.jsonl"))[-1]
    return [json.loads(line) for line in path.read_text().splitlines()]
