"""`python -m tests.execution.driver`: runs real `pvectl` processes, each with a fault in it.

Starting Python takes longer than a whole apply. This process loads everything once and forks for
each job: the child is a process of its own with its own signals, files and end. Jobs come as lines
of JSON on standard input; for each, `{"job", "pid"}` and later `{"job", "status"}` are answered.
The faults sit in front of the `Api` and in the clock: pvectl itself knows nothing of them.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import reconciler.live.http.client as live
from reconciler.cli import app
from reconciler.cli.run import runner
from reconciler.errors import RequestRefused
from reconciler.model.request import Request
from reconciler.model.run import LOCK_PREFIX
from tests.execution.injected import bare
from tests.support.fork_server import prepare


class SkippingClock:
    """The real time, but waiting takes none; `ahead` seconds fast."""

    ahead = 0.0

    def now(self) -> float:
        return time.time() + SkippingClock.ahead

    def sleep(self, seconds: float) -> None:
        SkippingClock.ahead += seconds


class FaultyApi:
    """Counts writes from 1, those of the lock included, and injects what the job says.

    `kill_before`, `kill_after`: SIGKILL around the write of that number. `signal_before`,
    `signal_after`: [write, signal, how often]. `pause_after`: [write, file] wait until the file is
    there. `quote`: that write is refused in words that quote all its secrets; `bug`: an exception
    that nobody expects quotes them. `answers`: a file that keeps each new secret.
    """

    def __init__(self, api: Any, job: Mapping[str, Any]) -> None:
        self._api, self._job, self._number = api, job, 0

    @property
    def actor(self) -> str:
        return str(self._api.actor)

    @property
    def endpoint(self) -> str:
        return str(self._api.endpoint)

    def get(self, requests: Sequence[Request]) -> Any:
        return self._api.get(requests)

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        self._number += 1
        self._around("before")
        self._quote(secrets or {})
        self._note(request)
        answer = self._api.send(request, secrets)
        if "answers" in self._job and isinstance(answer, dict) and "value" in answer:
            with Path(self._job["answers"]).open("a") as file:
                file.write(f"{answer['value']}\n")
        self._around("after")
        return answer

    def _quote(self, secrets: Mapping[str, str]) -> None:
        words = " and ".join(secrets.values())
        if secrets and self._job.get("quote"):
            raise RequestRefused(500, f"update failed: got {words}", dict(secrets))
        if secrets and self._job.get("bug"):
            raise ValueError(words)

    def close(self) -> None:
        self._api.close()

    def _around(self, when: str) -> None:
        if self._job.get(f"kill_{when}") == self._number:
            os.kill(os.getpid(), signal.SIGKILL)
        at, number, times = self._job.get(f"signal_{when}") or (0, 0, 0)
        if at == self._number:
            for _ in range(times):
                os.kill(os.getpid(), number)
        at, file = self._job.get(f"pause_{when}") or (0, "")
        while at == self._number and not Path(file).exists():
            time.sleep(0.01)

    def _note(self, request: Request) -> None:
        """A line in the log of all processes: who sends what, never a secret."""
        lock = request.path[:2] == ("access", "groups") and LOCK_PREFIX in str(request)
        line = json.dumps({"pid": os.getpid(), "lock": lock, **bare(request).to_json()})
        descriptor = os.open(self._job["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{line}\n".encode())
        os.close(descriptor)


def child(job: Mapping[str, Any]) -> int:
    """The job in this process: pvectl's exit status."""
    os.chdir(job["folder"])
    os.environ.update(job["env"])
    for number, name in ((1, "out"), (2, "err")):
        descriptor = os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, number)
    open_api = live.open_api
    live.open_api = lambda *a, **k: FaultyApi(open_api(*a, **k), job)  # type: ignore[assignment]
    if "debug" in job:
        logging.basicConfig(filename=job["debug"], level=logging.DEBUG)
        logging.getLogger("proxmoxer.core").setLevel(logging.DEBUG)
    SkippingClock.ahead = float(job.get("ahead", 0.0))
    if not job.get("real_time"):
        runner.SystemClock = SkippingClock  # type: ignore[misc,assignment]
    return app.run(job["args"])


def main() -> None:
    prepare()
    names: dict[int, int] = {}
    rest = b""
    while True:
        ready, _, _ = select.select([0], [], [], 0.005 if names else None)
        if ready:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                job = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    os._exit(_status(job))
                names[pid] = job["job"]
                _answer(job=job["job"], pid=pid)
        while names:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            _answer(job=names.pop(pid), status=os.waitstatus_to_exitcode(status))


def _status(job: Mapping[str, Any]) -> int:
    """Whatever happens in the child, it must not go on as the driver."""
    try:
        return child(job)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        return 99
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _answer(**content: int) -> None:
    os.write(1, f"{json.dumps(content)}\n".encode())


if __name__ == "__main__":
    main()
