"""Commands and functions, measured."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.support.command import PVECTL, environment

ROOT = Path(__file__).parent.parent.parent

T = TypeVar("T")


class Took(NamedTuple):
    """`seconds` by the clock, `cpu` seconds of user and system, `peak` memory in MB."""

    seconds: float
    cpu: float
    peak: float


def took(
    runs: int,
    *arguments: object,
    env: Mapping[str, str] | None = None,
    ends: Sequence[int] = (0,),
    program: Sequence[str] = (str(PVECTL),),
) -> Took:
    """The installed command, run several times; the least of each, as others use the machine.

    `ends`: with which exit status it may end. `program`: what to run instead.
    """
    command = [sys.executable, "-m", "tests.bench.watched", *program, *map(str, arguments)]
    found = [Took(**json.loads(_last_line(command, env, ends))) for _ in range(runs)]
    return Took(*map(min, zip(*found, strict=True)))


def requests(*arguments: object, env: Mapping[str, str] | None = None) -> dict[str, int]:
    """`METHOD /path` -> how often the command sent it; all reads together are `GET`."""
    command = [sys.executable, "-m", "tests.bench.counted", *map(str, arguments)]
    counts: dict[str, int] = json.loads(_last_line(command, env))
    return counts


def seconds(work: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds of this process, and what `work` gives."""
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def _last_line(
    command: list[str], env: Mapping[str, str] | None, ends: Sequence[int] = (0,)
) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, cwd=ROOT, env=environment(env), check=False, timeout=600
    )
    assert done.returncode in ends, (command, done.returncode)
    return done.stdout.decode().splitlines()[-1]
