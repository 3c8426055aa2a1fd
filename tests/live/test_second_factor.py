"""Logins with a second factor, and certificates of clients, over HTTPS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from reconciler.errors import AuthenticationFailed, ExitStatus
from reconciler.live.http.client import open_api
from reconciler.model.api import Api
from reconciler.model.request import Request, request
from reconciler.model.target import Target
from reconciler.pve.totp import parse_totp
from reconciler.sandbox.http.direct import SandboxApi
from reconciler.sandbox.http.server import Sandbox, running
from reconciler.sandbox.settings import Settings
from tests.cli.in_process import ask
from tests.support.network import Node, answer, make_certificate

KEY = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
URI = f"otpauth://totp/PVE:ops%40pve?secret={KEY}"
PASSWORD = "correct horse"
USERS = request("GET", "access", "users", full=1)
VERSION = request("GET", "version")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("second") / "pve"
    folder.mkdir()
    (folder / "user.cfg").write_text("user:root@pam:1:0:::::\n")
    root = SandboxApi(folder)
    for user in ("ops@pve", "two@pve", "off@pve"):
        root.send(request("POST", "access", "users", userid=user, password=PASSWORD))
        root.send(request("PUT", "access", "acl", path="/", users=user, roles="PVEAuditor"))
        root.send(_add(user))
    (entry,) = root.get([request("GET", "access", "tfa", "off@pve")])[0]
    root.send(request("PUT", "access", "tfa", "off@pve", entry["id"], enable=0))
    with running(folder, settings=Settings(auth_delay=0)) as started:
        yield started


def _add(user: str) -> Request:
    totp = parse_totp(KEY)
    code = totp.code(totp.counter(time.time()))
    given = {"type": "totp", "description": "phone", "totp": URI, "value": code}
    return request("POST", "access", "tfa", user, **given)


@pytest.fixture
def login() -> Iterator[Callable[..., Api]]:
    opened: list[Api] = []

    def to(server: Sandbox | Node, pin: str, user: str, totp: str = "") -> Api:
        endpoint = server.url if isinstance(server, Sandbox) else server.endpoint
        target = Target(endpoints=(endpoint,), fingerprint=(pin,), username=user)
        opened.append(open_api(target, PASSWORD, read_only=False, totp=totp))
        return opened[-1]

    yield to
    for api in opened:
        api.close()


def test_a_second_factor_is_answered_and_each_code_used_once(
    server: Sandbox, login: Callable[..., Api]
) -> None:
    totp = parse_totp(KEY)
    while totp.counter(time.time()) != totp.counter(time.time() + 3):
        time.sleep(0.2)
    for _ in range(2):
        api = login(server, server.fingerprint, "ops@pve", URI)
        (rows,) = api.get([USERS])
        assert {row["userid"]: row.get("keys") for row in rows}["ops@pve"] == "x"
    with pytest.raises(AuthenticationFailed, match="second factor of ops@pve was refused") as used:
        login(server, server.fingerprint, "ops@pve", KEY).get([USERS])
    assert "try again in 30 seconds" in used.value.hint


def test_without_the_key_with_another_one_and_with_a_disabled_factor(
    server: Sandbox, login: Callable[..., Api]
) -> None:
    with pytest.raises(AuthenticationFailed, match="two@pve needs a second factor") as missing:
        login(server, server.fingerprint, "two@pve").get([USERS])
    assert "totp_secret" in missing.value.hint
    for key in (KEY[::-1], "0189"):
        with pytest.raises(AuthenticationFailed) as wrong:
            login(server, server.fingerprint, "two@pve", key).get([USERS])
        assert key not in f"{wrong.value} {wrong.value.hint}"
    assert login(server, server.fingerprint, "off@pve").get([USERS])
    assert login(server, server.fingerprint, "off@pve", KEY).get([USERS])


def test_factors_are_listed_for_auditors_without_their_keys(server: Sandbox) -> None:
    every = request("GET", "access", "tfa")
    (rows,) = SandboxApi(server.store.folder, "off@pve").get([every])
    assert KEY not in json.dumps(rows)
    found = {row["userid"]: row["entries"] for row in rows}
    assert [one["type"] for one in found["ops@pve"]] == ["totp"]
    assert found["off@pve"][0]["enable"] is False
    token = request("POST", "access", "users", "two@pve", "token", "t1", privsep=0)
    SandboxApi(server.store.folder).send(token)
    for write in (_add("two@pve"), request("DELETE", "access", "tfa", "two@pve", "x")):
        with pytest.raises(Exception, match="not available with API token"):
            SandboxApi(server.store.folder, "two@pve!t1").send(write)


def test_other_factors_are_named(tmp_path: Path, login: Callable[..., Api]) -> None:
    asked = quote(json.dumps({"webauthn": {}, "recovery": []}))
    ticket = {"ticket": f"PVE:!tfa!{asked}:6B0507D8::x", "NeedTFA": 1, "username": "a@pve"}
    certificate = make_certificate(tmp_path, "127.0.0.1")
    node = Node(certificate.pem, lambda _: answer(ticket))
    with pytest.raises(AuthenticationFailed, match="but recovery and webauthn"):
        login(node, certificate.fingerprint, "a@pve", KEY).get([VERSION])
    node.stop()
    assert len(node.requests) == 1


def test_the_settings_name_the_second_factor(
    server: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is confirmed together with the password, and may come from the environment."""
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    for name, secret in (("password", PASSWORD), ("totp", KEY)):
        (state / name).write_text(f"{secret}\n")
        (state / name).chmod(0o600)
    (state / "pvectl.toml").write_text(
        f'[target]\nendpoint = "{server.url}"\nfingerprint = "{server.fingerprint}"\n'
        'username = "new@pve"\npassword = { file = "password" }\ntotp_secret = { file = "totp" }\n'
    )
    root = SandboxApi(server.store.folder)
    root.send(request("POST", "access", "users", userid="new@pve", password=PASSWORD))
    root.send(request("PUT", "access", "acl", path="/", users="new@pve", roles="PVEAuditor"))
    root.send(_add("new@pve"))
    refused = ask("plan", state=state)
    assert refused.status == ExitStatus.UNREACHABLE
    assert f"totp file {state / 'totp'}" in refused.err
    assert ask("trust", "--yes", state=state).status == ExitStatus.OK
    planned = ask("plan", state=state)
    assert planned.status == ExitStatus.OK, planned
    assert KEY not in planned.out + planned.err
    (state / "pvectl.toml").write_text(
        "[target]\n"
        + (f'endpoint = "{server.url}"\ntoken_id = "a@pve!b"\ntotp_secret = {{ env = "X" }}\n')
    )
    assert "tokens have none" in ask("validate", state=state).out
