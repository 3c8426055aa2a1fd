"""How time and memory grow with entries and with clusters."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import ExitStatus
from tests.bench.measure import ROOT, took
from tests.support.command import environment

COST = {"PVECTL_SANDBOX_REQUEST_TIME": "0.02"}
"""Seconds for each answer of one of many clusters: about what a network and PVE take."""


class Scale(NamedTuple):
    """What some number of things took: seconds, and memory in MB."""

    number: int
    seconds: float
    peak: float


def slope(small: float, large: float, times: float) -> float:
    """1: `large` is as many times `small` as there are things; 2: the square of that."""
    return math.log(large / small) / math.log(times)


@contextmanager
def many_clusters(folder: Path, number: int) -> Iterator[tuple[Path, dict[str, str]]]:
    """A state folder with so many targets that answer, and the environment for it."""
    served = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.many_served", str(folder), str(number)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(COST),
    )
    try:
        assert served.stdout is not None
        assert served.stdout.readline() == "ready\n"
        yield folder / "state", {"PVECTL_HOME": str(folder / "home")}
    finally:
        served.kill()
        served.wait()


def drift_of(folder: Path, number: int, *jobs: int) -> list[Scale]:
    """`drift --on all` on so many clusters, once for each number of jobs."""
    folder.mkdir()
    with many_clusters(folder / "pve", number) as (state, env):
        found = []
        for at_once in jobs:
            words = ("drift", "--state", state, "--on", "*", "--jobs", at_once, "--quiet")
            measured = took(1, *words, env=env, ends=[ExitStatus.CHANGES])
            found.append(Scale(number, measured.seconds, measured.peak))
    return found
