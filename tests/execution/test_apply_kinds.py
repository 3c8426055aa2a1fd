"""Pools, storages, realms and jobs through the whole engine: applied, rolled back, overtaken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.desired.loader import load
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan
from reconciler.model.request import Request, request
from reconciler.model.spec import Spec
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from reconciler.sandbox.http.direct import SandboxApi
from tests.kinds.samples import fresh_folder
from tests.support.engine import NOW, Faulty, refuse_at, run_plan

BEFORE = """
[pool.Old]
comment = "old"
guests = [9000, 9001]
storages = ["local"]
[storage.nas]
type = "nfs"
server = "nas.example.com"
export = "/v"
disable = true
[realm.ldap]
type = "ldap"
server1 = "ldap.example.com"
base_dn = "dc=example"
user_attr = "uid"
default = true
[realm.ldap.sync.people]
schedule = "03:00"
[backup.nightly]
schedule = "02:30"
storage = "nas"
all = true
exclude = [9000]
[group.ops]
[[acl]]
roles = ["PVEVMUser"]
paths = ["/pool/Old", "/storage/nas"]
groups = ["ops"]
"""
AFTER = """
[pool.Old]
comment = "older"
guests = [9000]
[pool.New]
guests = [9001]
storages = ["local"]
[pool."New/sub"]
[storage.nas]
keep = { last = 3 }
content = ["backup"]
[storage.usb]
type = "dir"
path = "/mnt/usb"
[realm.ldap]
type = "ldap"
server1 = "ldap2.example.com"
base_dn = "dc=example"
user_attr = "uid"
[realm.pve]
default = true
[realm.ldap.sync.people]
schedule = "04:00"
scope = "users"
[backup.nightly]
schedule = "02:30"
storage = "usb"
pool = "New"
[[removed]]
address = "acl./pool/Old|group:ops|PVEVMUser"
"""


def plan_for(api: Api, folder: Path, text: str, *allowed: str) -> Plan:
    folder.mkdir(exist_ok=True)
    (folder / "state.toml").write_text(text)
    desired = load(folder)
    assert not [f for f in desired.findings if f.severity == "error"]
    wanted = {
        name: frozenset(a.id for a in desired.objects if a.kind == name) for name in all_kinds()
    }
    live, _ = read_state(api, all_kinds(), wanted)
    return build_plan(
        desired, live, Facts(), PlanRequest("test", "root@pam", NOW, allowed=allowed)
    ).plan


def everything(api: Api) -> dict[Address, Spec]:
    return read_state(api, all_kinds(), dict.fromkeys(all_kinds(), EVERYTHING))[0]


@pytest.fixture
def api(tmp_path: Path) -> Api:
    api = SandboxApi(fresh_folder(tmp_path / "pve"))
    report, _ = run_plan(api, plan_for(api, tmp_path / "state", BEFORE), tmp_path / "journal")
    assert report.outcome == "done"
    return api


def test_a_second_plan_is_empty(api: Api, tmp_path: Path) -> None:
    plan = plan_for(api, tmp_path / "state", AFTER)
    assert not plan.refusals
    report, _ = run_plan(api, plan, tmp_path / "second")
    assert report.outcome == "done"
    assert plan_for(api, tmp_path / "state", AFTER).steps == ()


def test_a_refusal_at_any_step_takes_everything_back(api: Api, tmp_path: Path) -> None:
    plan = plan_for(api, tmp_path / "state", AFTER)
    start = everything(api)
    for number in range(1, len(plan.steps) + 1):
        faulty = Faulty(api, refuse_at(number))
        report, _ = run_plan(faulty, plan, tmp_path / f"journal-{number}")
        assert report.outcome == "rolled back"
        assert everything(api) == start


def overtake(api: Api, other: Request) -> Callable[[int, Request, Callable[[], Any]], Any]:
    """Somebody else sends `other` just before our first write."""

    def fault(number: int, sent: Request, send: Callable[[], Any]) -> Any:
        del sent
        if number == 1:
            api.send(other)
        return send()

    return fault


STORAGE = "[storage.local]\ncontent = ['backup']\n"


def test_another_change_of_the_file_is_noticed_and_ours_sent_again(
    api: Api, tmp_path: Path
) -> None:
    plan = plan_for(api, tmp_path / "state", STORAGE)
    faulty = Faulty(api, overtake(api, request("PUT", "storage", "nas", disable=0)))
    report, _ = run_plan(faulty, plan, tmp_path / "overtaken")
    assert report.outcome == "done"
    assert len(faulty.sent) == 2
    assert len({dict(sent.params)["digest"] for sent in faulty.sent}) == 2


def test_another_change_of_the_same_storage_stops_the_run(api: Api, tmp_path: Path) -> None:
    plan = plan_for(api, tmp_path / "state", STORAGE)
    faulty = Faulty(api, overtake(api, request("PUT", "storage", "local", content="iso")))
    report, _ = run_plan(faulty, plan, tmp_path / "overtaken")
    assert report.outcome != "done"
    assert len(faulty.sent) == 1
    assert dict(everything(api)[Address("storage", "local")].to_json()["options"])["content"] == [
        "iso"
    ]
