"""What a caller of the live API gets for every way in which a server may answer, or not."""

import logging
import resource
import threading
import time
import zlib
from io import DEFAULT_BUFFER_SIZE
from typing import Any

import pytest

from reconciler.errors import (
    AuthenticationFailed,
    Refused,
    RequestRefused,
    UnknownOutcome,
    Unreachable,
    UsageError,
    WriteForbidden,
)
from reconciler.live.http import client as live_api
from reconciler.live.http.client import open_api
from reconciler.model.request import Request, request
from reconciler.model.secret import SecretRef
from reconciler.model.target import Target
from tests.support.network import (
    Hang,
    Node,
    Reset,
    Trickle,
    answer,
    make_certificate,
    raw_answer,
    unused_port,
)

SECRET = "5e3f8a52-9c1d-4b7e-8a6f-0d2c4e6a8b10"
VERSION = request("GET", "version")
WRITE = request("PUT", "access", "acl", path="/vms/9001", roles="PVEVMUser", users="a@pve")
HTML = raw_answer(200, "OK", "text/html", b"<!DOCTYPE html><title>Please log in</title>")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"), "127.0.0.1")


@pytest.fixture
def start(certificate):
    nodes = []

    def one(behave=lambda _: answer("hello")):
        nodes.append(Node(certificate.pem, behave))
        return nodes[-1]

    yield one
    for node in nodes:
        node.stop()


@pytest.fixture
def connect(certificate):
    opened = []

    def to(*endpoints, read_only=False, secret=SECRET, parallel=6, clock=None, **more):
        named = more.keys() & {"username", "token_id"}
        who: dict[str, Any] = {} if named else {"token_id": "admin@pve!ci"}
        target = Target(
            endpoints=tuple(getattr(one, "endpoint", one) for one in endpoints),
            fingerprint=certificate.fingerprint,
            **who,
            **more,
        )
        extra = {} if clock is None else {"clock": clock}
        api = open_api(target, secret, read_only=read_only, parallel=parallel, **extra)
        opened.append(api)
        return api

    yield to
    for api in opened:
        api.close()


def paths(node):
    return [one.target.removeprefix("/api2/json") for one in node.requests]


# answers that can be relied on


def test_data_is_returned_in_the_order_asked_for(start, connect):
    turns = threading.Barrier(3)

    def behave(received):
        turns.wait(5)
        return answer(received.target[-1])

    api = connect(start(behave))
    asked = [request("GET", "pools", poolid=name) for name in "abcdef"]
    assert api.get(asked) == list("abcdef")


def test_a_refusal_carries_reason_and_fields(start, connect):
    refused = answer(
        None,
        400,
        "Parameter verification failed.",
        errors={"privs": "invalid format - no such privilege 'X'\n"},
        message="Parameter verification failed.\n",
    )
    for call in (lambda api: api.get([VERSION]), lambda api: api.send(WRITE)):
        with pytest.raises(RequestRefused) as caught:
            call(connect(start(lambda _: refused)))
        assert (caught.value.status, caught.value.reason) == (400, "Parameter verification failed.")
        assert caught.value.errors == {"privs": "invalid format - no such privilege 'X'\n"}


def test_fields_are_found_where_a_lock_turned_the_400_into_text(start, connect):
    reason = "updating token info failed: 400 Parameter verification failed."
    message = f"{reason}\ndelete: unknown option 'expire'\n"
    api = connect(start(lambda _: answer(None, 500, reason, message=message)))
    with pytest.raises(RequestRefused) as caught:
        api.send(WRITE)
    assert caught.value.reason == reason
    assert caught.value.errors == {"delete": "unknown option 'expire'"}


def test_a_reason_in_utf_8_is_read_as_such(start, connect):
    api = connect(start(lambda _: answer(None, 500, "no such user ('jürgen@pve')")))
    with pytest.raises(RequestRefused) as caught:
        api.get([VERSION])
    assert caught.value.reason == "no such user ('jürgen@pve')"


