"""Report slow requests, so that a waiting run is not mistaken for a hung one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from threading import Event, Thread, get_ident
from typing import Any, TypeVar

from reconciler.model.api import Api, ForwardingApi
from reconciler.model.request import Request

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds without an answer after which a message is shown, and its interval."""


class _Watched(ForwardingApi):
    """An `Api` that records, per thread, the request in flight and since when."""

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self._asked: dict[int, tuple[str, float]] = {}

    @property
    def asked(self) -> tuple[str, float] | None:
        """The request that has been in flight for longest."""
        return min(tuple(self._asked.values()), key=lambda asked: asked[1], default=None)

    def get(self, requests: Sequence[Request]) -> list[Any]:
        what = f"GET {requests[0].target}" if requests else ""
        return self._noting(what, self._api.get, requests)

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        words = f"{request.method} {request.target}"
        return self._noting(words, self._api.send, request, secrets)

    def _noting(self, what: str, call: Callable[..., T], *arguments: Any) -> T:
        self._asked[get_ident()] = (what, time.monotonic())
        try:
            return call(*arguments)
        finally:
            del self._asked[get_ident()]


@contextmanager
def report_slow_requests(api: Api, tell: Callable[[str], None]) -> Iterator[Api]:
    """The same connection; `tell` is called for each request that is slow to answer."""
    watched, ended = _Watched(api), Event()

    def watch() -> None:
        while not ended.wait(PATIENCE):
            asked = watched.asked
            if asked is not None and (since := time.monotonic() - asked[1]) >= PATIENCE:
                tell(f"no answer to {asked[0]} for {since:.0f} s; still waiting")

    thread = Thread(target=copy_context().run, args=(watch,), name="pvectl-delays", daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        ended.set()
        thread.join()
