"""A Proxmox VE in a process of its own, and `pvectl` in others, killed for real."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.desired.toml.formatter import table_text
from reconciler.execution.plan_file import save_plan
from reconciler.kinds import kind_of
from reconciler.kinds.shared.options import toml_name
from reconciler.kinds.shared.step import secrets_of
from reconciler.kinds.token import TokenSpec
from reconciler.model.address import Address
from reconciler.model.plan import Plan
from reconciler.model.spec import Spec, State
from tests.execution.worlds import World, build, plan_for

ROOT = Path(__file__).parents[2]
ACTOR = "root@pam!bootstrap"
SECRET = "11111111-2222-4333-8444-555555555555"
WAIT = 60.0
"""Seconds after which a process that does not end is a failure."""


DECLARED = "declared.toml"
"""The objects that take or deliver a secret; a saved plan may name no other places."""


def _with_secrets(state: Mapping[Address, Spec]) -> str:
    """These objects as a state file."""
    tables = []
    for address, spec in sorted(state.items()):
        if not list(secrets_of(spec)):
            continue
        kind = kind_of(address)
        parent, name = kind.toml.name_of(address.id, spec)
        values = kind.toml.export(address.id, spec)
        for parameter, reference in kind.secrets.sent(spec).items():
            values[toml_name(parameter)] = reference.model_dump(exclude_none=True)
        if isinstance(spec, TokenSpec) and spec.secret_to is not None:
            values["secret_to"] = spec.secret_to.model_dump(exclude_none=True)
        outer = ("user", parent) if parent else ()
        tables.append(table_text((*outer, kind.toml.place.key, name), values))
    return "\n".join(tables)


class Ended(NamedTuple):
    """A process that has ended: exit status (negative: signal), and what it said."""

    status: int
    out: str
    err: str


@dataclass
class Driver:
    """The forking process of `tests.execution.driver`."""

    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)
    _pids: dict[int, int] = field(default_factory=dict, repr=False)
    _ended: dict[int, int] = field(default_factory=dict, repr=False)

    def start(self, job: Mapping[str, Any]) -> int:
        """Begin a job; its number."""
        number = next(self._numbers)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({**job, "job": number}).encode() + b"\n")
        self.process.stdin.flush()
        return number

    def pid(self, number: int) -> int:
        while number not in self._pids:
            self._listen()
        return self._pids[number]

    def wait(self, number: int) -> int:
        """The exit status; negative where a signal ended it."""
        while number not in self._ended:
            self._listen()
        return self._ended.pop(number)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the driver has ended"
        answer = json.loads(line)
        if "pid" in answer:
            self._pids[answer["job"]] = answer["pid"]
        else:
            self._ended[answer["job"]] = answer["status"]


@dataclass(repr=False)
class Site:
    """A cluster served over HTTPS, a state folder, and machines that run pvectl on it."""

    world: World
    url: str
    fingerprint: str
    state: Path
    driver: Driver
    runs: Path
    fresh: dict[str, bytes] = field(init=False, repr=False)
    log: Path = field(init=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.log = self.runs / "requests"
        self.fresh = self.world.files()

    def declare(self, state: Mapping[Address, Spec]) -> None:
        """The state files that a saved plan to `state` needs; none of an earlier one where it
        needs none."""
        text = _with_secrets(state)
        if text:
            (self.state / DECLARED).write_text(text)

    def plan(self, state: State) -> Path:
        """A saved plan to `state`."""
        import time

        self.declare(state)
        plan: Plan = plan_for(self.world.api, state, self.url, ACTOR)
        path = self.runs / "plan.json"
        save_plan(plan, path, int(time.time()))
        return path

    def start(
        self,
        *args: str,
        machine: str = "a",
        extra: Mapping[str, str] | None = None,
        **fault: Any,
    ) -> tuple[int, Path]:
        """Begin `pvectl ARGS` on a machine; the job and where its output goes.

        `extra`: more of the environment; `fault` as the driver knows it.
        """
        base = self.runs / f"run-{next(self._numbers)}"
        job = {
            "args": args,
            "folder": str(self.state),
            "env": {
                "PVECTL_STATE": str(self.state),
                "PVECTL_HOME": str(self.runs / machine),
                "PVECTL_ENDPOINT": self.url,
                "PVECTL_FINGERPRINT": self.fingerprint,
                "PVECTL_TOKEN_SECRET": SECRET,
                "SECRET": "s3cret-s3cret",
                "NO_COLOR": "1",
                **(extra or {}),
            },
            "out": f"{base}.out",
            "err": f"{base}.err",
            "log": str(self.log),
            **fault,
        }
        for name in ("out", "err"):  # there even where a signal comes before the first line
            Path(f"{base}.{name}").touch()
        return self.driver.start(job), base

    def end(self, started: tuple[int, Path]) -> Ended:
        job, base = started
        status = self.driver.wait(job)
        out, err = (Path(f"{base}.{name}").read_text() for name in ("out", "err"))
        return Ended(status, out, err)

    def run(self, *args: str, **fault: Any) -> Ended:
        """`pvectl ARGS`, to its end."""
        return self.end(self.start(*args, **fault))

    def requests(self, *, lock: bool = False) -> list[dict[str, Any]]:
        """What arrived so far, from every process, in order."""
        if not self.log.exists():
            return []
        lines = map(json.loads, self.log.read_text().splitlines())
        return [line for line in lines if lock or not line["lock"]]

    def reset(self, files: Mapping[str, bytes]) -> None:
        """The cluster as it was, all machines as new."""
        self.world.restore(files)
        for path in self.state.iterdir():
            if path.name not in {"pvectl.toml", DECLARED}:
                path.unlink()
        for path in sorted(self.runs.rglob("*"), reverse=True):
            if path.name != "plan.json":
                path.rmdir() if path.is_dir() else path.unlink()


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Everything up and running; gone at the end."""
    pve = build(folder / "pve")
    state, runs = folder / "state", folder / "runs"
    state.mkdir()
    runs.mkdir()
    environment = {**os.environ, "PVECTL_SANDBOX_LOCK_WAIT": "0.2"}
    command = [sys.executable, "-m", "reconciler.sandbox", str(pve), "--port", "0"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as served,
        subprocess.Popen(
            [sys.executable, "-m", "tests.execution.driver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as driving,
    ):
        assert served.stdout is not None
        url = re.match(rb"(https://\S+)", served.stdout.readline())
        fingerprint = served.stdout.readline().split()[-1].decode()
        assert url is not None
        place = url[1].decode()
        (state / "pvectl.toml").write_text(
            f'[target]\nendpoint = "{place}"\ntoken_id = "{ACTOR}"\nfingerprint = "{fingerprint}"\n'
        )
        world = World(pve, folder / "journal")
        try:
            yield Site(world, place, fingerprint, state, Driver(driving), runs)
        finally:
            assert driving.stdin is not None
            driving.stdin.close()
            served.terminate()


def sent_twice(requests: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Requests that arrived more than once."""
    seen: list[Any] = []
    twice: list[Any] = []
    for request in requests:
        bare = {key: request[key] for key in ("method", "path", "params")}
        (twice if bare in seen else seen).append(bare)
    return twice
