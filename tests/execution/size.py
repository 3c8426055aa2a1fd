"""How many faults are injected: a sample in `make test`, all of them in `make faults`."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, example, given, settings

from tests.execution.pair import FIRST, SECOND
from tests.support.random_states import states

T = TypeVar("T")

at_length = False
"""Set from the command line before tests are collected."""

COUNTS = "PVECTL_FAULT_COUNTS"
"""The file to which each check appends its count; see `python -m tests.execution.counts`."""


def on_pairs(few: int, many: int, make: Any = None) -> Callable[[Any], Any]:
    """Run a test on one rich pair of states and on that many random ones; in `make test` these are
    the same each time."""
    drawn = states() if make is None else make

    def decorate(test: Any) -> Any:
        sized = settings(
            max_examples=many if at_length else few,
            derandomize=not at_length,
            database=None,
            phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if at_length else [])],
            suppress_health_check=list(HealthCheck),
        )
        return sized(example(first=FIRST, second=SECOND)(given(first=drawn, second=drawn)(test)))

    return decorate


def some(points: Sequence[T], few: int) -> Sequence[T]:
    """All of them at length, else `few`: the first, the last, and others that vary with the
    length."""
    if at_length or len(points) <= few:
        return points
    between = random.Random(len(points)).sample(  # noqa: S311 - not for secrets
        range(1, len(points) - 1), few - 2
    )
    return [points[0], *(points[at] for at in sorted(between)), points[-1]]


def count(check: str, number: int = 1) -> None:
    """Note that faults were injected."""
    if os.environ.get(COUNTS):
        with Path(os.environ[COUNTS]).open("a") as file:
            file.write(f"{check} {number}\n")
