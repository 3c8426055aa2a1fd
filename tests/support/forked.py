"""Processes of `pvectl` that `tests.support.fork_server` starts; each test worker has a server."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support import fork_client
from tests.support.fork_client import Forked

PVECTL = shutil.which("pvectl", path=str(Path(sys.executable).parent)) or "pvectl"


def start(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], streams: Sequence[int]
) -> Forked:
    """`arguments` from the name of the command on; `streams`: file descriptors for 0 to 2."""
    return fork_client.start(
        _server(), arguments, cwd=str(cwd.absolute()), env=env, streams=streams
    )


def put_on_path(folder: Path) -> None:
    """A `pvectl` in `folder`, for scripts that start many: it asks the server."""
    command = folder / "pvectl"
    client = [sys.executable, "-ISE", fork_client.__file__, _server(), str(PVECTL)]
    command.write_text(f'#!/bin/sh\nexec {shlex.join(client)} "$@"\n')
    command.chmod(0o755)


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
