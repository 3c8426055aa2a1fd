"""The installed `pvectl` as a process, and the embedded Proxmox VE as another one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from reconciler.desired.settings.destination import destination
from reconciler.desired.settings.settings import read_settings
from reconciler.execution.known_targets import remember
from tests.support import forked

FIXTURES = Path(__file__).parents[1] / "data" / "fixtures"
PVECTL = forked.PVECTL

_STARTED = re.compile(r"(https://\S+) serves .*, fingerprint (\S+)")
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONHASHSEED", "PYTHONPATH", "TMPDIR")
"""Nothing else of the environment reaches the command: settings of whoever runs the tests."""

_OF_THE_START = ("PYTHON", "LANG", "LC_", "COLUMNS", "TERMINAL_WIDTH", "FORCE_COLOR")
"""What the interpreter, or a library where it is imported, reads of the environment."""


class Ended(NamedTuple):
    """A command that has ended: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


class Served(NamedTuple):
    """A sandbox that answers; `pid` of its process."""

    folder: Path
    url: str
    fingerprint: str
    pid: int


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a command sees of the environment, and `more`."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | dict(more or {})


def pvectl(
    *arguments: object, env: Mapping[str, str] | None = None, stdin: str = "", cwd: Path
) -> Ended:
    """Run the command in the folder `cwd` to its end; `stdin` is not a terminal.

    It is a process that a fork server starts, or the installed script where `env` has something
    that Python reads at its start.
    """
    words, seen = [PVECTL, *map(str, arguments)], environment(env)
    if not any(name.startswith(_OF_THE_START) for name in env or {}):
        status, out, err = forked.run(words, cwd=cwd, env=seen, stdin=stdin.encode(), timeout=120)
        return Ended(status, out.decode(), err.decode())
    done = subprocess.run(
        words,
        input=stdin.encode(),
        capture_output=True,
        cwd=cwd,
        env=seen,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def trust(state: Path, home: Path) -> None:
    """Confirm every target of a state folder, as `pvectl trust --yes` does in $PVECTL_HOME."""
    for cluster in read_settings(state).clusters.values():
        if cluster.target is not None and cluster.target.sandbox_folder is None:
            outside = replace(cluster, trusted=frozenset({"secret"}))
            remember(home, destination(cluster if cluster.secret is not None else outside))


def copy_fixture(name: str, folder: Path) -> Path:
    """A folder laid out like /etc/pve, free to be changed."""
    shutil.copytree(FIXTURES / name, folder)
    return folder


@contextmanager
def sandbox(
    folder: Path, env: Mapping[str, str] | None = None, *, release: str = ""
) -> Iterator[Served]:
    """`pvectl sandbox` on any free port, over HTTPS, as a process of its own; `release`: as which
    Proxmox VE it answers."""
    words = [PVECTL, "sandbox", str(folder), "--port", "0"]
    words += ["--release", release] if release else []
    heard, told = os.pipe()
    with os.fdopen(heard) as err, Path(os.devnull).open() as nothing:
        streams = (nothing.fileno(), told, told)
        process = forked.start(words, cwd=Path(), env=environment(env), streams=streams)
        os.close(told)
        try:
            line = err.readline()
            started = _STARTED.match(line)
            assert started, line
            yield Served(folder, started[1], started[2], process.pid)
        finally:
            process.terminate()
            process.wait()


def secret_of(folder: Path, token: str) -> str:
    """The secret of a token, from the folder's priv/token.cfg."""
    for line in (folder / "priv" / "token.cfg").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == token:
            return value
    raise AssertionError(f"{folder} holds no secret of {token}")
