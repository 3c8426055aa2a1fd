"""Which server is trusted; nothing of a request is sent to any other."""

import base64
import os
import socket
from typing import Any
from urllib.parse import unquote

import pytest

from reconciler.errors import CertificateNotTrusted, FilesInvalid, Unreachable
from reconciler.live.http.client import open_api
from reconciler.model.request import request
from reconciler.model.target import Target
from tests.support.network import Node, Proxy, answer, make_certificate

SECRET = "5e3f8a52-9c1d-4b7e-8a6f-0d2c4e6a8b10"
TOKEN: dict[str, Any] = {"token_id": "admin@pve!ci"}
PASSWORD = {"username": "root@pam"}
VERSION = request("GET", "version")
WRITE = request("POST", "access", "groups", groupid="ops")
OTHER_PIN = "00" * 32


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("address"), "127.0.0.1")


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("name"), "pve01.example.com")


@pytest.fixture
def node(certificate):
    node = Node(certificate.pem)
    yield node
    node.stop()


@pytest.fixture
def named_node(named):
    node = Node(named.pem)
    yield node
    node.stop()


@pytest.fixture
def connect():
    opened = []

    def to(node, *, read_only=True, **target):
        who = {} if "username" in target else TOKEN
        where = Target(endpoints=(node.endpoint,), **{**who, **target})
        opened.append(open_api(where, SECRET, read_only=read_only))
        return opened[-1]

    yield to
    for api in opened:
        api.close()


@pytest.mark.parametrize("who", [TOKEN, PASSWORD], ids=["token", "password"])
def test_wrong_fingerprint_sends_nothing_not_even_the_login(node, certificate, who, connect):
    api = connect(node, fingerprint=OTHER_PIN, **who, read_only=False)
    for call in (lambda: api.get([VERSION, VERSION]), lambda: api.send(WRITE)):
        with pytest.raises(CertificateNotTrusted) as refused:
            call()
        assert certificate.fingerprint in refused.value.summary
        assert ":".join(["00"] * 32) in refused.value.summary
        assert "openssl x509" in refused.value.hint
    assert node.connections > 0
    assert node.raw == b""


def test_the_fingerprint_alone_decides_whatever_the_name(named_node, named, connect):
    assert connect(named_node, fingerprint=named.fingerprint.lower()).get([VERSION]) == ["hello"]


def test_one_of_several_fingerprints_is_enough(node, certificate, connect):
    assert connect(node, fingerprint=(OTHER_PIN, certificate.fingerprint)).get([VERSION])


def test_the_clusters_own_ca_is_trusted(node, certificate, connect):
    assert connect(node, ca_file=str(certificate.ca)).get([VERSION]) == ["hello"]


def test_another_ca_is_refused_and_the_fingerprint_shown(node, certificate, named, connect):
    with pytest.raises(CertificateNotTrusted) as refused:
        connect(node, ca_file=str(named.ca)).get([VERSION])
    assert certificate.fingerprint in refused.value.summary
    assert "pve-root-ca.pem" in refused.value.hint
    assert node.raw == b""


def test_a_name_that_is_not_in_the_certificate_is_refused(named_node, named, connect):
    with pytest.raises(CertificateNotTrusted, match=r"127\.0\.0\.1") as refused:
        connect(named_node, ca_file=str(named.ca)).get([VERSION])
    assert "name" in refused.value.hint
    assert named_node.raw == b""


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_no_trust_comes_from_the_environment(node, certificate, monkeypatch, variable, connect):
    monkeypatch.setenv(variable, str(certificate.ca))
    with pytest.raises(CertificateNotTrusted):
        connect(node).get([VERSION])
    assert node.raw == b""


def test_a_bundle_in_the_environment_does_not_replace_the_pin(
    node, certificate, monkeypatch, connect
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.ca))
    with pytest.raises(CertificateNotTrusted):
        connect(node, fingerprint=OTHER_PIN).get([VERSION])
    assert node.raw == b""


def test_no_proxy_and_no_login_come_from_the_environment(
    node, certificate, monkeypatch, tmp_path, connect
):
    proxy = Proxy(refuses=True)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NETRC", os.fspath(netrc))
    api = connect(node, fingerprint=certificate.fingerprint, read_only=False)
    api.get([VERSION])
    api.send(WRITE)
    proxy.stop()
    assert proxy.asked == []
    assert {one.headers["authorization"] for one in node.requests} == {
        f"PVEAPIToken=admin@pve!ci={SECRET}"
    }


def test_a_proxy_that_is_asked_for_is_used_and_the_pin_still_holds(node, certificate, connect):
    proxy = Proxy()
    through = {"proxy": f"http://127.0.0.1:{proxy.port}"}
    api = connect(node, fingerprint=certificate.fingerprint, read_only=False, **through)
    assert api.get([VERSION]) == ["hello"]
    assert api.send(WRITE) == "hello"
    with pytest.raises(CertificateNotTrusted):
        connect(node, fingerprint=OTHER_PIN, **through).get([VERSION])
    proxy.stop()
    assert set(proxy.asked) == {f"CONNECT 127.0.0.1:{node.port} HTTP/1.0"}
    assert len(node.requests) == 2


def test_an_ipv6_address_is_told_to_a_proxy_in_brackets(certificate):
    proxy = Proxy(refuses=True)
    where = Target(
        endpoints=("https://[::1]:8006",),
        fingerprint=certificate.fingerprint,
        proxy=f"http://127.0.0.1:{proxy.port}",
        **TOKEN,
    )
    with pytest.raises(Unreachable, match="proxy refused"):
        open_api(where, SECRET, read_only=True).get([VERSION])
    proxy.stop()
    assert proxy.asked == ["CONNECT [::1]:8006 HTTP/1.0"]


