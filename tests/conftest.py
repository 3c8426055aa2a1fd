"""Fixtures that more than one test module uses."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings

from reconciler.model.api import Api
from tests.execution import size

# CI tries the same examples each time, so that what it says is about the change at hand.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
os.environ.pop("CI", None)  # where it is set, state files may reach less: tests that mean it say so

CASSETTES = Path(__file__).parent.parent / "cassettes"
GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-goldens", action="store_true", help="write tests/golden/ from what is rendered"
    )
    parser.addoption(
        "--faults-at-length",
        action="store_true",
        help="inject faults at every point of many random plans; takes an hour or so",
    )


def pytest_configure(config: pytest.Config) -> None:
    size.at_length = config.getoption("--faults-at-length")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("plan.txt", text)`: the text is what the file holds; --rewrite-goldens writes it."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--rewrite-goldens"):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode())
        assert text == path.read_bytes().decode()

    return compare


@pytest.fixture
def cassette_api() -> Iterator[Callable[[str], Api]]:
    """`cassette_api("reading-fresh")`: a read-only `Api` that a recording answers."""
    with ExitStack() as stack:
        yield lambda name: _open_cassette(stack, CASSETTES / f"{name}.yaml")


def _open_cassette(stack: ExitStack, path: Path) -> Api:
    from vcr.cassette import Cassette
    from vcr.matchers import method, query
    from vcr.matchers import path as path_
    from vcr.request import Request as Recorded

    from reconciler.live.http.client import open_api
    from reconciler.live.http.connection import Connections, Outgoing
    from reconciler.live.http.response import Answer
    from reconciler.model.target import Target

    lock = threading.Lock()
    cassette = Cassette.load(path=str(path), record_mode="none", match_on=(method, path_, query))

    def played(_: Connections, outgoing: Outgoing, __: tuple[float, float]) -> Answer:
        uri = f"https://pve.example.invalid{outgoing.target}"
        with lock:
            answer = cassette.play_response(Recorded(outgoing.method, uri, outgoing.body, {}))
        status = answer["status"]
        return Answer(status["code"], status["message"], answer["body"]["string"])

    stack.enter_context(mock.patch.object(Connections, "exchange", played))
    target = Target(
        endpoints=("https://pve.example.invalid",),
        token_id="root@pam!bootstrap",
        fingerprint=("00" * 32,),
    )
    api = open_api(target, "00000000-0000-0000-0000-000000000000", read_only=True)
    stack.callback(api.close)
    return api
