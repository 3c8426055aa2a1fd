"""Asks a fork server for a process of `pvectl`; see `tests.support.fork_server`.

`python -ISE fork_client.py SOCKET pvectl ARGUMENTS...` is that process for a shell: it has the same
arguments, environment, folder and streams, and ends with its status. It imports little, for it is
there to start quickly.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys

TYPE_CHECKING = False  # not typing for it
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
    server: str,
    arguments: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    streams: Sequence[int] = (0, 1, 2),
) -> Forked:
    """`server`: its socket; `arguments` from the name of the command on; `streams`: file
    descriptors that become 0 to 2."""
    request = {"arguments": list(arguments), "cwd": cwd, "env": dict(env), "umask": _umask()}
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(server)
    socket.send_fds(connection, [b" "], list(streams))
    connection.sendall(json.dumps(request).encode() + b"\n")
    return Forked(connection)


def _umask() -> int:
    """Without setting it, which other threads would notice."""
    with open("/proc/self/status", encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow
        return int(file.read().partition("\nUmask:")[2].split()[0], 8)


if __name__ == "__main__":
    status = start(sys.argv[1], sys.argv[2:], cwd=os.getcwd(), env=os.environ).wait()  # noqa: PTH109
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    sys.exit(status)
