"""Members that others add, groups without members, and expectations that test nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.desired.loader import load
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.inventory import Facts, Guest
from reconciler.model.policy import Limit, Limits, Policy
from reconciler.planning.builder import PlanResult, build_plan
from reconciler.planning.request import PlanRequest
from tests.support.engine import NOW

DEV, OPS, ANNA = Address("pool", "dev"), Address("group", "ops"), Address("user", "anna@pve")
BOB = Address("user", "bob@pve")
LIVE = {
    DEV: PoolSpec(guests=(100, 101), storages=("local",)),
    OPS: GroupSpec(),
    ANNA: UserSpec(groups=("ops",), keys=""),
    BOB: UserSpec(groups=("ops",), keys=""),
    Address("acl", "/pool/dev|user:anna@pve|PVEVMUser"): AclSpec(),
}


def planned(folder: Path, text: str, policy: Policy | None = None) -> PlanResult:
    (folder / "state.toml").write_text(text)
    desired = load(folder)
    if policy:
        desired = replace(desired, policy=policy)
    facts = Facts(guests={vmid: Guest(vmid, "", "qemu", "pve") for vmid in (100, 101)})
    return build_plan(desired, LIVE, facts, PlanRequest("pve", "root@pam", NOW))


@pytest.mark.parametrize(
    ("text", "address", "members"),
    [
        ("[pool.dev]\nguests = [100]", DEV, (100,)),
        ('[pool.dev]\nguests = [102]\nmembers = "additive"', DEV, (100, 101, 102)),
        ("[pool.dev]\nguests = []", DEV, ()),
        ('[group.ops]\n[user."anna@pve"]\ngroups = []', ANNA, ()),
        ('[group.ops]\nmembers = "additive"\n[user."anna@pve"]\ngroups = []', ANNA, ("ops",)),
        ('[group.ops]\nmembers = "exact"\n[user."anna@pve"]', ANNA, ()),
        ('[group.ops]\nmembers = "exact"', BOB, ()),
        ('[group.ops]\n[user."anna@pve"]', BOB, ("ops",)),
    ],
)
def test_who_is_a_member_afterwards(tmp_path, text, address, members):
    after = planned(tmp_path, text).state[address]
    name = "guests" if address == DEV else "groups"
    assert after.parts([name])[name] == members


def test_who_leaves_a_pool_is_reported_with_what_is_lost(tmp_path):
    found = planned(tmp_path, "[pool.dev]\nguests = [100]").plan.findings
    (told,) = [one.message for one in found if one.code == "POOL_LEFT"]
    assert told.startswith("guest 101 is removed from pool.dev: anna@pve loses VM.Audit")
    assert told.endswith(" on /vms/101")


def test_members_that_leave_count_in_the_limits(tmp_path):
    policy = Policy(limits=Limits(delete=Limit(count=0)))
    found = planned(tmp_path, "[pool.dev]\nguests = [100]", policy).plan.findings
    (refused,) = [one for one in found if one.code == "LIMIT_DELETE"]
    assert refused.allow == "LIMIT_DELETE=member"


EMPTY = '[group.new]\n[[acl]]\nroles = ["PVEAdmin"]\npaths = ["/"]\ngroups = ["new"]\n'


def test_a_group_without_members_is_judged_as_if_it_had_one(tmp_path):
    text = EMPTY + '[[expect]]\nwho = ["group:new"]\npath = "/vms"\ncannot = ["VM.Allocate"]\n'
    plan = planned(tmp_path, text).plan
    codes = {one.code: one.message for one in plan.findings}
    assert "any member of new can VM.Allocate" in codes["EXPECT"]
    assert "any member of new becomes root" in codes["NEW_WAY_TO_ROOT"]
    assert [line["text"] for line in plan.access.effects if "any member of new" in line["text"]]


@pytest.mark.parametrize(
    ("who", "path", "told"),
    [
        ("nobody@*", "/vms", "'nobody@*' matches no user and no token"),
        ("anna@pve", "/vmz/*", "no object has the path /vmz/*"),
        ("anna@pve", "/vms/4711", "no object has the path /vms/4711"),
        ("anna@pve", "/vms/100", ""),
        ("a*@pve", "/vms/*", ""),
    ],
)
def test_an_expectation_that_tests_nothing_is_reported(tmp_path, who, path, told):
    text = f'[[expect]]\nwho = ["{who}"]\npath = "{path}"\ncan = ["VM.Audit"]\n'
    found = planned(tmp_path, text).plan.findings
    messages = [one.message for one in found if one.code == "EXPECT_NOTHING"]
    assert messages == ([f"an expectation tests nothing: {told}"] if told else [])
