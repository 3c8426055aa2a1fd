"""Processes of `pvectl` that `tests.support.fork_server` starts; each test worker has a server."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


class Forked:
    """A running command; what tests use of `subprocess.Popen`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self.pid = int(self._answers.readline())
        self._status: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; negative where a signal ended it. Raises TimeoutError."""
        if self._status is None:
            self._connection.settimeout(timeout)
            self._status = int(self._answers.readline())
            self._answers.close()
            self._connection.close()
        return self._status

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], streams: Sequence[int]
) -> Forked:
    """`arguments` from the name of the command on; `streams` are file descriptors for 0 to 2."""
    request = {
        "arguments": list(arguments),
        "cwd": str(cwd.absolute()),
        "env": dict(env),
        "umask": _umask(),
    }
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_server())
    socket.send_fds(connection, [b" "], list(streams))
    connection.sendall(json.dumps(request).encode() + b"\n")
    return Forked(connection)


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes, timeout: float
) -> tuple[int, bytes, bytes]:
    """A command to its end: exit status, standard output, standard error."""
    (in_read, in_write), (out_read, out_write), (err_read, err_write) = (
        os.pipe(),
        os.pipe(),
        os.pipe(),
    )
    forked = start(arguments, cwd=cwd, env=env, streams=(in_read, out_write, err_write))
    for theirs in (in_read, out_write, err_write):
        os.close(theirs)
    with ThreadPoolExecutor(2) as threads:
        threads.submit(_write, in_write, stdin)
        err = threads.submit(_read, err_read)
        watch = threading.Timer(timeout, forked.kill)
        watch.start()
        out = _read(out_read)
        status = forked.wait(timeout)
        watch.cancel()
        return status, out, err.result()


def _write(number: int, text: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(number, "wb") as file:
        file.write(text)


def _read(number: int) -> bytes:
    with os.fdopen(number, "rb") as file:
        return file.read()


def _umask() -> int:
    """Without setting it, which other threads would notice."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("\nUmask:")[2].split()[0], 8)


@functools.cache
def _server() -> str:
    """The socket of this process's server, which ends with it."""
    folder = tempfile.TemporaryDirectory(prefix="pvectl-tests-")
    path = str(Path(folder.name, "socket"))
    script = Path(__file__).with_name("fork_server.py")
    server = subprocess.Popen(
        [sys.executable, "-P", str(script), path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    server.stdout.close()

    def end() -> None:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
        folder.cleanup()

    atexit.register(end)
    return path
