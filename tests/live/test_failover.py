from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Lock
from typing import Any

import pytest

from reconciler.live.http.failover import FIRST, ClusterApi, RequestCounts
from reconciler.model.request import Request

MOST = 16


class _Slow:
    """An endpoint that takes its time; `most`: reads under way at once."""

    endpoint = "https://pve01.example.com:8006"
    clock_skew = None

    def __init__(self, seconds: float) -> None:
        self.most = 0
        self._seconds = seconds
        self._now = 0
        self._lock = Lock()

    def read(self, request: Request) -> Any:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1
        return request.path[-1]

    def write(self, request: Request, secrets: Mapping[str, str]) -> Any:
        raise AssertionError

    def close(self) -> None: ...


@pytest.mark.parametrize(("seconds", "most"), [(0.0, range(1, FIRST + 1)), (0.1, [MOST])])
def test_more_connections_are_opened_only_where_reads_take_long(
    seconds: float, most: list[int]
) -> None:
    link = _Slow(seconds)
    api = ClusterApi([link], "root@pam!ci", RequestCounts(), parallel=MOST)
    requests = [Request("GET", ("pools", str(number))) for number in range(MOST)]
    assert api.get(requests) == [str(number) for number in range(MOST)]
    assert link.most in most
