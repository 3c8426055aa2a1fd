"""Make the API calls of expectations as the token that is to make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from reconciler.access.expectations.call import (
    CallOutcome,
    foreseen,
    is_refused,
    known_call,
)
from reconciler.access.explain.call import CallAnswer, judge_by
from reconciler.cli.run.runner import SystemClock
from reconciler.desired.reach import Reach, how_to_allow
from reconciler.errors import RequestRefused
from reconciler.execution.tasks import follow_task
from reconciler.model.api import Api
from reconciler.model.declared import CallExpectation
from reconciler.model.request import Request, request


class Trial(NamedTuple):
    """What may be tried: nothing with `sending` False. `reach`: which writing calls may succeed;
    `tell` is called before each of these.
    """

    reach: Reach
    tell: Callable[[str], None]
    sending: bool = True


def try_calls(api: Api, calls: Iterable[CallExpectation], trial: Trial) -> list[CallOutcome]:
    """Make the calls as the caller of `api`, one after the other.

    A writing call is sent only if the cluster itself says that it will be refused, or if its
    expectation calls it harmless and the trial allows it. Refusals are results; other errors of
    `Api.get` are raised.
    """
    return [_try(api, one, trial) for one in calls]


def _try(api: Api, one: CallExpectation, trial: Trial) -> CallOutcome:
    known = known_call(one)
    answer = judge_by(_Held(api), api.actor, *known) if known else None
    left = _why_not(one, answer, trial)
    if left:
        why = foreseen(one, answer) if answer else "its rules are not known here"
        return CallOutcome(one, api.actor, not why, why or left, sent=False)
    if not is_refused(one, answer):
        trial.tell(
            f"{one.source}: making a call as {api.actor} that may change something: {one.title}"
        )
    status, said = _send(api, one)
    ok = status == one.status and (not one.task or said.startswith(one.task))
    if ok and not one.task and one.status == 200:
        ok = said in ("", "OK") or said.startswith("WARNINGS")
    answered = f"{status}, task: {said}" if said and status == 200 else f"{status} {said}".strip()
    return CallOutcome(one, api.actor, ok, answered, sent=True)


def _why_not(one: CallExpectation, answer: CallAnswer | None, trial: Trial) -> str:
    """Why a call is not made; "" where it is."""
    if not trial.sending:
        return "--no-probe was given"
    if is_refused(one, answer):
        return ""
    if one.harmless:
        line = trial.reach.outside_calls(f"{one.method} {one.path}")
        return f"it may change something; {how_to_allow(line)}" if line else ""
    if answer is not None and answer.refused_in_task is not None:
        return "its task may change something before it is refused"
    return "it would change something; nothing is missing for it"


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
