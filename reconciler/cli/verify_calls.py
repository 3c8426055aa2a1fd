"""Make the API calls of expectations as the token that is to make them."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.expectations.call import (
    CallOutcome,
    foreseen,
    known_call,
    may_try,
)
from reconciler.access.explain.call import judge_by
from reconciler.cli.runner import SystemClock
from reconciler.errors import RequestRefused
from reconciler.execution.tasks import follow_task
from reconciler.model.api import Api
from reconciler.model.declared import CallExpectation
from reconciler.model.request import Request, request


def try_calls(api: Api, calls: Iterable[CallExpectation]) -> list[CallOutcome]:
    """Make the calls as the caller of `api`, one after the other.

    A writing call is sent only if the cluster itself says that it will be refused, or if its
    expectation calls it harmless. Refusals are results; other errors of `Api.get` are raised.
    """
    return [_try(api, one) for one in calls]


def _try(api: Api, one: CallExpectation) -> CallOutcome:
    known = known_call(one)
    answer = judge_by(_Held(api), api.actor, *known) if known else None
    if not may_try(one, answer):
        why = foreseen(one, answer) if answer else "its rules are not known here"
        said = why or "not sent, since it would change something; nothing is missing for it"
        return CallOutcome(one, api.actor, not why, said, sent=False)
    status, said = _send(api, one)
    ok = status == one.status and (not one.task or said.startswith(one.task))
    if ok and not one.task and one.status == 200:
        ok = said in ("", "OK") or said.startswith("WARNINGS")
    return CallOutcome(one, api.actor, ok, f"{status} {said}".strip(), sent=True)


class _Held:
    """The caller's privileges according to the cluster; each path is asked once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, frozenset[str]] = {}

    def __call__(self, path: str) -> frozenset[str]:
        if path not in self._known:
            asked = request("GET", "access", "permissions", path=path)
            self._known[path] = frozenset(self._api.get([asked])[0].get(path, ()))
        return self._known[path]


def _send(api: Api, one: CallExpectation) -> tuple[int, str]:
    """The status, and the exit status of the task or the reason of a refusal."""
    path = tuple(part for part in one.path.split("/") if part)
    sent = Request(one.method, path, one.params)
    try:
        data = api.get([sent])[0] if one.method == "GET" else api.send(sent)
    except RequestRefused as refused:
        return refused.status, refused.reason
    except LookupError:  # answered, in a shape that pvectl does not know
        return 200, ""
    upid = str(data)
    if one.method == "GET" or not upid.startswith("UPID:"):
        return 200, ""
    end = follow_task(api, upid.split(":")[1], upid, SystemClock(), lambda _: None)
    return 200, end.exit_status
