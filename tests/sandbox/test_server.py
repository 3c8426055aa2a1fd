"""The embedded Proxmox VE over HTTPS: what a client sees on the wire."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.http.server import Sandbox, running
from tests.support.replay import DATA

_TOKEN = "PVEAPIToken=root@pam!bootstrap=11111111-2222-4333-8444-555555555555"
_FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("sandbox") / "pve"
    shutil.copytree(DATA / "fixtures" / "fresh", folder)
    with running(folder) as server:
        yield server


@pytest.fixture
def connection(sandbox: Sandbox) -> Iterator[http.client.HTTPSConnection]:
    """Trusts the sandbox's own CA and nothing else."""
    context = ssl.create_default_context(cafile=str(sandbox.ca_file))
    opened = http.client.HTTPSConnection("127.0.0.1", sandbox.port, context=context, timeout=10)
    yield opened
    opened.close()


def _ask(
    connection: http.client.HTTPSConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    **headers: str,
) -> tuple[int, str, http.client.HTTPMessage, bytes]:
    given = {"Authorization": _TOKEN} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    connection.request(method, path, body, given)
    answer = connection.getresponse()
    return answer.status, answer.reason, answer.headers, answer.read()


def test_the_certificate_has_the_printed_fingerprint(
    sandbox: Sandbox, connection: http.client.HTTPSConnection
) -> None:
    connection.connect()
    assert isinstance(connection.sock, ssl.SSLSocket)
    der = connection.sock.getpeercert(binary_form=True)
    assert der is not None
    assert sandbox.fingerprint.replace(":", "").lower() == hashlib.sha256(der).hexdigest()


def test_private_keys_are_for_the_owner_only(sandbox: Sandbox) -> None:
    keys = sorted(sandbox.store.folder.rglob("*.key"))
    assert [key.name for key in keys] == ["pve-ssl.key", "pve-root-ca.key"]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_a_good_answer_keeps_the_connection(connection: http.client.HTTPSConnection) -> None:
    status, reason, headers, body = _ask(connection, "GET", "/api2/json/version")
    assert (status, reason) == (200, "OK")
    assert headers["Connection"] == "Keep-Alive"
    assert body.startswith(b'{"data":{"version":"9.2')
    first = connection.sock
    assert _ask(connection, "GET", "/api2/json/access/roles")[0] == 200
    assert connection.sock is first


def test_an_error_closes_the_connection_and_its_reason_is_the_first_line(
    connection: http.client.HTTPSConnection,
) -> None:
    status, reason, headers, body = _ask(connection, "GET", "/api2/json/access/groups/none")
    assert (status, reason) == (500, "group 'none' does not exist")
    assert headers["Connection"] == "close"
    assert body == b'{"data":null,"message":"group \'none\' does not exist\\n"}'


def test_without_credentials_there_is_no_body_and_no_length(
    connection: http.client.HTTPSConnection,
) -> None:
    status, reason, headers, body = _ask(connection, "GET", "/api2/json/version", Authorization="")
    assert (status, reason, body) == (401, "No ticket", b"")
    assert headers["Content-Length"] is None
    assert headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "reason"),
    [
        ("PATCH", "/api2/json/version", None, "", 501, "method 'PATCH' not available"),
        ("GET", "/api2/", None, "", 501, "no such uri"),
        ("GET", "/api2/json/version", b"a=b", _FORM, 501, "Unexpected content for method 'GET'"),
        (
            "POST",
            "/api2/json/access/groups",
            b"abc",
            "text/plain",
            506,
            "upload 'Content-Type 'text/plain' not implemented",
        ),
        ("POST", "/api2/json/access/groups", b"a" * 524289, _FORM, 501, "for data too large"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
)
def test_requests_that_are_refused_before_they_are_read(
    connection: http.client.HTTPSConnection,
    method: str,
    path: str,
    body: bytes | None,
    kind: str,
    status: int,
    reason: str,
) -> None:
    headers = {"Content_Type": kind} if kind else {}
    answer = _ask(connection, method, path, body, **headers)
    assert (answer[0], answer[1]) == (status, reason)


def test_chunked_requests_are_refused(connection: http.client.HTTPSConnection) -> None:
    headers = {"Authorization": _TOKEN, "Transfer-Encoding": "chunked"}
    connection.request(
        "POST", "/api2/json/access/groups", iter([b"groupid=x"]), headers, encode_chunked=True
    )
    answer = connection.getresponse()
    assert (answer.status, answer.reason) == (501, "chunked transfer encoding not supported")


def test_a_client_without_tls_disturbs_nobody(
    sandbox: Sandbox,
    connection: http.client.HTTPSConnection,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.port)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert _ask(connection, "GET", "/api2/json/version")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_a_second_start_keeps_the_certificate(tmp_path: Path) -> None:
    shutil.copytree(DATA / "fixtures" / "fresh", tmp_path / "pve")
    fingerprints = []
    for _ in range(2):
        with running(tmp_path / "pve") as server:
            fingerprints.append(server.fingerprint)
    assert fingerprints[0] == fingerprints[1]
