"""Secrets are seen nowhere but where they come from, where they go, and in the cluster itself."""

from __future__ import annotations

import base64
import html
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote, quote_plus

import pytest

from reconciler.errors import ExitStatus
from reconciler.live.http.client import open_api
from reconciler.live.http.connection import Connections, Outgoing
from reconciler.live.http.response import Answer
from reconciler.live.redact import Redactor
from reconciler.model.request import request
from reconciler.model.target import Target
from tests.execution.processes import ACTOR, SECRET, Ended, Site, site
from tests.execution.worlds import MEMORY

ENVIRONMENT = {
    "C_USER": "canary 1/user+pass&=%ä",
    "C_MASTER": "canary-2-master-public-key",
    "C_CLIENT": "canary-3/client+key",
    "C_LOGIN": "canary-4-login-of-root",
}
FILES = {
    "in/pbs": "canary-5/pbs+pass&",
    "in/share": "canary-6 share pass ü",
    "in/key": '{"data": "canary-7-encryption-key", "fingerprint": "aa:bb"}',
    "in/bind": "canary-8/bind+pass",
}
STATE = """
[user."canary@pve"]
password = { env = "C_USER" }
[user."canary@pve".token.one]
secret_to = { file = "sinks/one" }
[user."canary@pve".token.two]
secret_to = { env_file = "sinks/two.env", variable = "TWO" }
[user."canary@pve".token.three]
secret_to = { command = ["sh", "-c", "cat > sinks-three"] }

[storage.vault]
type = "pbs"
server = "pbs.invalid"
datastore = "main"
username = "b@pbs"
disable = true
password = { file = "in/pbs" }
encryption_key = { command = ["cat", "in/key"] }
master_pubkey = { env = "C_MASTER" }

[storage.share]
type = "cifs"
server = "share.invalid"
share = "s"
username = "u"
disable = true
password = { file = "in/share" }

[realm.sso]
type = "openid"
issuer_url = "https://sso.invalid"
client_id = "pve"
client_key = { env = "C_CLIENT" }

[realm.corp]
type = "ldap"
server1 = "ldap.invalid"
base_dn = "dc=example"
user_attr = "uid"
bind_dn = "cn=reader"
password = { command = ["cat", "in/bind"] }
"""
TOKENS = 3
"""New secrets of tokens that the state asks for; further ones come from rotation and renewal."""


@pytest.fixture
def place() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name, site(Path(name)) as running:
        (running.state / "state.toml").write_text(STATE)
        for file, text in FILES.items():
            (running.state / file).parent.mkdir(exist_ok=True)
            (running.state / file).write_text(f"{text}\n")
        yield running


