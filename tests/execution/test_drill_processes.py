"""Real `pvectl drill` processes over HTTPS, each killed with SIGKILL around one of its writes."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import ROOT_TOKEN
from tests.execution.drilling import CT, VM, Place, make
from tests.execution.processes import ROOT, Driver, Ended
from tests.execution.size import count, some
from tests.execution.worlds import MEMORY
from tests.support.command import environment, sandbox, secret_of

SETTINGS = """
[drill]
ids = "9900-9903"
storage = "local-lvm"

[drill.guest.9000]
check = { agent = ["cat", "/etc/sentinel"] }
"""
WRITES = {CT: 5, VM: 7}
"""How many requests of a drill write: restore, network, start, for a virtual machine the agent's
ping and the command, stop, destroy."""


@dataclass
class Machine:
    """`run` is `pvectl` in a process of its own, with a fault in it as the driver knows them."""

    place: Place
    folder: Path
    driver: Driver
    env: dict[str, str]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(self, *args: str, **fault: Any) -> Ended:
        base = self.folder / f"run-{next(self._numbers)}"
        out, err = base.with_suffix(".out"), base.with_suffix(".err")
        job = {"args": args, "folder": str(self.folder), "env": self.env, **fault}
        job |= {"out": str(out), "err": str(err), "log": str(self.folder / "requests")}
        for path in (out, err):
            path.touch()
        status = self.driver.wait(self.driver.start(job))
        return Ended(status, out.read_text(), err.read_text())


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        place = make(folder)
        state = folder / "state"
        state.mkdir()
        (state / "pvectl.toml").write_text(SETTINGS)
        with (
            sandbox(place.pve.folder, {"PVECTL_SANDBOX_LOCK_WAIT": "0.2"}) as served,
            subprocess.Popen(
                [sys.executable, "-m", "tests.execution.driver"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as driving,
        ):
            env = {
                **environment(),
                "PVECTL_STATE": str(state),
                "PVECTL_HOME": str(folder / "machine"),
                "PVECTL_ENDPOINT": served.url,
                "PVECTL_FINGERPRINT": served.fingerprint,
                "PVECTL_TOKEN_ID": ROOT_TOKEN,
                "PVECTL_TOKEN_SECRET": secret_of(place.pve.folder, ROOT_TOKEN),
                "NO_COLOR": "1",
            }
            place.original = place.world()
            try:
                yield Machine(place, folder, Driver(driving), env)
            finally:
                assert driving.stdin is not None
                driving.stdin.close()


@pytest.mark.parametrize("way", ["resume", "rollback"])
@pytest.mark.parametrize("guest", [CT, VM])
def test_sigkill_around_every_write(machine: Machine, guest: int, way: str) -> None:
    place = machine.place
    points = [
        (when, at) for when in ("kill_before", "kill_after") for at in range(1, WRITES[guest] + 1)
    ]
    for when, at in some(points, 4):
        killed = machine.run("drill", "--guest", str(guest), "--yes", **{when: at})
        assert killed.status == -signal.SIGKILL, (when, at, killed)
        made = {name for name in place.world() if name not in place.original}
        told = machine.run("status")
        assert told.status == ExitStatus.UNFINISHED, (when, at, told)
        for number in {found for name in made for found in re.findall(r"99\d\d", name)}:
            assert f"guest {number} on demo-felhom" in told.out, (when, at, told.out)
        ended = machine.run(way, "--format", "json")
        assert ended.status == ExitStatus.OK, (when, at, ended)
        (row,) = json.loads(ended.out)["results"]
        assert (row["verdict"], row["left"]) == (
            "passed" if way == "resume" else "stopped",
            [],
        )
        assert place.world() == place.original, (when, at)
        assert machine.run("status").status == ExitStatus.OK
        count("drill SIGKILL")