def test_a_wrapped_403_counts_as_forbidden(start, connect):
    reason = "update pool failed: 403 Permission check failed (/vms/100, VM.Allocate)"
    with pytest.raises(RequestRefused) as caught:
        connect(start(lambda _: answer(None, 500, reason))).send(WRITE)
    assert caught.value.forbidden


def test_of_several_refusals_the_first_in_order_is_raised(start, connect):
    late = threading.Event()

    def behave(received):
        if received.target.endswith("=1"):
            late.wait(5)
            return answer(None, 403, "one")
        if received.target.endswith("=4"):
            late.set()
            return answer(None, 403, "four")
        return answer([])

    api = connect(start(behave))
    with pytest.raises(RequestRefused, match="one"):
        api.get([request("GET", "pools", poolid=str(number)) for number in range(12)])


@pytest.mark.parametrize(
    ("secret", "told"),
    [(SECRET, "expired"), ("not-a-uuid", "not a UUID")],
)
def test_a_refused_token_says_what_to_look_at(start, connect, secret, told):
    refused = b"HTTP/1.1 401 Authentication failed!\r\nConnection: close\r\n\r\n"
    for call in (lambda api: api.get([VERSION]), lambda api: api.send(WRITE)):
        with pytest.raises(AuthenticationFailed) as caught:
            call(connect(start(lambda _: refused), secret=secret))
        assert "401 Authentication failed!" in caught.value.summary
        assert told in caught.value.hint
        assert "pveum user token list admin@pve" in caught.value.hint
        assert secret not in caught.value.hint + caught.value.summary


@pytest.mark.parametrize("secret", ["", "\n", "two words", "a\nb", "käse"])
def test_what_cannot_be_a_token_secret_is_refused_before_it_is_sent(start, connect, secret):
    node = start()
    with pytest.raises(AuthenticationFailed) as caught:
        connect(node, secret=secret)
    assert not secret.strip() or secret not in str(caught.value) + caught.value.hint


# answers that cannot


