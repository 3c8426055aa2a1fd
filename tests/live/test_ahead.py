"""Reads that are started before they are asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from reconciler.errors import RequestRefused, Unreachable
from reconciler.live import ahead
from reconciler.live.ahead import AheadApi, expected
from reconciler.model.request import Request, request

ONE, TWO, THREE = (request("GET", name) for name in ("one", "two", "three"))


@dataclass
class Server:
    """Answers with the number of the round; `failures` come first."""

    actor: str = "root@pam"
    endpoint: str = "https://pve"
    clock_skew: float | None = None
    failures: list[Exception] = field(default_factory=list)
    rounds: list[tuple[Request, ...]] = field(default_factory=list)

    def get(self, requests: Sequence[Request]) -> list[Any]:
        self.rounds.append(tuple(requests))
        if self.failures:
            raise self.failures.pop(0)
        return [(len(self.rounds), one.target) for one in requests]

    def get_elsewhere(self, requests: Sequence[Request]) -> dict[str, list[Any]]:
        return {"https://other": self.get(requests)}

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        del request, secrets

    def close(self) -> None:
        pass


def test_what_is_expected_is_read_in_one_round_and_given_once() -> None:
    server = Server()
    api = AheadApi(server, (ONE, TWO))
    assert api.get([ONE]) == [(1, "/one")]
    assert api.get([TWO]) == [(1, "/two")]
    assert server.rounds == [(ONE, TWO)]
    assert api.get([ONE]) == [(2, "/one")]


def test_what_nobody_expected_is_read_when_it_is_asked_for() -> None:
    server = Server()
    answers = AheadApi(server, (ONE,)).get([THREE, ONE])
    assert [target for _, target in answers] == ["/three", "/one"]
    assert sorted(server.rounds) == [(ONE,), (THREE,)]


def test_after_a_write_everything_is_read_again() -> None:
    server = Server()
    api = AheadApi(server, (ONE,))
    api.send(request("POST", "one"))
    api.get([ONE])
    assert server.rounds == [(ONE,), (ONE,)]


def test_answers_not_used_in_time_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "KEPT", -1.0)
    server = Server()
    AheadApi(server, (ONE,)).get([ONE])
    assert server.rounds == [(ONE,), (ONE,)]


def test_what_is_refused_of_one_round_does_not_touch_the_other() -> None:
    server = Server(failures=[RequestRefused(403, "Permission check failed")])
    api = AheadApi(server, (ONE,))
    assert api.get([ONE]) == [(2, "/one")]
    both = AheadApi(Server(), (ONE,), (TWO,))
    assert [target for _, target in both.get([TWO, ONE])] == ["/two", "/one"]


def test_a_refused_round_is_asked_again_request_by_request() -> None:
    server = Server(failures=[RequestRefused(403, "Permission check failed")])
    api = AheadApi(server, (ONE, TWO))
    assert api.get([ONE]) == [(2, "/one")]
    assert api.get([TWO]) == [(3, "/two")]


@pytest.mark.parametrize("rounds", [((ONE, TWO),), ()])
def test_a_server_that_does_not_answer_is_not_asked_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch, rounds: tuple[tuple[Request, ...], ...]
) -> None:
    server = Server(failures=[Unreachable("no answer")])
    api = AheadApi(server, *rounds)
    for asked in ([ONE, TWO], [THREE, TWO], [ONE]):
        with pytest.raises(Unreachable):
            api.get(asked)
    assert server.rounds == [(ONE, TWO)]
    later = time.monotonic() + 2 * ahead.KEPT
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert api.get([TWO]) == [(2, "/two")]


def test_once_a_server_has_answered_it_is_asked_again_at_once() -> None:
    server = Server()
    api = AheadApi(server)
    api.get([ONE])
    server.failures.append(Unreachable("no answer"))
    with pytest.raises(Unreachable):
        api.get([ONE])
    assert api.get([ONE]) == [(3, "/one")]


def test_every_plan_reads_lists_of_a_constant_number() -> None:
    assert len(expected()) == len(set(expected())) < 16


def test_what_nobody_foresaw_is_raised_by_whoever_asks_and_not_printed_by_the_thread() -> None:
    """A traceback could show what a library was given, such as the header with the secret."""
    server = Server(failures=[ValueError("a header")])
    api = AheadApi(server, (ONE,))
    with pytest.raises(ValueError, match="a header"):
        api.get([ONE])
    assert api.get([ONE]) == [(2, "/one")]
