"""Runs the examples of a document as a reader would: in one shell, block by block.

- ```` ```console ````: lines that begin with `$ ` are typed; the lines behind each are its output,
  where `...` stands for any number of lines.
- ```` ```console title="first terminal" ````: typed in a terminal of its own, which stays open; the
  `export` lines that it prints are pasted into the main one.
- ```` ```toml title="state/x.toml" ````: a file.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(
    r'^```(?P<kind>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<body>.*?)^```$', re.M | re.S
)
_ANY = "..."


class Block(NamedTuple):
    kind: str
    title: str
    body: str


class Typed(NamedTuple):
    command: str
    shown: list[str]


def blocks(document: Path) -> Iterator[Block]:
    for found in _BLOCK.finditer(document.read_text(encoding="utf-8")):
        yield Block(found["kind"], found["title"] or "", found["body"])


def typed(block: Block) -> Iterator[Typed]:
    """The commands of a console block, each with the output that the document shows."""
    for part in re.split(r"^\$ ", block.body, flags=re.M)[1:]:
        command, *shown = part.rstrip("\n").split("\n")
        yield Typed(command, shown)


def differs(shown: list[str], printed: list[str]) -> str:
    """Why `printed` is not what the document shows; "" where it is."""
    position, free = 0, False
    for line in shown:
        if line == _ANY:
            free = True
            continue
        rest = printed[position:]
        if not free and rest[:1] != [line]:
            return f"{line!r} is shown, {rest[:1]!r} was printed"
        if line not in rest:
            return f"{line!r} was not printed"
        position += rest.index(line) + 1
        free = False
    return "" if free or position == len(printed) or not shown else f"also: {printed[position:]}"


class Reader:
    """Follows a document in `folder`; `path` leads the PATH."""

    def __init__(self, folder: Path, path: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = {**env, "PATH": f"{path}{os.pathsep}{env['PATH']}"}
        self._open: list[subprocess.Popen[bytes]] = []
        self.commands: list[str] = []

    def follow(self, document: Path) -> None:
        """Raises AssertionError where the document is wrong."""
        for block in blocks(document):
            if block.kind == "console" and block.title:
                self._open_terminal(block)
            elif block.kind == "console":
                for one in typed(block):
                    self._type(one)
            elif block.kind == "toml" and block.title:
                file = self._folder / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.body)

    def close(self) -> None:
        for one in self._open:
            one.terminate()
            one.wait()

    def _open_terminal(self, block: Block) -> None:
        (one,) = typed(block)
        log = self._folder / ".first-terminal"
        with log.open("wb") as out:
            self._open.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec {one.command}"],
                    cwd=self._folder,
                    env=self._env,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                )
            )
        deadline = time.monotonic() + 30
        while "export PVECTL_TOKEN_ID" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            assert self._open[-1].poll() is None, log.read_text()
            time.sleep(0.05)
        printed = log.read_text().splitlines()
        assert differs(one.shown, printed) == "", printed
        exports = "\n".join(line.strip() for line in printed if line.strip().startswith("export "))
        named = subprocess.run(
            ["bash", "-c", f"{exports}\nenv -0"],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            check=True,
        )
        self._env = dict(row.split("=", 1) for row in named.stdout.decode().split("\0") if row)
        self.commands.append(one.command)

    def _type(self, one: Typed) -> None:
        ended = subprocess.run(
            ["bash", "-c", one.command],
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        self.commands.append(one.command)
        wrong = differs(one.shown, ended.stdout.splitlines())
        assert wrong == "", f"$ {one.command}\n{wrong}\n{ended.stdout}"


def follow_elsewhere(document: Path, path: Path, folder: Path) -> list[str]:
    """Follows `document` in an empty folder with an environment of its own, and the embedded
    cluster on a free port; returns what was typed."""
    text = document.read_text(encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = text.replace("--nodes pve1,pve2", f"--nodes pve1,pve2 --port {port}")
    copy = folder / document.name
    copy.write_text(text.replace("127.0.0.1:8006", f"127.0.0.1:{port}"), encoding="utf-8")
    work = folder / "work"
    work.mkdir()
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    reader = Reader(work, path, own)
    try:
        reader.follow(copy)
    finally:
        reader.close()
    return reader.commands


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        done = follow_elsewhere(Path(sys.argv[1]), Path(sys.argv[2]).absolute(), Path(temporary))
    print(f"{sys.argv[1]}: {len(done)} commands, each as it is shown")