DOUBTFUL = {
    "HTML": HTML,
    "HTML with 502": raw_answer(502, "Bad Gateway", "text/html", b"<html>nginx</html>"),
    "HTML with 403": raw_answer(403, "Forbidden", "text/html", b"<html>firewall</html>"),
    "HTML with 401": raw_answer(401, "Unauthorized", "text/html", b"<html>log in</html>"),
    "empty 504": raw_answer(504, "Gateway Time-out", "text/plain", b""),
    "redirect": raw_answer(302, "Found", "text/html", b"", "Location: https://login.example/"),
    "596": answer(None, 596, "Connection timed out"),
    "595 without body": raw_answer(595, "Connection refused", "text/plain", b""),
    "JSON that is none of PVE's": raw_answer(200, "OK", "application/json", b"[1]"),
    "broken JSON": raw_answer(200, "OK", "application/json", b'{"data":'),
    "no HTTP": b"220 mail.example.com ESMTP\r\n",
    "half an answer": b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{"da',
    "closed": None,
    "reset": Reset(),
    "silence": Hang(),
}


@pytest.mark.parametrize("reply", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_read_without_a_reliable_answer_is_unreachable(start, connect, reply):
    node = start(lambda _: reply)
    with pytest.raises(Unreachable) as caught:
        connect(node, read_timeout=0.3 if reply == Hang() else 30).get([VERSION])
    assert node.endpoint in caught.value.summary
    assert caught.value.hint
    assert not isinstance(caught.value, AuthenticationFailed)


@pytest.mark.parametrize("reply", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_write_without_a_reliable_answer_is_unknown_and_never_sent_again(start, connect, reply):
    node = start(lambda _: reply)
    with pytest.raises(UnknownOutcome) as caught:
        connect(node, write_timeout=0.5 if reply == Hang() else 30).send(WRITE)
    assert "PUT /access/acl" in caught.value.summary
    assert "read" in caught.value.hint
    assert len(node.requests) == 1


def test_json_nested_without_end_is_not_an_answer(start, connect):
    deep = b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    node = start(lambda _: raw_answer(200, "OK", "application/json", deep))
    with pytest.raises(Unreachable, match="without the JSON"):
        connect(node).get([VERSION])
    with pytest.raises(UnknownOutcome):
        connect(node).send(WRITE)


def test_an_answer_that_unpacks_to_more_than_any_is_given_up(start, connect):
    """A quarter of a MB that becomes 256 MB: the memory must not fill."""
    packing, blank = zlib.compressobj(wbits=31), b" " * (1 << 20)
    pressed = b"".join(packing.compress(blank) for _ in range(256)) + packing.flush()
    bomb = raw_answer(200, "OK", "application/json", pressed, "Content-Encoding: gzip")
    node = start(lambda _: bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Unreachable, match="larger than any"):
        connect(node).get([VERSION])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_an_answer_cut_short_is_told_apart_from_what_is_no_http(start, connect):
    api = connect(start(lambda _: Trickle(answer("hello")[:-3], 0)))
    with pytest.raises(UnknownOutcome) as doubtful:
        api.send(WRITE)
    assert "the answer ended before all of it was there" in doubtful.value.summary


def test_what_follows_an_answer_is_not_the_next_answer(start, connect):
    def behave(received):
        if len(node.requests) > 1:
            return answer("real")
        first = answer("first")
        return first + b" " * (DEFAULT_BUFFER_SIZE - len(first)) + answer("forged")

    node = start(behave)
    api = connect(node)
    assert [api.get([VERSION]), api.get([VERSION])] == [["first"], ["real"]]


@pytest.mark.parametrize("where", ["head", "body"])
def test_an_answer_that_trickles_is_given_up_in_time(start, connect, monkeypatch, where):
    """Each byte comes in time, and the answer never ends."""
    monkeypatch.setattr(live_api, "LONGEST_READ", 0.5)
    monkeypatch.setattr(live_api, "LONGEST_END", 0.0)
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n" + b"\r\n" * (where == "body")
    node = start(lambda _: Trickle(body + b"x: " * 1000, 0.05))
    timeouts = {"connect_timeout": 0.2, "read_timeout": 0.3, "write_timeout": 0.3}
    began = time.monotonic()
    with pytest.raises(Unreachable, match="in time"):
        connect(node, **timeouts).get([VERSION])
    with pytest.raises(UnknownOutcome):
        connect(node, **timeouts).send(WRITE)
    assert time.monotonic() - began < 5


def test_reads_that_wait_for_one_that_has_no_answer_are_not_sent(start, connect):
    """What is read ahead costs a silent server's time-out once."""
    node = start(lambda _: Hang())
    api = connect(node, read_timeout=0.3, parallel=1)
    failures = []
    together = threading.Barrier(4)

    def read():
        together.wait(10)
        with pytest.raises(Unreachable, match="no answer in time") as failed:
            api.get([VERSION])
        failures.append(failed)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(failures), len(node.requests)) == (4, 1)
    with pytest.raises(Unreachable):
        api.get([VERSION])
    assert len(node.requests) == 2


def test_html_is_called_what_it_is(start, connect):
    with pytest.raises(Unreachable, match="HTML page instead of JSON"):
        connect(start(lambda _: HTML)).get([VERSION])


def test_redirects_are_not_followed(start, connect):
    other = start()
    node = start(
        lambda _: raw_answer(307, "Moved", "text/html", b"", f"Location: {other.endpoint}/")
    )
    api = connect(node)
    with pytest.raises(Unreachable, match="redirect"):
        api.get([VERSION])
    with pytest.raises(UnknownOutcome, match="redirect"):
        api.send(WRITE)
    assert other.connections == 0


def test_an_unreachable_port_refuses_reads_and_writes_alike(connect):
    api = connect(f"https://127.0.0.1:{unused_port()}")
    with pytest.raises(Unreachable, match="connection refused"):
        api.get([VERSION])
    with pytest.raises(Unreachable, match="connection refused; nothing was sent"):
        api.send(WRITE)
    assert api.counts.writes == 0


def test_an_unknown_host_name_is_called_so(connect, monkeypatch):
    import socket

    def unknown(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match="host name cannot be resolved"):
        connect("https://nosuch.invalid").get([VERSION])


def test_a_handshake_that_hangs_sends_nothing(certificate, connect):
    class Deaf(Node):
        def _serve(self, plain):
            with plain:
                self._stopped.wait(30)

    node = Deaf(certificate.pem)
    api = connect(node, connect_timeout=0.2)
    with pytest.raises(Unreachable, match="no answer in time; nothing was sent"):
        api.send(WRITE)
    node.stop()


# connections


def test_reads_share_few_connections_and_are_counted(start, connect):
    node = start()
    api = connect(node)
    api.get([VERSION] * 30)
    api.get([VERSION] * 30)
    assert node.connections <= 6
    assert api.counts == (60, 0)
    one = start()
    api = connect(one, parallel=1)
    api.get([VERSION] * 5)
    api.send(WRITE)
    assert (one.connections, api.counts) == (2, (5, 1))


def test_a_read_on_a_connection_that_the_server_just_closed_is_sent_again(start, connect):
    node = start()
    node.behave = lambda _: (
        answer("hello") if node.connections == 2 or len(node.requests) == 1 else None
    )
    api = connect(node)
    assert api.get([VERSION]) == ["hello"]
    assert api.get([VERSION]) == ["hello"]
    assert len(node.requests) == 3


def test_writes_share_a_connection_of_their_own(start, connect):
    node = start()
    api = connect(node)
    api.get([VERSION])
    for _ in range(3):
        api.send(WRITE)
    assert node.connections == 2


def test_a_write_never_uses_a_connection_that_may_be_stale(start, connect, monkeypatch):
    monkeypatch.setattr(live_api, "REUSED_WITHIN", 0.0)
    node = start()
    api = connect(node)
    api.get([VERSION])
    api.send(WRITE)
    api.send(WRITE)
    assert node.connections == 3


def test_a_write_on_a_kept_connection_that_broke_may_have_arrived(start, connect):
    node = start()
    node.behave = lambda _: answer(None) if len(node.requests) == 1 else None
    api = connect(node)
    api.send(WRITE)
    with pytest.raises(UnknownOutcome):
        api.send(WRITE)
    assert len(node.requests) == 2


# several endpoints


def test_reads_fail_over_and_stay_there(start, connect):
    good = start(lambda _: answer("good"))
    dead = f"https://127.0.0.1:{unused_port()}"
    api = connect(dead, good)
    assert api.get([VERSION] * 3) == ["good"] * 3
    assert api.endpoint == good.endpoint
    api.send(WRITE)
    assert good.requests[-1].method == "PUT"


def test_a_set_of_reads_comes_from_one_endpoint(start, connect):
    def behave(received):
        return HTML if received.target.endswith("=3") else answer("bad")

    bad, good = start(behave), start(lambda _: answer("good"))
    asked = [request("GET", "pools", poolid=str(number)) for number in range(6)]
    assert connect(bad, good).get(asked) == ["good"] * 6


def test_a_refusal_is_an_answer_and_does_not_fail_over(start, connect):
    first, second = start(lambda _: answer(None, 403, "no")), start()
    with pytest.raises(RequestRefused):
        connect(first, second).get([VERSION])
    assert second.requests == []


def test_a_write_and_the_reads_after_it_stay_on_one_endpoint(start, connect):
    first, second = start(), start()
    api = connect(first, second)
    api.send(WRITE)
    first.behave = lambda _: None
    with pytest.raises(Unreachable):
        api.get([VERSION])
    with pytest.raises(UnknownOutcome):
        api.send(WRITE)
    assert second.requests == []


def test_a_write_does_not_fail_over_even_when_nothing_was_sent(start, connect):
    second = start()
    with pytest.raises(Unreachable, match="nothing was sent"):
        connect(f"https://127.0.0.1:{unused_port()}", second).send(WRITE)
    assert second.requests == []


def test_when_no_endpoint_answers_each_is_named(connect):
    endpoints = [f"https://127.0.0.1:{unused_port()}", "https://127.0.0.1:1"]
    with pytest.raises(Unreachable) as caught:
        connect(*endpoints).get([VERSION])
    assert all(endpoint in caught.value.summary for endpoint in endpoints)


# what is sent


def test_ids_are_quoted_in_paths(start, connect):
    node = start()
    api = connect(node)
    api.get([request("GET", "access", "users", "a#?%/ü&@pve".replace("/", ""), "token", "x!y")])
    api.send(request("DELETE", "access", "users", "50%41@pve"))
    assert paths(node) == [
        "/access/users/a%23%3F%25%C3%BC%26@pve/token/x!y",
        "/access/users/50%2541@pve",
    ]


@pytest.mark.parametrize("segment", ["", ".", "..", "a/b"])
def test_ids_without_an_address_are_refused(start, connect, segment):
    node = start()
    with pytest.raises(UsageError):
        connect(node).send(request("DELETE", "access", "groups", segment))
    assert node.raw == b""


def test_form_values_are_encoded_and_keep_their_order(start, connect):
    node = start()
    connect(node).send(
        Request(
            "POST",
            ("cluster", "backup"),
            (
                ("schedule", "03:00"),
                ("prune-backups", "keep-daily=7;x"),
                ("exclude-path", ("/a b", "/c&d")),
                ("comment", ""),
                ("notes", "50 % für\nalle"),
            ),
        )
    )
    assert node.requests[0].body == (
        "schedule=03%3A00&prune-backups=keep-daily%3D7%3Bx&exclude-path=%2Fa+b"
        "&exclude-path=%2Fc%26d&comment=&notes=50+%25+f%C3%BCr%0Aalle"
    )
    assert node.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"


def test_parameters_of_reads_and_deletions_go_into_the_query(start, connect):
    node = start()
    api = connect(node)
    api.get([request("GET", "access", "users", full=1)])
    api.send(request("DELETE", "pools", poolid="a/b"))
    assert paths(node) == ["/access/users?full=1", "/pools?poolid=a%2Fb"]
    assert [one.body for one in node.requests] == ["", ""]


def test_secrets_by_reference_are_filled_in(start, connect):
    node = start()
    wanted = request("POST", "access", "users", userid="a@pve", password=SecretRef(env="PW"))
    connect(node).send(wanted, {"password": "correct horse;="})
    assert node.requests[0].body == "userid=a%40pve&password=correct+horse%3B%3D"


def test_nothing_but_get_leaves_a_read_only_connection(start, connect):
    node = start()
    api = connect(node, read_only=True)
    for method in ("POST", "PUT", "DELETE"):
        with pytest.raises(WriteForbidden):
            api.send(request(method, "access", "groups"))
        with pytest.raises(WriteForbidden):
            api.get([request(method, "access", "groups")])
    assert node.raw == b""
    assert node.connections == 0


HARMFUL = {
    "realm": Request("PUT", ("access", "domains", "corp"), (("base_dn", ""),)),
    "storage": request("PUT", "storage", "es", username=""),
    "backup job": request("PUT", "cluster", "backup", "nightly", exclude=""),
}


@pytest.mark.parametrize("trap", HARMFUL.values(), ids=HARMFUL)
def test_requests_that_proxmox_accepts_to_its_own_harm_are_not_sent(start, connect, trap):
    node = start()
    with pytest.raises(Refused, match="not sent"):
        connect(node).send(trap)
    assert node.raw == b""


def test_clearing_what_may_be_cleared_is_sent(start, connect):
    api = connect(start())
    api.send(request("PUT", "access", "domains", "corp", comment=""))
    api.send(request("PUT", "storage", "local", nodes=""))
    api.send(request("PUT", "cluster", "backup", "nightly", all=1, exclude=""))


# tickets


FORMS: list[str] = []
"""What was sent to log in, since the test began."""


def login(received):
    number = received.body.count("password") and len(FORMS) + 1
    FORMS.append(received.body)
    return answer({"ticket": f"PVE:root@pam:6B0507D8::{number}+/=", "CSRFPreventionToken": "6B:x"})


@pytest.fixture
def with_login(start):
    FORMS.clear()
    return start(
        lambda received: login(received) if "ticket" in received.target else answer("hello")
    )


def test_a_password_becomes_a_ticket_that_is_renewed_in_time(with_login, connect):
    now = [1000.0]
    api = connect(with_login, username="root@pam", secret="pa ss;=", clock=lambda: now[0])
    api.get([VERSION] * 6)
    api.send(WRITE)
    assert FORMS == ["username=root%40pam&password=pa+ss%3B%3D"]
    sent = {one.method: one.headers for one in with_login.requests if "ticket" not in one.target}
    assert sent["GET"]["cookie"] == "PVEAuthCookie=PVE%3Aroot%40pam%3A6B0507D8%3A%3A1%2B%2F%3D"
    assert sent["PUT"]["cookie"] == sent["GET"]["cookie"]
    assert sent["PUT"]["csrfpreventiontoken"] == "6B:x"
    assert "csrfpreventiontoken" not in sent["GET"]
    now[0] += 3599
    api.get([VERSION])
    assert len(FORMS) == 1
    now[0] += 1
    api.get([VERSION])
    assert len(FORMS) == 2


def test_a_read_only_connection_may_log_in(with_login, connect):
    assert connect(with_login, username="root@pam", read_only=True).get([VERSION]) == ["hello"]


def test_a_second_factor_is_asked_for_clearly(start, connect):
    node = start(lambda _: answer({"ticket": "PVE:!tfa!x", "NeedTFA": 1}))
    with pytest.raises(AuthenticationFailed, match="second factor") as caught:
        connect(node, username="root@pam").get([VERSION])
    assert "token_id" in caught.value.hint


@pytest.mark.parametrize("token", ["6B:x\r\nCookie: a", "6B:ż"])
def test_a_csrf_token_that_is_no_header_is_not_sent(start, connect, token):
    node = start(lambda _: answer({"ticket": "PVE:root@pam:1", "CSRFPreventionToken": token}))
    with pytest.raises(AuthenticationFailed, match="impossible CSRFPreventionToken") as caught:
        connect(node, username="root@pam").send(WRITE)
    assert token not in str(caught.value)
    assert len(node.requests) == 1


def test_a_token_of_any_user_name_is_sent(start, connect):
    node = start(lambda _: answer("hello"))
    connect(node, token_id="żółw50%@pve!ci").get([VERSION])
    sent = node.requests[0].headers["authorization"]
    assert sent.startswith("PVEAPIToken=%C5%BC%C3%B3%C5%82w50%25@pve!ci=")


def test_a_wrong_password_is_called_so(start, connect):
    node = start(lambda _: answer(None, 401, "authentication failure"))
    with pytest.raises(AuthenticationFailed, match="the login of root@pam") as caught:
        connect(node, username="root@pam", secret="wrong").send(WRITE)
    assert "password is wrong" in caught.value.hint
    assert len(node.requests) == 1


# secrets


def test_secrets_are_in_no_log_and_no_error(start, connect, caplog):
    made = "11112222-3333-4444-5555-666677778888"
    node = start(lambda _: answer({"value": made, "full-tokenid": "a@pve!x"}))
    api = connect(node)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="proxmoxer.core")
    wanted = request("POST", "access", "users", userid="a@pve", password=SecretRef(env="PW"))
    assert api.send(wanted, {"password": "correct horse"})["value"] == made
    echo = "got 'correct horse'"
    node.behave = lambda _: answer(None, 400, echo, errors={"password": echo}, message=echo)
    with pytest.raises(RequestRefused) as caught:
        api.send(wanted, {"password": "correct horse"})
    assert caught.value.errors == {"password": "got 'REDACTED'"}
    seen = caplog.text + repr(api) + repr(caught.value) + caught.value.hint
    assert "POST" in caplog.text
    assert "a@pve" in caplog.text
    for secret in (SECRET, made, "correct horse"):
        assert secret not in seen


def test_actor_and_endpoint_are_reported(connect):
    api = connect("https://PVE01.example.com", "https://[::1]")
    assert (api.actor, api.endpoint) == ("admin@pve!ci", "https://pve01.example.com:8006")