class Watch:
    """Runs pvectl with everything that could tell a secret switched on."""

    def __init__(self, place: Site) -> None:
        self.place = place
        self.answers = place.state / "answers"
        self._number = 0

    def run(self, *args: str, **fault: Any) -> Ended:
        self._number += 1
        environment = {**ENVIRONMENT, "PVECTL_LOG_FORMAT": "json" if self._number % 2 else "text"}
        debug = str(self.place.runs / f"debug-{self._number}")
        return self.place.run(
            *args, debug=debug, answers=str(self.answers), extra=environment, **fault
        )

    @property
    def secrets(self) -> list[str]:
        """All canaries: those given, and those that Proxmox VE made."""
        made = self.answers.read_text().split() if self.answers.exists() else []
        inner = json.loads(FILES["in/key"])["data"]
        given = [*ENVIRONMENT.values(), *FILES.values()]
        return [SECRET, inner, *given, *made]

    def leaks(self) -> list[str]:
        """Where a secret is found: everything that runs left behind but their sinks."""
        found = []
        for path in sorted(self.place.runs.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                found += [f"{path.name}: {s[:12]} as {how}" for s, how in _seen(content, self)]
        return found


def _seen(content: bytes, watch: Watch) -> list[tuple[str, str]]:
    return [
        (secret, how)
        for secret in watch.secrets
        for how, form in forms(secret).items()
        if form in content
    ]


def forms(secret: str) -> Mapping[str, bytes]:
    """A secret as it could be spelt."""
    raw = secret.encode()
    texts = {
        "plain": secret,
        "JSON": json.dumps(secret)[1:-1],
        "repr": repr(secret)[1:-1],
        "HTML": html.escape(secret),
        "URL": quote(secret, safe=""),
        "form": quote_plus(secret),
        "URL twice": quote(quote(secret, safe=""), safe=""),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "reversed": secret[::-1],
    }
    for offset in range(3):
        inside = base64.b64encode(bytes(offset) + raw).decode()
        cut = inside[(0, 2, 3)[offset] : len(inside) - 4]
        texts[f"base64 at {offset}"] = cut
        texts[f"base64url at {offset}"] = cut.replace("+", "-").replace("/", "_")
    return {how: text.encode() for how, text in texts.items()}


def test_what_is_looked_for_would_be_found() -> None:
    secret = ENVIRONMENT["C_USER"]
    for before in (b"", b"a", b"ab"):
        inside = base64.b64encode(before + secret.encode() + b" and more")
        assert any(form in inside for form in forms(secret).values())
    assert forms(secret)["URL"] in quote(f"x={secret}&y", safe="").encode()


def test_canaries_are_found_nowhere(place: Site) -> None:
    watch = Watch(place)
    plan = str(place.runs / "saved.plan")
    assert watch.run("plan", "--out", plan, "--format", "json").status == ExitStatus.OK
    assert watch.run("plan", "--format", "markdown", "--format", "text").status == ExitStatus.OK
    assert watch.run("apply", plan, quote=1).status == ExitStatus.RESTORED
    assert watch.run("apply", plan, bug=1).status == ExitStatus.RESTORED
    assert watch.run("status").status == ExitStatus.OK
    for at in (3, 5, 7):
        assert watch.run("apply", plan, kill_after=at).status < 0
        assert watch.run("status", "--format", "json").status == ExitStatus.UNFINISHED
        assert watch.run("rollback", "--format", "json").status == ExitStatus.OK
    assert watch.run("apply", plan, kill_after=8).status < 0
    assert watch.run("resume", "--format", "json").status == ExitStatus.OK
    for journal in sorted((place.runs / "a").rglob("*.jsonl")):
        watch.run("show", str(journal), "--format", "json")
        watch.run("show", str(journal))
    assert watch.run("rotate", "canary@pve!one", "--yes").status == ExitStatus.OK
    assert watch.run("drift", "--format", "json").status == ExitStatus.OK
    (place.state / "in/pbs").write_text(f"{FILES['in/pbs']} 2\n")
    changed = watch.run("plan")
    assert "password was changed" in changed.out
    assert watch.run("apply", "--yes", quote=1).status == ExitStatus.RESTORED
    assert watch.run("apply", "--yes", "--format", "json").status == ExitStatus.OK
    assert watch.run("import", "--out", str(place.runs / "imported")).status == ExitStatus.OK
    login = f'[target]\nendpoint = "{place.url}"\nfingerprint = "{place.fingerprint}"\n'
    login += 'username = "root@pam"\npassword = { env = "C_LOGIN" }\n'
    (place.state / "pvectl.toml").write_text(login)
    assert watch.run("trust", "--yes").status == ExitStatus.OK
    refused = watch.run("plan")
    assert (refused.status, "E_UNTRUSTED_TARGET" in refused.err) == (7, False)
    assert len(watch.secrets) >= 10 + TOKENS
    assert watch.leaks() == []
    _went_where_they_belong(watch)


def _went_where_they_belong(watch: Watch) -> None:
    """So that nothing was found for want of being there."""
    state, made = watch.place.state, watch.answers.read_text().split()
    assert (state / "sinks/one").read_text().strip() == made[-1]
    assert any(secret in (state / "sinks/two.env").read_text() for secret in made)
    assert (state / "sinks-three").read_text().strip() in made
    files = watch.place.world.files()
    assert files["priv/storage/vault.pw"].decode().strip() == f"{FILES['in/pbs']} 2"
    assert b"canary-7" in files["priv/storage/vault.enc"]
    debug = sorted(watch.place.runs.glob("debug-*"))
    assert any(path.stat().st_size > 0 for path in debug)


def test_a_recording_of_the_network_holds_no_secret(place: Site, tmp_path: Path) -> None:
    """What pvectl's own redactor leaves of a cassette."""
    import vcr
    from vcr.patch import force_reset
    from vcr.request import Request as Recorded

    redactor = Redactor()

    def masked(record: Any) -> Any:
        return json.loads(redactor.redact(json.dumps(record)))

    def masked_request(sent: Any) -> Any:
        sent.headers = {name: redactor.redact(value) for name, value in sent.headers.items()}
        sent.headers["Authorization"] = "REDACTED"
        sent.body = redactor.redact((sent.body or b"").decode())
        sent.uri = redactor.redact(sent.uri)
        return sent

    def masked_response(got: Any) -> Any:
        got["body"]["string"] = redactor.redact(got["body"]["string"].decode()).encode()
        got["headers"] = masked(got["headers"])
        return got

    recorder = vcr.VCR(before_record_request=masked_request, before_record_response=masked_response)
    target = Target(endpoints=(place.url,), token_id=ACTOR, fingerprint=(place.fingerprint,))
    api = open_api(target, SECRET, read_only=False, redactor=redactor, parallel=1)
    file = tmp_path / "cassette.yaml"
    exchange = Connections.exchange

    def recorded(own: Connections, sent: Outgoing, timeout: tuple[float, float]) -> Answer:
        with force_reset():
            got = exchange(own, sent, timeout)
        status = {"code": got.status, "message": got.reason}
        content = {"status": status, "headers": {}, "body": {"string": got.body}}
        url = place.url + sent.target
        cassette.append(Recorded(sent.method, url, sent.body, sent.headers), content)
        return got

    with (
        recorder.use_cassette(str(file)) as cassette,
        mock.patch.object(Connections, "exchange", recorded),
    ):
        api.get([request("GET", "version")])
        password = ENVIRONMENT["C_USER"]
        from reconciler.model.secret import SecretRef

        post = request("POST", "access", "users", userid="c@pve", password=SecretRef(env="X"))
        api.send(post, {"password": password})
        token = api.send(request("POST", "access", "users", "c@pve", "token", "t1"))
    api.close()
    content = file.read_bytes()
    assert b"/access/users" in content
    for secret in (SECRET, password, token["value"]):
        for how, form in forms(secret).items():
            assert form not in content, how
