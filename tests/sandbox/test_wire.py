"""How the embedded Proxmox VE reads requests and writes answers, without sockets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.http.wire import Answer, Request, respond
from tests.support.pve import Pve
from tests.support.replay import DATA

_SECRET = "11111111-2222-4333-8444-555555555555"
_TOKEN = f"PVEAPIToken=root@pam!bootstrap={_SECRET}"
_NOT_IN_SCHEMA = (
    "property is not defined in schema and the schema does not allow additional properties"
)
_MISSING = "property is missing and it is not optional"

Ask = Callable[..., Answer]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """`ask("GET", "/json/version")`, with a body or with other headers."""
    shutil.copytree(DATA / "fixtures" / "fresh", tmp_path / "pve")
    store = Store(tmp_path / "pve")

    def send(method: str, target: str, body: str = "", **headers: str) -> Answer:
        raw = body.encode()
        head = {"authorization": _TOKEN} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        made = Request(method, f"/api2{target}", head, len(raw), lambda: raw)
        return respond(made, lambda actor: Context(store, actor))

    return send


@pytest.fixture
def pve(tmp_path: Path) -> Pve:
    return Pve(tmp_path)


def _send_json(ask: Ask, method: str, target: str, body: str) -> Answer:
    return ask(method, target, body, content_type="application/json")


def _body(answer: Answer) -> Any:
    return json.loads(answer.body)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1.0", "1"),
        ("1.50", "1.5"),
        ("1e3", "1000"),
        ("1E+20", "1e+20"),
        ("0.1", "0.1"),
        ("12345678901234567890", "12345678901234567890"),
    ],
)
def test_numbers_of_json_are_written_as_perl_does(ask: Ask, number: str, text: str) -> None:
    sent = f'{{"groupid":"g","comment":{number}}}'
    assert _send_json(ask, "POST", "/json/access/groups", sent).status == 200
    assert _body(ask("GET", "/json/access/groups/g"))["data"]["comment"] == text


@pytest.mark.parametrize("body", ["{", '{"comment":NaN}', '{"comment":-Infinity}', "[" * 200_000])
def test_what_is_not_json_is_refused(ask: Ask, body: str) -> None:
    answer = _send_json(ask, "POST", "/json/access/groups", body)
    assert (answer.status, answer.body) == (500, b"")
    assert answer.reason.startswith("malformed JSON string")


def test_null_is_absent_but_its_name_must_be_known(ask: Ask) -> None:
    ask("POST", "/json/access/groups", "groupid=g&comment=old")
    assert _send_json(ask, "PUT", "/json/access/groups/g", '{"comment":null}').status == 200
    answer = _send_json(ask, "PUT", "/json/access/groups/g", '{"foo":null}')
    assert answer.status == 400
    assert _body(answer)["errors"] == {"foo": _NOT_IN_SCHEMA}


@pytest.mark.parametrize(
    "authorization",
    [
        f"PVEAPIToken=root%40pam%21bootstrap={_SECRET}",
        f"PVEAPIToken root@pam!bootstrap%3D{_SECRET}",
    ],
)
def test_a_token_may_be_percent_encoded(ask: Ask, authorization: str) -> None:
    assert ask("GET", "/json/version", authorization=authorization).status == 200


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("type&", {"node", "storage", "qemu", "lxc", "network"}),
        ("type&type=node", {"node"}),
        ("type=node&type", {"node", "storage", "qemu", "lxc", "network"}),
    ],
)
def test_a_name_without_a_value_in_a_query_is_absent(ask: Ask, query: str, kinds: set[str]) -> None:
    answer = ask("GET", f"/json/cluster/resources?{query}")
    assert {row["type"] for row in _body(answer)["data"]} == kinds


def test_an_empty_value_in_a_query_and_an_unknown_name_are_refused(ask: Ask) -> None:
    assert ask("GET", "/json/cluster/resources?type=").status == 400
    answer = ask("GET", "/json/cluster/resources?foo")
    assert _body(answer)["errors"] == {"foo": _NOT_IN_SCHEMA}


def test_a_name_without_a_value_in_a_form_is_empty(ask: Ask) -> None:
    ask("POST", "/json/access/groups", "groupid=g&comment=old")
    ask("PUT", "/json/access/groups/g", "comment")
    assert "comment" not in _body(ask("GET", "/json/access/groups/g"))["data"]


def test_extjs_tells_the_status_in_the_body(ask: Ask) -> None:
    answer = ask("GET", "/extjs/version")
    assert (answer.status, answer.reason) == (200, "OK")
    assert _body(answer) == {"success": 1, "data": _body(ask("GET", "/json/version"))["data"]}
    answer = ask("GET", "/extjs/access/groups/none")
    assert (answer.status, answer.reason) == (200, "OK")
    assert _body(answer) == {
        "success": 0,
        "status": 500,
        "message": "group 'none' does not exist\n",
        "data": None,
    }
    answer = ask("POST", "/extjs/access/groups")
    assert _body(answer) == {
        "success": 0,
        "status": 400,
        "message": "Parameter verification failed.\n",
        "errors": {"groupid": _MISSING},
        "data": None,
    }


def test_extjs_waits_after_a_failed_login_too(ask: Ask) -> None:
    answer = ask(
        "POST", "/extjs/access/ticket", "username=root@pam&password=wrong", authorization=""
    )
    assert (answer.status, _body(answer)["status"], answer.denied) == (200, 401, True)


def test_extjs_without_a_login_is_a_plain_401(ask: Ask) -> None:
    answer = ask("GET", "/extjs/version", authorization="")
    assert (answer.status, answer.reason, answer.body) == (401, "No ticket", b"")


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("/json/access/openid/auth-url", ["realm", "redirect-url"]),
        ("/json/access/openid/login", ["code", "redirect-url", "state"]),
        ("/json/access/vncticket", ["authid", "path", "privs", "vncticket"]),
    ],
)
def test_what_the_other_logins_must_be_given(ask: Ask, path: str, missing: list[str]) -> None:
    answer = ask("POST", path, authorization="")
    assert answer.status == 400
    assert _body(answer)["errors"] == dict.fromkeys(missing, _MISSING)


@pytest.mark.parametrize(
    ("realm", "refusal"),
    [
        ("none", "500 authentication domain 'none' does not exist"),
        ("pve", "500 wrong realm type (pve != openid)"),
        ("sso", "500 the embedded Proxmox VE reaches no OpenID server"),
    ],
)
def test_an_openid_login_starts_nowhere(pve: Pve, realm: str, refusal: str) -> None:
    issuer = {"issuer_url": "https://sso.example", "client_id": "x"}
    pve.post("/access/domains", realm="sso", type="openid", **issuer)
    given = {"realm": realm, "redirect_url": "https://pve.example"}
    assert pve.refusal("POST", "/access/openid/auth-url", **given) == refusal


def test_no_answer_of_an_openid_server_and_no_console_ticket_is_good(pve: Pve) -> None:
    given = {"code": "x", "state": "x", "redirect_url": "https://pve.example"}
    assert pve.refusal("POST", "/access/openid/login", **given) == "401 authentication failure"
    given = {"authid": "root@pam", "path": "/vms/9000", "privs": "VM.Console", "vncticket": "x"}
    assert pve.refusal("POST", "/access/vncticket", **given) == "401 authentication failure"


def test_indexes_of_a_node_lead_somewhere(pve: Pve) -> None:
    assert pve.get("/nodes/demo-felhom/version") == pve.get("/version")
    for guest in ("qemu/9000", "lxc/9001"):
        place = f"/nodes/demo-felhom/{guest}"
        for row in pve.get(place):
            pve.get(f"{place}/{row['subdir']}")
        assert "shutdown" in [row["subdir"] for row in pve.get(f"{place}/status")]
        assert pve.get(f"{place}/status/current")["status"] == "stopped"


def test_indexes_of_guests_that_are_not_there(pve: Pve) -> None:
    assert {"subdir": "status"} in pve.get("/nodes/demo-felhom/qemu/999")
    for place in ("qemu/999/status", "lxc/999", "lxc/999/status"):
        refusal = pve.refusal("GET", f"/nodes/demo-felhom/{place}")
        assert refusal.startswith("500 Configuration file 'nodes/demo-felhom/")
        assert refusal.endswith("/999.conf' does not exist")


def test_a_call_for_a_node_that_is_down_is_answered_without_a_body(
    ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "pve" / "nodes" / "node-z").mkdir()
    (tmp_path / "pve.run" / "nodes").mkdir(parents=True)
    (tmp_path / "pve.run" / "nodes" / "node-z.down").touch()
    answer = ask("GET", "/json/nodes/node-z/qemu")
    assert (answer.status, answer.reason, answer.body) == (595, "No route to host", b"")
