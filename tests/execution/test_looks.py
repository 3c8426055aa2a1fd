"""Looks at the cluster that go on beside the writes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import RequestRefused
from reconciler.model.request import Request
from tests.execution.pair import FIRST, SECOND
from tests.execution.worlds import bench, is_declared, world
from tests.support.engine import Passing, TestClock

LOOKING = "pvectl-look"


@dataclass
class Slow(Passing):
    """Each write takes a while, so that looks grow old; a look beside one is refused."""

    clock: TestClock
    refused: list[str] = field(default_factory=list)

    def get(self, requests: Sequence[Request]) -> list[Any]:
        if threading.current_thread().name == LOOKING:
            self.refused.append(requests[0].target)
            raise RequestRefused(500, "pool 'old' does not exist")
        return self.api.get(requests)

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        self.clock.time += 0.4
        return self.api.send(request, secrets)


def test_a_look_that_met_an_object_just_as_it_went_is_taken_again() -> None:
    """Between its list and its details a step may delete what the list has shown."""
    with world() as cluster:
        ready = bench(cluster, FIRST, SECOND)
        slow = Slow(cluster.api, ready.clock)
        report, _ = ready.apply(slow)
        assert report.complete, report
        assert slow.refused
        is_declared(cluster, SECOND)