def test_a_proxy_that_refuses_is_named_and_a_write_was_not_sent(node, certificate, connect):
    proxy = Proxy(refuses=True)
    target = {"fingerprint": certificate.fingerprint, "proxy": f"http://127.0.0.1:{proxy.port}"}
    api = connect(node, read_only=False, **target)
    with pytest.raises(Unreachable, match=r"proxy refused.*403"):
        api.get([VERSION])
    with pytest.raises(Unreachable, match="nothing was sent"):
        api.send(WRITE)
    proxy.stop()


def test_a_proxy_that_is_down_is_not_taken_for_the_node(node, certificate, connect):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    api = connect(node, fingerprint=certificate.fingerprint, proxy=f"http://127.0.0.1:{port}")
    with pytest.raises(Unreachable, match="the proxy cannot be reached: connection refused") as e:
        api.get([request("GET", "version")])
    assert e.value.hint == "check `proxy` in [target]"
    api = connect(node, fingerprint=certificate.fingerprint, proxy="http://proxy.invalid:3128")
    with pytest.raises(Unreachable, match="the proxy cannot be reached: the host name cannot"):
        api.get([request("GET", "version")])


@pytest.mark.parametrize("password", ["hunter22", "xyz", "p%40ss-wört"])
def test_a_proxy_that_echoes_its_password_does_not_make_it_seen(
    password, node, certificate, connect
):
    proxy = Proxy(echoes=True)
    through = f"http://me:{password}@127.0.0.1:{proxy.port}"
    api = connect(node, fingerprint=certificate.fingerprint, proxy=through)
    with pytest.raises(Unreachable, match="the proxy refused") as caught:
        api.get([VERSION])
    proxy.stop()
    plain = unquote(password)
    encoded = base64.b64encode(f"me:{plain}".encode()).decode()
    for text in (caught.value.summary, caught.value.hint):
        assert not [form for form in (plain, password, encoded) if form in text]


@pytest.mark.parametrize("content", [None, "no certificate\n"], ids=["missing", "not PEM"])
def test_an_unusable_ca_file_is_named(node, tmp_path, content, connect):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(FilesInvalid, match=r"ca\.pem"):
        connect(node, ca_file=str(file))


@pytest.mark.parametrize("pinned", [True, False], ids=["fingerprint", "CA"])
def test_a_certificate_that_changes_on_the_way_gets_nothing_more(
    node, certificate, named, pinned, connect
):
    trust = {"fingerprint": certificate.fingerprint} if pinned else {"ca_file": str(certificate.ca)}
    api = connect(node, read_only=False, **trust)
    node.behave = lambda _: answer("hello").replace(b"Keep-Alive", b"close")
    assert api.get([VERSION]) == ["hello"]
    seen = node.raw
    node.show(named.pem)
    for call in (lambda: api.get([VERSION]), lambda: api.send(WRITE)):
        with pytest.raises(CertificateNotTrusted):
            call()
    assert node.raw == seen


def test_a_server_without_tls_is_not_talked_to(certificate, connect):
    class Plain(Node):
        def _serve(self, plain):
            with plain:
                plain.sendall(answer("hello"))

    node = Plain(certificate.pem)
    with pytest.raises(Unreachable, match=r"TLS|closed"):
        connect(node, fingerprint=OTHER_PIN).get([VERSION])
    with pytest.raises(Unreachable, match="nothing was sent"):
        connect(node, fingerprint=OTHER_PIN, read_only=False).send(WRITE)
    node.stop()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("client"), "pvectl")


@pytest.mark.parametrize("separate", [False, True])
def test_a_server_that_asks_for_a_certificate_is_shown_it(
    certificate, client, connect, tmp_path, separate
):
    node = Node(certificate.pem, client_ca=client.ca)
    shown = {"client_cert": str(client.pem), "fingerprint": certificate.fingerprint}
    if separate:
        pem, key = client.pem.read_text(), tmp_path / "key.pem"
        key.write_text(pem[: pem.index("-----BEGIN CERTIFICATE")])
        shown["client_key"] = str(key)
    assert connect(node, **shown).get([VERSION]) == ["hello"]
    assert connect(node, read_only=False, **shown).send(WRITE) == "hello"
    node.stop()


def test_a_server_that_misses_the_certificate_or_its_ca_is_understood(certificate, client, connect):
    node = Node(certificate.pem, client_ca=client.ca)
    why = r"asks for a client certificate|connection was closed"  # the alert may be lost
    with pytest.raises(Unreachable, match=why) as caught:
        connect(node, fingerprint=certificate.fingerprint).get([VERSION])
    assert "client_cert" in caught.value.hint
    own = {"client_cert": str(certificate.pem), "fingerprint": certificate.fingerprint}
    with pytest.raises(Unreachable, match=r"refuses the client certificate|connection was closed"):
        connect(node, **own).get([VERSION])
    node.stop()


def test_an_unusable_certificate_is_named(node, client, certificate, connect, tmp_path):
    (tmp_path / "none.pem").write_text("nothing")
    for shown, why in (
        ({"client_cert": str(tmp_path / "none.pem")}, "not PEM, without a key, or encrypted"),
        ({"client_cert": str(tmp_path / "gone.pem")}, "No such file"),
        ({"client_cert": str(client.pem), "client_key": str(certificate.pem)}, "not of this"),
    ):
        with pytest.raises(FilesInvalid, match=why):
            connect(node, **shown).get([VERSION])
    assert not node.requests
