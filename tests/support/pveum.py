"""The `pveum` lines that pvectl prints, done on a cluster as the real command would do them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from reconciler.errors import RequestRefused
from reconciler.model.api import Api
from reconciler.model.request import Request

_UNLESS_THERE = " || true"


def pveum(api: Api, line: str) -> None:
    """One line; raises AssertionError for one that the real command would not take.

    With `|| true` at its end, what exists already is left as it is.
    """
    name, *words = shlex.split(line.removesuffix(_UNLESS_THERE))
    assert name == "pveum", line
    command, rest = _command(words)
    at = next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))
    ids, options = rest[:at], rest[at:]
    assert len(options) % 2 == 0, line
    given = [
        (key.removeprefix("--"), value)
        for key, value in zip(options[::2], options[1::2], strict=True)
    ]
    try:
        api.send(_request(command, ids, given))
    except RequestRefused as error:
        if not (line.endswith(_UNLESS_THERE) and "already exists" in str(error)):
            raise


def run_lines(api: Api, text: str) -> list[str]:
    """Every `pveum` line of a text, in order; returns them."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("pveum ")]
    for line in lines:
        pveum(api, line)
    return lines


def _command(words: list[str]) -> tuple[str, list[str]]:
    size = 3 if words[:2] == ["user", "token"] else 2
    return " ".join(words[:size]), words[size:]


def _request(command: str, ids: list[str], given: Iterable[tuple[str, str]]) -> Request:
    options = tuple(given)
    if command == "acl modify":
        return Request("PUT", ("access", "acl"), (("path", ids[0]), *options))
    if command == "acl delete":
        return Request("PUT", ("access", "acl"), (("path", ids[0]), *options, ("delete", "1")))
    made = {
        "role add": (("access", "roles"), "roleid"),
        "user add": (("access", "users"), "userid"),
        "pool add": (("pools",), "poolid"),
    }
    if command in made:
        path, name = made[command]
        return Request("POST", path, ((name, ids[0]), *options))
    if command == "role modify":
        return Request("PUT", ("access", "roles", *ids), options)
    if command == "user modify":
        return Request("PUT", ("access", "users", *ids), options)
    method = {"user token add": "POST", "user token modify": "PUT"}[command]
    user, token = ids
    return Request(method, ("access", "users", user, "token", token), options)
