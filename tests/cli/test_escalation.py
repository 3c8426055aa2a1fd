"""Who can become root: the way is found, and walking it over HTTPS really ends at the top."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitStatus, RequestRefused
from reconciler.live.http.client import open_api
from reconciler.model.api import Api
from reconciler.model.request import request
from reconciler.model.target import Target
from reconciler.pve.release import NEWEST
from tests.cli.in_process import ask, ask_json
from tests.support.command import FIXTURES, Served, copy_fixture, pvectl, sandbox

PRIVILEGES = NEWEST.privileges

OFFICE = FIXTURES / "escalation"
PASSWORD = "correct-horse-battery"


def test_the_ways_are_found_each_with_the_entry_behind_it() -> None:
    told = ask("escalation", on=OFFICE)
    assert told.status == ExitStatus.OK
    assert told.out.startswith("3 principals are root, 3 more can become root, 1 more may.\n")
    words = " ".join(told.out.split())
    for sentence in (
        "helpdesk@pve holds User.Modify on /access/groups and creates a token of root@pam without "
        "privilege separation by PVEUserAdmin for user helpdesk@pve on /access/groups",
        "registrar@pve holds Sys.Modify on /access and adds every privilege to role Clerk",
        "operator@pve holds Sys.Console on /nodes",
        "carla@pve by Administrator for group admins on /",
        "to close it: remove PVEUserAdmin for user helpdesk@pve on /access/groups",
    ):
        assert sentence in words
    for harmless in ("ben@pve", "dev@pve", "auditor@pve"):
        assert harmless not in told.out


def test_it_fails_only_when_told_to_and_for_those_who_are_not_meant_to(tmp_path: Path) -> None:
    assert ask("escalation", "--fail", on=OFFICE).status == ExitStatus.REFUSED
    assert ask("escalation", "--fail", on=FIXTURES / "fresh").status == ExitStatus.REFUSED
    settings = f"""[target]
endpoint = "sandbox:{OFFICE}"

[lockout]
break_glass = ["root@pam!bootstrap", "carla@pve", "helpdesk@pve", "helpdesk@pve!desk"]
"""
    (tmp_path / "pvectl.toml").write_text(settings)
    rest = ask("escalation", "--fail", state=tmp_path)
    assert rest.status == ExitStatus.REFUSED
    assert "Unintended: registrar@pve is root, or can become it.\n" in rest.out
    more = settings.replace('["root', '["registrar@pve", "root')
    (tmp_path / "pvectl.toml").write_text(more)
    meant = ask("escalation", "--fail", state=tmp_path)
    assert meant.status == ExitStatus.OK
    assert "No principal is or can become root except the intended ones." in meant.out


def test_programs_read_the_same() -> None:
    told = ask_json("escalation", on=OFFICE)
    ways = {
        step["way"]: (way["principals"], way["sure"])
        for way in told["ways"]
        for step in way["steps"][:1]
    }
    assert ways == {
        "MAKE_TOKEN": (["helpdesk@pve", "helpdesk@pve!desk"], True),
        "EDIT_ROLE": (["registrar@pve"], True),
        "NODE": (["operator@pve"], False),
    }
    assert told["unmeant"] == [
        "carla@pve",
        "helpdesk@pve",
        "helpdesk@pve!desk",
        "registrar@pve",
        "root@pam!bootstrap",
    ]


def test_a_way_that_the_files_open_is_seen_before_it_is_there(tmp_path: Path) -> None:
    folder = copy_fixture("fresh", tmp_path / "pve")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a.toml").write_text(
        '[user."desk@pve"]\n[[acl]]\nroles = ["PVEUserAdmin"]\npaths = ["/access"]\n'
        'users = ["desk@pve"]\n'
    )
    where = {"on": folder, "state": tmp_path / "state"}
    assert "desk@pve" not in ask("escalation", **where).out
    assert "desk@pve" in ask("escalation", "--planned", **where).out
    assert "desk@pve" in ask("escalation", "--from-files", **where).out


@contextmanager
def connected(served: Served, who: str, secret: str) -> Iterator[Api]:
    given: dict[str, Any] = {"token_id": who} if "!" in who else {"username": who}
    target = Target(endpoints=(served.url,), fingerprint=(served.fingerprint,), **given)
    api = open_api(target, secret, read_only=False)
    try:
        yield api
    finally:
        api.close()


def test_walking_the_way_of_the_helpdesk_ends_with_administrator_of_everything(
    tmp_path: Path,
) -> None:
    """As the helpdesk itself, with its password, over HTTPS."""
    folder = copy_fixture("escalation", tmp_path / "pve")
    with sandbox(folder) as served:
        root = ("root@pam!bootstrap", "11111111-2222-4333-8444-555555555555")
        with connected(served, *root) as api:
            gone = request("DELETE", "access", "users", "helpdesk@pve")
            api.send(gone)
            made = request("POST", "access", "users", userid="helpdesk@pve", password=PASSWORD)
            api.send(made)
            desk = {"path": "/access/groups", "roles": "PVEUserAdmin", "users": "helpdesk@pve"}
            api.send(request("PUT", "access", "acl", **desk))
        found = pvectl(
            *("escalation", "--format", "json"),
            cwd=tmp_path,
            env={
                "PVECTL_ENDPOINT": served.url,
                "PVECTL_FINGERPRINT": served.fingerprint,
                "PVECTL_TOKEN_ID": root[0],
                "PVECTL_TOKEN_SECRET": root[1],
            },
        )
        assert found.status == ExitStatus.OK, found
        (way,) = [w for w in json.loads(found.out)["ways"] if "helpdesk@pve" in w["principals"]]
        (step,) = way["steps"]
        assert (step["way"], step["target"]) == ("MAKE_TOKEN", "root@pam")

        grant = {"path": "/", "roles": "Administrator", "users": "helpdesk@pve"}
        with connected(served, "helpdesk@pve", PASSWORD) as api:
            with pytest.raises(RequestRefused):
                api.send(request("PUT", "access", "acl", **grant))
            made = request("POST", "access", "users", step["target"], "token", "own", privsep=0)
            secret = api.send(made)["value"]
        with connected(served, f"{step['target']}!own", secret) as api:
            api.send(request("PUT", "access", "acl", **grant))
        with connected(served, "helpdesk@pve", PASSWORD) as api:
            held = api.get([request("GET", "access", "permissions", path="/")])[0]["/"]
        assert held.keys() == PRIVILEGES
