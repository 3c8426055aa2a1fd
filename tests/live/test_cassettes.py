"""The recordings are replayed through the client as it is, and hold no secret."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from reconciler.live.redact import redact
from reconciler.model.request import request
from tests.conftest import CASSETTES

NAMES = ["reading-fresh", "reading-self-backup", "reading-team"]


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_answer_is_read_in_parallel(name, cassette_api):
    recorded = yaml.safe_load((CASSETTES / f"{name}.yaml").read_text())["interactions"]
    asked, expected = [], []
    for interaction in recorded:
        url = urlsplit(interaction["request"]["uri"])
        path = url.path.removeprefix("/api2/json/").split("/")
        asked.append(request("GET", *path, **dict(parse_qsl(url.query))))
        expected.append(json.loads(interaction["response"]["body"]["string"])["data"])
    assert cassette_api(name).get(asked) == expected


@pytest.mark.parametrize("name", NAMES)
def test_recordings_hold_no_secret(name):
    for interaction in yaml.safe_load((CASSETTES / f"{name}.yaml").read_text())["interactions"]:
        assert interaction["request"]["headers"]["Authorization"] == ["REDACTED"]
        body = interaction["response"]["body"]["string"]
        assert redact(body) == body
