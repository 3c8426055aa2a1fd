"""What is read of a cluster, and when the caller sees too little."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.context import kinds_to_read
from reconciler.errors import Blind
from reconciler.kinds.shared.reader import EVERYTHING
from reconciler.live.reader import read_live
from reconciler.model.declared import Desired
from reconciler.model.policy import Manage, Mode, Policy
from reconciler.sandbox.http.direct import SandboxApi
from tests.support.engine import cluster

READER = """user:root@pam:1:0:::root@example.invalid:::
user:auto@pve:1:0::::::
token:auto@pve!plan:0:1::




role:Reader:Datastore.Audit,Pool.Audit,Sys.Audit,VM.Audit:

acl:1:/:auto@pve,auto@pve!plan:Reader:
acl:1:/storage/local:{grant}:
"""


def reader(folder: Path, grant: str) -> SandboxApi:
    cluster(folder, READER.format(grant=grant))
    return SandboxApi(folder, "auto@pve!plan", read_only=True)


@pytest.mark.parametrize("kinds", [["storage"], ["acl", "storage", "user"]])
def test_a_few_kinds_are_read_with_the_rights_of_a_custom_role(
    tmp_path: Path, kinds: list[str]
) -> None:
    state = read_live(reader(tmp_path, "auto@pve:Reader"), kinds, {}).state
    assert "storage.local" in map(str, state)


@pytest.mark.parametrize("kinds", [["storage"], ["acl", "storage", "user"]])
def test_a_storage_that_is_hidden_from_the_caller_is_not_taken_for_missing(
    tmp_path: Path, kinds: list[str]
) -> None:
    with pytest.raises(Blind, match="/storage/local"):
        read_live(reader(tmp_path, "auto@pve!plan:NoAccess"), kinds, {})


@pytest.mark.parametrize(("deleted", "hangs_on_it"), [("storage", "pool"), ("realm", "realm_sync")])
def test_what_may_be_deleted_is_read_with_all_its_dependents(
    deleted: str, hangs_on_it: str
) -> None:
    policy = Policy(manage={deleted: Manage(mode=Mode.AUTHORITATIVE)})
    assert kinds_to_read(Desired(policy=policy))[hangs_on_it] == EVERYTHING
