"""Reads that will be needed, started in advance, all in one round."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from threading import Thread
from typing import Any, Protocol

from reconciler.errors import RequestRefused, Unreachable
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.live.health import STATUS, VERSION
from reconciler.live.reader import PERMISSIONS
from reconciler.model.api import Api, ForwardingApi, SeesEndpoints
from reconciler.model.request import Request

KEPT = 10.0
"""Seconds after which an unused answer is read again."""

PERHAPS = (STATUS,)
"""Requests that a caller may be refused, so that a refusal does not repeat all the others."""


def expected() -> tuple[Request, ...]:
    """What every plan reads: whoever asks, what it may see, and the lists of all kinds."""
    kinds = [kind.reads for kind in all_kinds().values() if not kind.reads.lazy]
    lists = [request for reads in kinds for request in (*reads.requests, *reads.always_there)]
    return tuple(dict.fromkeys((VERSION, PERMISSIONS, RESOURCES, *lists)))


class NetworkApi(Api, SeesEndpoints, Protocol):
    """A connection over the network."""


class AheadApi(ForwardingApi):
    """An `Api` in front of another one, which begins to read some `rounds` of requests at once.

    Each of these answers is given once, and not after a write or `KEPT` seconds. Where a round was
    refused as a whole, each of its requests is sent again when it is asked for; what else went
    wrong is told once for each of them, so that a silent server's time-out passes only once. For
    the same reason, where the first read of a connection finds no server, those of the next `KEPT`
    seconds are not sent.
    """

    def __init__(self, api: NetworkApi, *rounds: Sequence[Request]) -> None:
        super().__init__(api)
        self._api: NetworkApi = api
        self._rounds = [_Round(api, requests) for requests in rounds]
        self._until = time.monotonic() + KEPT
        self._answered = False
        self._unreachable: Unreachable | None = None
        """From the first read, and repeated until `_until`."""

    @property
    def clock_skew(self) -> float | None:
        return self._api.clock_skew

    def get(self, requests: Sequence[Request]) -> list[Any]:
        """Answers of a round where they are wanted for the first time, and of new requests."""
        if time.monotonic() > self._until:
            self._rounds, self._unreachable = [], None
        if self._unreachable is not None:
            raise self._unreachable
        try:
            answers = self._get(requests)
        except Unreachable as failure:
            if not self._answered:
                self._unreachable, self._until = failure, time.monotonic() + KEPT
            raise
        self._answered = True
        return answers

    def _get(self, requests: Sequence[Request]) -> list[Any]:
        rounds = {asked: one for asked in requests for one in self._rounds if asked in one.waiting}
        known = any(one.has_failed for one in rounds.values())
        found = {} if known else self._read([asked for asked in requests if asked not in rounds])
        for asked, one in rounds.items():
            try:
                found |= one.take(asked)
            except BaseException:
                self._until = time.monotonic() + KEPT
                raise
        found |= self._read([asked for asked in requests if asked not in found])
        return [found[asked] for asked in requests]

    def get_elsewhere(self, requests: Sequence[Request]) -> dict[str, list[Any]]:
        return self._api.get_elsewhere(requests)

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        self._rounds = []
        return self._api.send(request, secrets)

    def _read(self, requests: Sequence[Request]) -> dict[Request, Any]:
        return dict(zip(requests, self._api.get(requests), strict=True)) if requests else {}


class _Round:
    """Reads in a separate thread; `waiting`: those not yet taken."""

    def __init__(self, api: Api, requests: Sequence[Request]) -> None:
        self.waiting = set(requests)
        self._api = api
        self._requests = tuple(requests)
        self._answers: dict[Request, Any] = {}
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._work, name="pvectl-ahead", daemon=True)
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether it is known by now that there are no answers."""
        return self._failure is not None

    def take(self, request: Request) -> dict[Request, Any]:
        """The answer, as soon as the round has ended; none where it was refused."""
        self._thread.join()
        self.waiting.discard(request)
        if self._failure is not None:
            raise self._failure
        return {request: self._answers[request]} if request in self._answers else {}

    def _work(self) -> None:
        try:
            answers = self._api.get(self._requests)
            self._answers = dict(zip(self._requests, answers, strict=True))
        except RequestRefused:
            pass
        except BaseException as failure:  # raised again in the caller's thread
            self._failure = failure
