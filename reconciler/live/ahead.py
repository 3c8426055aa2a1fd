"""Reads that will be wanted, begun before they are asked for, all in one round."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from threading import Thread
from typing import Any

from reconciler.errors import RequestRefused, Unreachable
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.live.reader import PERMISSIONS, VERSION
from reconciler.model.api import Api
from reconciler.model.request import Request

KEPT = 10.0
"""Seconds after which an answer that nobody has asked for is read anew."""


def expected() -> tuple[Request, ...]:
    """What every plan reads: whoever asks, what it may see, and the lists of all kinds."""
    kinds = [kind.reads for kind in all_kinds().values() if not kind.reads.lazy]
    lists = [request for reads in kinds for request in (*reads.requests, *reads.always_there)]
    return tuple(dict.fromkeys((VERSION, PERMISSIONS, RESOURCES, *lists)))


class AheadApi:
    """An `Api` in front of another one, which begins to read `requests` at once.

    Each of these answers is given once, and not after a write or `KEPT` seconds. Where the round
    was refused as a whole, each request is sent again when it is asked for; what else went wrong is
    told to the first who asks.
    """

    def __init__(self, api: Api, requests: Sequence[Request]) -> None:
        self._api = api
        self._requests = tuple(requests)
        self._answers: dict[Request, Any] = {}
        self._waiting = set(self._requests)
        self._failure: Unreachable | None = None
        self._began = time.monotonic()
        self._thread = Thread(target=self._read, name="pvectl-ahead", daemon=True)
        self._thread.start()

    @property
    def actor(self) -> str:
        return self._api.actor

    @property
    def endpoint(self) -> str:
        return self._api.endpoint

    def get(self, requests: Sequence[Request]) -> list[Any]:
        """Answers of the round where they are wanted for the first time, and of new requests."""
        if self._waiting.isdisjoint(requests) or time.monotonic() - self._began > KEPT:
            return self._api.get(requests)
        others = [request for request in requests if request not in self._waiting]
        found = dict(zip(others, self._api.get(others), strict=True)) if others else {}
        self._thread.join()
        self._waiting -= set(requests)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self._waiting.clear()
            raise failure
        missing = [r for r in requests if r not in found and r not in self._answers]
        if missing:
            found |= dict(zip(missing, self._api.get(missing), strict=True))
        return [found[r] if r in found else self._answers.pop(r) for r in requests]

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        self._waiting.clear()
        return self._api.send(request, secrets)

    def close(self) -> None:
        self._api.close()

    def _read(self) -> None:
        try:
            answers = self._api.get(self._requests)
            self._answers = dict(zip(self._requests, answers, strict=True))
        except RequestRefused:
            pass
        except Unreachable as failure:
            self._failure = failure
