"""A request that is not answered for long is told about while the run waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any

import pytest

from reconciler.cli.terminal import slow_requests
from reconciler.cli.terminal.slow_requests import report_slow_requests
from reconciler.model.request import Request, request


class Slow:
    """An `Api` that answers once somebody has complained."""

    actor, endpoint = "root@pam", "https://pve:8006"

    def __init__(self) -> None:
        self.complained = Event()

    def get(self, requests: Sequence[Request]) -> list[Any]:
        return [self.complained.wait(10) for _ in requests]

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        return self.complained.wait(10)

    def close(self) -> None:
        """Nothing to close."""


def test_a_late_answer_is_talked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_requests, "PATIENCE", 0.001)
    said: list[str] = []
    slow = Slow()

    def tell(text: str) -> None:
        said.append(text)
        slow.complained.set()

    with report_slow_requests(slow, tell) as api:
        assert api.get([request("GET", "access", "users")]) == [True]
        slow.complained.clear()
        assert api.send(request("POST", "access", "groups", groupid="x"), {})
    assert said[0].startswith("no answer to GET /access/users for ")
    assert any(text.startswith("no answer to POST /access/groups for ") for text in said)


def test_nothing_is_printed_while_nothing_is_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_requests, "PATIENCE", 0.001)
    said: list[str] = []
    with report_slow_requests(Slow(), said.append):
        Event().wait(0.02)
    assert said == []
