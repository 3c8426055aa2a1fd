"""The live API against the embedded Proxmox VE, over real HTTPS."""

from typing import Any

import pytest

from reconciler.errors import (
    AuthenticationFailed,
    CertificateNotTrusted,
    RequestRefused,
    WriteForbidden,
)
from reconciler.live.http.client import open_api
from reconciler.model.request import request
from reconciler.model.secret import SecretRef
from reconciler.model.target import Target
from reconciler.sandbox.http.server import running
from reconciler.sandbox.settings import Settings

SECRET = "11111111-2222-4333-8444-555555555555"
ROOT = {"token_id": "root@pam!bootstrap"}
USERS = request("GET", "access", "users")


@pytest.fixture
def sandbox(tmp_path):
    (tmp_path / "priv").mkdir()
    (tmp_path / "user.cfg").write_text(
        "user:root@pam:1:0:::root@example.invalid::\ntoken:root@pam!bootstrap:0:0::\n"
    )
    (tmp_path / "priv" / "token.cfg").write_text(f"root@pam!bootstrap {SECRET}\n")
    with running(tmp_path, settings=Settings(auth_delay=0)) as server:
        yield server


@pytest.fixture
def connect(sandbox):
    opened = []

    def to(*, secret=SECRET, read_only=False, **more):
        trust = (
            {} if {"ca_file", "fingerprint"} & more.keys() else {"fingerprint": sandbox.fingerprint}
        )
        who: dict[str, Any] = {} if "username" in more or "token_id" in more else ROOT
        target = Target(endpoints=(sandbox.url,), **who, **trust, **more)
        opened.append(open_api(target, secret, read_only=read_only))
        return opened[-1]

    yield to
    for api in opened:
        api.close()


def test_a_token_reads_writes_and_is_refused_with_pves_words(connect):
    api = connect()
    api.send(request("POST", "access", "users", userid="50%=;#?&@pve", comment="a=b; c"))
    api.send(request("PUT", "access", "users", "50%=;#?&@pve", firstname="Jürgen"))
    [user] = api.get([request("GET", "access", "users", "50%=;#?&@pve")])
    assert (user["comment"], user["firstname"]) == ("a=b; c", "Jürgen")
    with pytest.raises(RequestRefused) as refused:
        api.send(request("POST", "access", "roles", roleid="x", privs="VM.Monitor"))
    assert refused.value.reason == "Parameter verification failed."
    assert "VM.Monitor" in refused.value.errors["privs"]
    with pytest.raises(RequestRefused, match="does not exist"):
        api.send(request("DELETE", "access", "groups", "nobody"))
    api.send(request("DELETE", "access", "users", "50%=;#?&@pve"))
    assert [one["userid"] for one in api.get([USERS])[0]] == ["root@pam"]


def test_a_user_logs_in_with_a_password_and_writes(connect):
    new = request(
        "POST", "access", "users", userid="ops@pve", password=SecretRef(env="NOT_READ_HERE")
    )
    root = connect()
    root.send(new, {"password": "correct horse;="})
    root.send(request("PUT", "access", "acl", path="/", users="ops@pve", roles="Administrator"))
    api = connect(username="ops@pve", secret="correct horse;=")
    api.send(request("POST", "access", "groups", groupid="made-by-ticket"))
    assert api.get([request("GET", "access", "groups")])[0][0]["groupid"] == "made-by-ticket"
    with pytest.raises(AuthenticationFailed):
        connect(username="ops@pve", secret="wrong password").get([USERS])


def test_wrong_unknown_and_expired_tokens_are_refused_alike(connect):
    connect().send(request("POST", "access", "users", "root@pam", "token", "old", expire=1))
    for bad in (
        {"secret": SECRET.replace("1", "2")},
        {"token_id": "root@pam!nosuch"},
        {"token_id": "root@pam!old"},
    ):
        with pytest.raises(AuthenticationFailed, match="401"):
            connect(**bad).get([USERS])


def test_the_sandboxs_ca_is_trusted_and_no_other_pin(connect, sandbox):
    assert connect(ca_file=str(sandbox.ca_file), read_only=True).get([USERS])
    with pytest.raises(CertificateNotTrusted):
        connect(fingerprint="00" * 32).get([USERS])


def test_a_read_only_connection_changes_nothing(connect, sandbox, tmp_path):
    before = (tmp_path / "user.cfg").read_bytes()
    with pytest.raises(WriteForbidden):
        connect(read_only=True).send(request("POST", "access", "groups", groupid="x"))
    assert (tmp_path / "user.cfg").read_bytes() == before
