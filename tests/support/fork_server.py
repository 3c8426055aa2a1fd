"""Starts `pvectl` as a process that need not import anything: what every command imports is there
before the fork.

A command is a process of its own, with the arguments, environment, folder, umask and streams that
it is given; only the imports of the interpreter are shared. What depends on the start of the
interpreter (`PYTHON...`, the locale) asks for the installed script: see `tests.support.command`.

A request is one connection: a line of JSON with file descriptors 0 to 2. The answers are two lines,
the process id and, at its end, the exit status as `subprocess` gives it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import selectors
import socket
import sys
import time
from typing import Any

_WITHOUT = ("reconciler.cli.commands.", "reconciler.__main__", "reconciler.sandbox.__main__")
"""A command registers itself where it is imported, which is part of what it does."""

_LIBRARIES = (
    "encodings.utf_8_sig",
    "pydantic.type_adapter",
    "resource",
    "typer._adapters",
    "typer._click.decorators",
)


def main(path: str) -> None:
    """Serve requests at the socket `path` until standard input ends."""
    prepare()
    asked = _serve(path)
    if asked is not None:
        _become(*asked)


def _serve(path: str) -> tuple[dict[str, Any], list[int]] | None:
    """Returns a request in its child, and None in the server at its end."""
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen(64)
        os.write(1, b"ready\n")
        os.dup2(2, 1)
        selector.register(0, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == 0:
                    return None
                if key.fileobj is not listener:
                    _reap(selector, key)
                    continue
                connection = listener.accept()[0]
                request, streams = _receive(connection)
                pid = os.fork()
                if not pid:
                    return request, streams
                for stream in streams:
                    os.close(stream)
                _answer(connection, pid)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))


def prepare() -> None:
    """Import what commands import."""
    import reconciler

    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not module.name.startswith(_WITHOUT):
            importlib.import_module(module.name)
    for name in _LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    text, streams, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 20)
    return json.loads(text), streams


def _answer(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # where nobody waits any more
        connection.sendall(b"%d\n" % number)


def _reap(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    pid, connection = key.data
    selector.unregister(key.fileobj)
    os.close(key.fd)
    _answer(connection, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    connection.close()


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Run the command as the installed script does."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    _open_streams()
    os.closerange(3, max(256, *streams) + 1)
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv = request["arguments"]
    from reconciler.__main__ import main as pvectl

    pvectl()


def _open_streams() -> None:
    """As the interpreter does at its start: a pipe is not a terminal, nor a file."""
    encoding, errors = sys.stdin.encoding, sys.stdin.errors
    sys.stdin = os.fdopen(0, "r", -1, encoding, errors, closefd=False)
    sys.stdout = os.fdopen(1, "w", -1, encoding, errors, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding, "backslashreplace", closefd=False)


if __name__ == "__main__":
    main(sys.argv[1])
