"""Faults in front of an `Api`: refusals, lost and late answers, crashes, rivals."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import RequestRefused, UnknownOutcome
from reconciler.model.api import Api
from reconciler.model.request import Request
from tests.support.engine import Faulty, TestClock

Send = Callable[[], Any]
Fault = Callable[[int, Request, Send], Any]


class Killed(BaseException):
    """The process dies here; nothing of the engine may catch it."""


def harmless(number: int, request: Request, send: Send) -> Any:
    del number, request
    return send()


def refuse(at: int, status: int, reason: str, errors: dict[str, str] | None = None) -> Fault:
    """PVE refuses the write of this number, counted from 1."""

    def fault(number: int, request: Request, send: Send) -> Any:
        del request
        if number == at:
            raise RequestRefused(status, reason, errors)
        return send()

    return fault


REFUSALS: Sequence[tuple[int, str, dict[str, str] | None]] = (
    (403, "Permission check failed (/access/groups, User.Modify)", None),
    (500, "update failed: something is wrong", None),
    (500, "create failed: 400 Parameter verification failed.", {"role": "no such role"}),
)


def kill_before(at: int) -> Fault:
    def fault(number: int, request: Request, send: Send) -> Any:
        del request
        if number == at:
            raise Killed
        return send()

    return fault


def kill_after(at: int) -> Fault:
    def fault(number: int, request: Request, send: Send) -> Any:
        del request
        answer = send()
        if number == at:
            raise Killed
        return answer

    return fault


def lose_before(at: int) -> Fault:
    """No answer, and the request never arrives."""

    def fault(number: int, request: Request, send: Send) -> Any:
        del request
        if number == at:
            raise UnknownOutcome("no answer in time")
        return send()

    return fault


def lose_after(at: int) -> Fault:
    """The request takes effect, but the answer is lost."""

    def fault(number: int, request: Request, send: Send) -> Any:
        del request
        answer = send()
        if number == at:
            raise UnknownOutcome("the connection was closed")
        return answer

    return fault


BUSY = "OP failed: cfs-lock 'file-user_cfg' error: got lock request timeout"


def busy(at: int, times: int = 1) -> Fault:
    """PVE cannot get its lock for some writes."""

    def fault(number: int, request: Request, send: Send) -> Any:
        del request
        if at <= number < at + times:
            raise RequestRefused(500, BUSY)
        return send()

    return fault


def busy_after(at: int) -> Fault:
    """PVE has done what was asked, and fails at a second lock."""

    def fault(number: int, request: Request, send: Send) -> Any:
        del request
        answer = send()
        if number == at:
            raise RequestRefused(500, BUSY)
        return answer

    return fault


@dataclass
class Late:
    """An `Api` on which one write takes effect only `delay` seconds after it was sent.

    With `dies` the sender is killed while it waits. What fails when its time comes fails unseen.
    """

    api: Api
    clock: TestClock
    at: int
    delay: float = 70.0
    dies: bool = False
    sent: list[Request] = field(default_factory=list)
    waiting: list[tuple[float, Send]] = field(default_factory=list)

    @property
    def actor(self) -> str:
        return self.api.actor

    @property
    def endpoint(self) -> str:
        return self.api.endpoint

    def _catch_up(self) -> None:
        while self.waiting and self.waiting[0][0] <= self.clock.now():
            with contextlib.suppress(RequestRefused):
                self.waiting.pop(0)[1]()

    def get(self, requests: Sequence[Request]) -> list[Any]:
        self._catch_up()
        return self.api.get(requests)

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        self._catch_up()
        self.sent.append(request)
        if len(self.sent) == self.at:
            due = self.clock.now() + self.delay
            self.waiting.append((due, lambda: self.api.send(request, secrets)))
            if self.dies:
                raise Killed
            raise UnknownOutcome("no answer in time")
        return self.api.send(request, secrets)

    def close(self) -> None:
        self.api.close()


def writes(api: Api, fault: Fault) -> Faulty:
    """`api` with a fault in front of its writes."""
    return Faulty(api, fault)


def bare(request: Request) -> Request:
    """A request in one form, without the digest that goes with it, to see whether it came twice."""
    params = (param for param in request.params if param[0] != "digest")
    return request._replace(params=tuple(sorted(params, key=lambda param: param[0])))
