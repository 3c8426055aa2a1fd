"""Symptoms of daily life: found by what people say, and their commands are those that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.cli.explain.code_pages import pages
from reconciler.cli.explain.query import parse_call, parse_path
from reconciler.errors import ExitStatus
from reconciler.pve.release import known_privilege
from reconciler.render.documents.code_page import Page
from tests.cli.in_process import ask
from tests.support.command import FIXTURES

SYMPTOMS = [page for page in pages().values() if page.code.startswith("SYMPTOM_")]


@pytest.mark.parametrize("page", SYMPTOMS, ids=lambda page: page.code)
def test_its_commands_are_calls_and_privileges_that_are_known(page: Page) -> None:
    commands = re.findall(r"`pvectl ([^`]+)`", " ".join((*page.meaning, *page.action)))
    assert commands
    for command in commands:
        call = re.fullmatch(r"explain '(.+)' --who WHO", command)
        if call:
            assert parse_call(call[1], "WHO").params
            continue
        words = command.split()
        if words[0] == "explain":
            parse_path(words[2])
            assert known_privilege(words[3])
        assert words[0] in {"explain", "who-can", "rotate"}
    told = ask("explain", "symptom", page.kind)
    assert told.out.startswith(f"{page.code}: {page.kind}\n")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("sees the guest, not the datacenter", "SYMPTOM_NO_DATACENTER"),
        ("cannot attach an ISO", "SYMPTOM_NO_ISO"),
        ("some guests of the team are missing", "SYMPTOM_GUESTS_MISSING"),
        ("works as alice@pve, not as alice@ldap", "SYMPTOM_OTHER_REALM"),
        ("backup task fails 403", "SYMPTOM_TASK_REFUSED"),
        ("token 401", "SYMPTOM_NO_LOGIN"),
    ],
)
def test_what_people_say_finds_it(words: str, code: str) -> None:
    assert ask("explain", "symptom", words).out.startswith(f"{code}: ")


def test_all_are_listed() -> None:
    told = ask("explain", "symptom")
    assert told.status == ExitStatus.OK
    assert all(page.code in told.out and page.kind in told.out for page in SYMPTOMS)
    assert ask("explain", "symptom", "xyzzy").out == told.out


def test_the_cures_cure() -> None:
    """The usual set for a team's pool is what the page says."""
    asked = "POST /nodes/pve/lxc vmid=9005 pool=Dev storage=local net0=name=eth0,bridge=vmbr0"
    told = ask("explain", asked, "--who", "svc-terraform@pve!tf-ci", on=FIXTURES / "team")
    assert "PVEDatastoreUser" in told.out
    assert "PVESDNUser" in told.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("cannot atach an iso", "SYMPTOM_NO_ISO"),
        ("kann kein ISO einbinden", "SYMPTOM_NO_ISO"),
        ("bob sees his guests but not the datacenter", "SYMPTOM_NO_DATACENTER"),
        ("pveproxy[12]: authentication failure; rhost=10.0.0.9 user=bob@ldap", "SYMPTOM_NO_LOGIN"),
        ("qwer zxcv uiop", "symptom"),
    ],
)
def test_a_complaint_needs_no_keyword(words: str, code: str) -> None:
    assert ask("explain", words).out.startswith(f"{code}: ")


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        (("bob",), "did you mean bob@ldap?"),
        (("svc-terraform@pve", "tf-ci"), "did you mean svc-terraform@pve!tf-ci?"),
        (("201",), "pvectl explain WHO /vms/201"),
        (("expct",), "did you mean EXPECT?"),
    ],
)
def test_half_a_name_is_enough_for_a_hint(asked: tuple[str, ...], hint: str) -> None:
    pve = Path(__file__).parents[2] / "examples" / "three-nodes" / "pve"
    ended = ask("explain", *asked, on=pve)
    assert ended.status == ExitStatus.USAGE
    assert hint in ended.err
