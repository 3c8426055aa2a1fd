"""A key that the file does not give stays as it is in the cluster."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.loader import load
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.shared.omitted_keys import left_alone
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec, UserTable
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired, Moved
from reconciler.model.finding import Source
from reconciler.model.policy import Manage, Policy, Unspecified
from reconciler.planning.changes.diff import diff

ANNA = Address("user", "anna@pve")
DEV = Address("pool", "dev")
HERE = Source("state.toml", 1)
LIVE = {
    ANNA: UserSpec(comment="by hand", firstname="Anna", keys=""),
    Address("token", "anna@pve!ci"): TokenSpec(privsep=False, comment="by hand"),
    DEV: PoolSpec(comment="old", guests=(100, 101), storages=("local",)),
}


def reached(folder: Path, text: str) -> dict:
    (folder / "state.toml").write_text(text)
    found = diff(load(folder), LIVE, now=1)
    assert not found.findings
    return {str(change.address): change.after for change in found.changes}


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('[user."anna@pve"]', {}),
        ('[pool.dev]\ncomment = "Dev"', {"pool.dev": {"comment": "Dev"}}),
        ("[pool.dev]\nguests = []", {"pool.dev": {"guests": ()}}),
        ('[user."anna@pve"]\nenabled = false', {"user.anna@pve": {"enabled": False}}),
        ('[user."anna@pve"]\ncomment = ""', {"user.anna@pve": {"comment": ""}}),
        ('[user."anna@pve".token.ci]', {"token.anna@pve!ci": {"privsep": True}}),
    ],
)
def test_only_what_is_given_changes(tmp_path, text, after):
    expected = {
        str(address): spec.model_copy(update=after[str(address)])
        for address, spec in LIVE.items()
        if str(address) in after
    }
    found = reached(tmp_path, text)
    assert {k: v for k, v in found.items() if v is not None} == expected


VALUES = {
    "firstname": st.sampled_from(("", "Anna", "Bo")),
    "comment": st.sampled_from(("", "x", "y")),
    "email": st.sampled_from(("", "anna@example.com")),
}


@given(st.fixed_dictionaries(VALUES), st.fixed_dictionaries({}, optional=VALUES))
def test_random_keys_change_nothing_else(live, table):
    before = UserSpec(**live, keys="")
    spec = UserSpec(**table)
    kept = left_alone(UserTable(**table))
    desired = Desired(objects={ANNA: Declared(spec, HERE, unspecified=kept)})
    changes = diff(desired, {ANNA: before}, now=1).changes
    after = changes[0].after if changes else before
    for name in VALUES:
        assert getattr(after, name) == getattr(spec if name in table else before, name)


def test_whoever_wants_the_whole_object_says_so():
    policy = Policy(manage={"user": Manage(unspecified=Unspecified.CLEAR)})
    declared = Declared(UserSpec(), HERE, unspecified=frozenset({"comment", "groups", "enabled"}))
    changes = diff(
        Desired(objects={ANNA: declared}, policy=policy), {ANNA: LIVE[ANNA]}, now=1
    ).changes
    assert changes[0].after == UserSpec(keys="")


def test_a_membership_that_is_left_alone_follows_a_moved_group():
    old, new = Address("group", "ops"), Address("group", "oncall")
    desired = Desired(
        objects={
            new: Declared(GroupSpec(), HERE),
            ANNA: Declared(UserSpec(), HERE, unspecified=frozenset({"groups", "enabled"})),
        },
        moved=(Moved(old, new, HERE),),
    )
    member = UserSpec(enabled=False, groups=("ops",), keys="")
    found = diff(desired, {old: GroupSpec(), ANNA: member}, now=1)
    assert not found.findings
    after = {change.address: change.after for change in found.changes}
    anna = after[ANNA]
    assert isinstance(anna, UserSpec)
    assert anna.groups == ("oncall",)
    assert after[old] is None
