"""Reach one cluster through several endpoints: reads in parallel with failover, writes without."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from threading import Lock, Thread
from typing import Any, NamedTuple, Protocol, TypeVar

from reconciler.errors import (
    AuthenticationFailed,
    CertificateNotTrusted,
    PvectlError,
    RequestRefused,
    Unreachable,
    WriteForbidden,
)
from reconciler.model.request import Request

T = TypeVar("T")

FIRST = 4
"""How many reads are sent at once at first, since each connection costs both ends a handshake."""

SOON = 0.02
"""Seconds after which the others are no longer held back: reads take long."""


class Counts(NamedTuple):
    """Requests sent so far, repeated ones included; a login is a read."""

    reads: int = 0
    writes: int = 0


class RequestCounts:
    """Counts requests from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = Counts()

    @property
    def counts(self) -> Counts:
        return self._counts

    def add(self, *, reads: int = 0, writes: int = 0) -> None:
        with self._lock:
            before = self._counts
            self._counts = Counts(before.reads + reads, before.writes + writes)


class Link(Protocol):
    """A connection to one endpoint."""

    @property
    def endpoint(self) -> str: ...

    def read(self, request: Request) -> Any: ...

    def write(self, request: Request, secrets: Mapping[str, str]) -> Any: ...

    @property
    def clock_skew(self) -> float | None: ...

    def close(self) -> None: ...


class ClusterApi:
    """The `Api` protocol over one link per endpoint.

    Reads go to one endpoint until it stops answering, then to the next: all reads of one call come
    from the same endpoint. The first write fixes the endpoint for good, so that the reads that
    verify it see the node that made it.
    """

    def __init__(
        self, links: Sequence[Link], actor: str, tally: RequestCounts, *, parallel: int
    ) -> None:
        self._links = tuple(links)
        self._actor = actor
        self._tally = tally
        self._current = 0
        self._fixed = False
        self._parallel = parallel

    def __repr__(self) -> str:
        return f"ClusterApi({self.endpoint}, {self.actor})"

    @property
    def actor(self) -> str:
        return self._actor

    @property
    def endpoint(self) -> str:
        return self._links[self._current].endpoint

    @property
    def counts(self) -> Counts:
        return self._tally.counts

    def get(self, requests: Sequence[Request]) -> list[Any]:
        """The `data` of each answer, in order. Of several refusals the first in order is raised."""
        for request in requests:
            if request.method != "GET":
                raise WriteForbidden(f"{request.method} {request.target} was sent as a read")
        failures: list[Unreachable] = []
        for position in self._positions():
            try:
                answers = self._read(self._links[position], requests)
            except (AuthenticationFailed, CertificateNotTrusted):
                raise
            except Unreachable as error:
                failures.append(error)
            else:
                self._current = position
                return answers
        raise _all_failed(failures)

    def get_elsewhere(self, requests: Sequence[Request]) -> dict[str, list[Any]]:
        """The answers of each endpoint besides the one that is read from, all at once; none of one
        that does not answer."""

        def ask(link: Link) -> list[Any]:
            try:
                return [link.read(request) for request in requests]
            except PvectlError:
                return []

        others = [link for link in self._links if link.endpoint != self.endpoint]
        answers = _in_parallel(ask, others, len(others))
        return {link.endpoint: found for link, found in zip(others, answers, strict=True)}

    @property
    def clock_skew(self) -> float | None:
        """Seconds by which the clock of the endpoint that answers is ahead of this machine's."""
        return self._links[self._current].clock_skew

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        """One write, sent once and to one endpoint; `WriteForbidden` on a read-only connection."""
        self._fixed = True
        return self._links[self._current].write(request, secrets or {})

    def close(self) -> None:
        for link in self._links:
            link.close()

    def _positions(self) -> Iterator[int]:
        count = 1 if self._fixed else len(self._links)
        first = self._current
        return ((first + step) % len(self._links) for step in range(count))

    def _read(self, link: Link, requests: Sequence[Request]) -> list[Any]:
        if self._parallel == 1 or len(requests) < 2:
            return [link.read(request) for request in requests]
        return _in_parallel(link.read, requests, min(self._parallel, len(requests)))


def _in_parallel(read: Callable[[T], Any], requests: Sequence[T], workers: int) -> list[Any]:
    """Run reads in parallel: `FIRST` of them, and as many as there are `workers` where reads take
    long. After a failure nothing new is started, but running requests are awaited: one may be an
    earlier refusal.

    Daemon threads, so that an interrupted run does not wait for a hanging server.
    """
    answers: dict[int, Any] = {}
    errors: dict[int, BaseException] = {}
    waiting = deque(enumerate(requests))

    def work() -> None:
        while waiting and not errors:
            try:
                position, request = waiting.popleft()
            except IndexError:
                return
            try:
                answers[position] = read(request)
            except BaseException as error:  # raised again in the caller's thread
                errors[position] = error

    threads = [Thread(target=work, name="pve-read", daemon=True) for _ in range(workers)]
    _start(threads, waiting)
    in_order = [errors[position] for position in sorted(errors)]
    refused = [error for error in in_order if isinstance(error, RequestRefused)]
    if in_order:
        raise (refused or in_order)[0]
    return [answers[position] for position in range(len(requests))]


def _start(threads: list[Thread], waiting: Collection[object]) -> None:
    """Start threads, all of them only where work is still `waiting` after `SOON`; await them."""
    for thread in threads[:FIRST]:
        thread.start()
    if len(threads) > FIRST:
        threads[0].join(SOON)
        if not waiting:
            del threads[FIRST:]
        for thread in threads[FIRST:]:
            thread.start()
    for thread in threads:
        thread.join()


def _all_failed(failures: Sequence[Unreachable]) -> Unreachable:
    if len(failures) == 1:
        return failures[0]
    summary = "no endpoint answers: " + "; ".join(error.summary for error in failures)
    return Unreachable(summary, hint=failures[-1].hint)
