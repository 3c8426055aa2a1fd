"""Several clusters on several machines: a real dask scheduler and two worker processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from reconciler.errors import ExitStatus
from reconciler.sandbox.settings import Settings
from tests.execution.test_canaries import forms
from tests.support.command import Ended, environment
from tests.support.fleet import Fleet, fleet
from tests.support.tap import tapped

SLOW = Settings(request_time=0.15)
"""Seconds for each answer: time enough to kill a worker in the middle."""


@dataclass
class Workers:
    address: str
    pids: tuple[int, ...]

    @property
    def place(self) -> tuple[str, int]:
        host, _, port = self.address.removeprefix("tcp://").rpartition(":")
        return host, int(port)


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`dask ARGUMENTS`; killed at the end."""
    log = (folder / f"{arguments[0]}-{time.monotonic_ns()}.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
        stderr=log,
        stdout=log,
        text=True,
        cwd=folder,
        env=environment({"PVECTL_HOME": str(folder / "home"), "DASK_LOGGING__DISTRIBUTED": "info"}),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        log.close()


@contextmanager
def workers(folder: Path, number: int = 2) -> Iterator[Workers]:
    """A scheduler and its workers, one turn at a time each, when all are there."""
    place = folder / "scheduler.json"
    with ExitStack() as stack:
        scheduler = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        stack.enter_context(started(folder, *scheduler, "--scheduler-file", str(place)))
        _wait_for(place.exists)
        made = ("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        found = [
            stack.enter_context(started(folder, *made, "--scheduler-file", str(place)))
            for _ in range(number)
        ]
        _wait_for(lambda: _registered(folder) == number)
        yield Workers(json.loads(place.read_text())["address"], tuple(one.pid for one in found))


def _registered(folder: Path) -> int:
    return sum("Registered to" in log.read_text() for log in folder.glob("worker-*.log"))


def _wait_for(ready: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.05)


def _is_connected(pid: int, port: int) -> bool:
    links = psutil.Process(pid).net_connections("tcp4")
    return any(link.raddr and link.raddr.port == port for link in links)


def run_and_kill(made: Fleet, running: Workers, *arguments: object, seen: str) -> Ended:
    """The command; as soon as a cluster sees a request like `seen`, the worker that sent it is
    killed, once."""
    result: list[Ended] = []
    asked = threading.Event()
    once = threading.Lock()

    def kill(port: int) -> None:
        if once.acquire(blocking=False):
            os.kill(next(p for p in running.pids if _is_connected(p, port)), signal.SIGKILL)
            asked.set()

    for sandbox in made.served.values():
        answer, port = sandbox.answer, sandbox.port

        def noting(request: object, answer: object = answer, port: int = port) -> object:
            if re.search(seen, f"{request.method} {request.target}"):  # type: ignore[attr-defined]
                kill(port)
            return answer(request)  # type: ignore[operator]

        sandbox.answer = noting  # type: ignore[method-assign,assignment]
    thread = threading.Thread(target=lambda: result.append(made.run(*arguments)))
    thread.start()
    assert asked.wait(60)
    thread.join()
    return result[0]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, ("east", "west"), settings=SLOW) as made:
        yield made


SECRETS = """
[user."svc@pve"]
password = { file = "password" }

[user."svc@pve".token.ci]
secret_to = { file = "ci-${site}" }
"""
PASSWORD = "correct horse of a worker"


def test_workers_plan_apply_and_look_for_drift_and_no_secret_travels(
    two: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that goes between this process and the scheduler is kept, and looked through."""
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__COMPRESSION", "False")
    (two.state / "secrets.toml").write_text(SECRETS)
    (two.state / "password").write_text(PASSWORD)
    with workers(two.folder) as running, tapped(*running.place) as tap:
        by = ("--on", "all", "--executor", f"dask=tcp://127.0.0.1:{tap.port}")
        ended = two.run("plan", *by, "--format", "json")
        assert ended.status == ExitStatus.OK, ended.err
        found = json.loads(ended.out)
        assert [row["changes"] for row in found["summary"]] == [6, 6]
        assert found["baseline"]["shared"] == 6
        done = two.run("apply", "--yes", *by)
        assert done.status == ExitStatus.OK, done.err
        again = two.run("drift", *by)
        heard = tap.heard
    assert again.status == ExitStatus.OK, again.out
    secrets = [PASSWORD]
    for name in two.served:
        assert f"site {name}" in (two.cluster(name) / "user.cfg").read_text()
        secrets += [(two.state / file).read_text() for file in (f"ci-{name}", f"{name}.secret")]
    assert b"svc@pve!ci" in heard, "nothing could be seen"
    assert b"work_there" in heard
    for secret in secrets:
        for how, form in forms(secret.strip()).items():
            assert form not in heard, (how, secret)


def test_a_worker_that_is_killed_while_it_plans_is_replaced(two: Fleet) -> None:
    with workers(two.folder) as running:
        by = ("--on", "all", "--executor", f"dask={running.address}")
        ended = run_and_kill(two, running, "plan", *by, "--quiet", seen="GET .*/access/acl")
    assert ended.status == ExitStatus.OK, ended.err
    assert ended.out.count("4 to create") == 2


def test_a_worker_that_is_killed_while_it_applies_is_not_repeated(two: Fleet) -> None:
    with workers(two.folder) as running:
        by = ("--on", "all", "--executor", f"dask={running.address}")
        ended = run_and_kill(two, running, "apply", "--yes", *by, seen="POST .*/access/roles")
    assert ended.status == ExitStatus.NOT_RESTORED, ended.err
    lost = re.search(r"the worker that changed (\w+) was lost", ended.err)
    assert lost, ended.err
    status = two.run("status", "--on", lost[1])
    assert status.status == ExitStatus.UNFINISHED, status.out
    assert two.run("resume", "--yes", "--on", lost[1]).status == ExitStatus.OK
    assert f"site {lost[1]}" in (two.cluster(lost[1]) / "user.cfg").read_text()


def test_a_scheduler_that_does_not_answer_is_named(
    two: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    ended = two.run("plan", "--on", "all", "--executor", "dask=tcp://127.0.0.1:1")
    assert ended.status == ExitStatus.UNREACHABLE
    assert "no dask scheduler answers at tcp://127.0.0.1:1" in ended.err
    wrong = two.run("plan", "--on", "all", "--executor", "slurm")
    assert wrong.status == ExitStatus.USAGE
