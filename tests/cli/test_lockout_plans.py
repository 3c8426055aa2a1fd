"""Ways to lock somebody out: `plan` shows each, names step and entry, and is refused (4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask
from tests.support.command import Ended, copy_fixture

CLUSTER = """user:root@pam:1:0:::root@example.invalid:::
token:root@pam!bootstrap:0:0::
user:auto@pve:1:0::::::
token:auto@pve!pvectl:0:1::
user:chief@pve:1:0::::::
user:boss@pve:1:0::::::
user:deputy@pve:1:1700000000::::::

group:admins:boss@pve,chief@pve,deputy@pve::
group:interns:::


role:Ops:Group.Allocate,Permissions.Modify,Realm.AllocateUser,Sys.Audit,Sys.Modify,User.Modify:

acl:1:/:@admins:Administrator:
acl:1:/:auto@pve,auto@pve!pvectl:Administrator:
acl:1:/access:auto@pve,auto@pve!pvectl:Ops:
acl:1:/vms:@interns:NoAccess:
"""

SETTINGS = """
[manage]
token = "additive"
acl = "additive"

[lockout]
break_glass = ["chief@pve"]
administrators = 4
"""

"""Four can log in and hold everything: root@pam, auto@pve, boss@pve, chief@pve."""

WAYS = {
    "by addition, of an entry for the token itself": (
        """
        [[acl]]
        roles = ["PVEUserAdmin"]
        paths = ["/access"]
        tokens = ["auto@pve!pvectl"]
        pair = false
        [[removed]]
        address = "acl./access|token:auto@pve!pvectl|Ops"
        """,
        "(delete acl./access|token:auto@pve!pvectl|Ops) the acting token auto@pve!pvectl would "
        "lose Permissions.Modify on /access; decided there by PVEUserAdmin for token "
        "auto@pve!pvectl on /access and Ops for user auto@pve on /access",
    ),
    "by addition, of an entry further down": (
        """
        [[acl]]
        roles = ["PVEVMUser"]
        paths = ["/vms/9000"]
        users = ["chief@pve"]
        """,
        "(create acl./vms/9000|user:chief@pve|PVEVMUser) a break-glass principal chief@pve would "
        "lose Datastore.Allocate, Datastore.AllocateSpace, Datastore.AllocateTemplate, "
        "Datastore.Audit and 33 others on /vms/9000; decided there by PVEVMUser for user "
        "chief@pve on /vms/9000",
    ),
    "by group membership": (
        """
        [user."chief@pve"]
        groups = ["admins", "interns"]
        """,
        "(update user.chief@pve) a break-glass principal chief@pve would lose",
    ),
    "by a change of the role": (
        """
        [role.Ops]
        privileges = ["Group.Allocate", "Permissions.Modify", "Sys.Audit", "User.Modify"]
        """,
        "(update role.Ops) the acting token auto@pve!pvectl would lose Sys.Modify on /access; "
        "decided there by Ops for token auto@pve!pvectl on /access and Ops for user auto@pve on "
        "/access",
    ),
    "by disabling the user": (
        """
        [user."auto@pve"]
        enabled = false
        """,
        "(update user.auto@pve) the acting token auto@pve!pvectl could no longer log in: its user "
        "is disabled",
    ),
    "by the expiry of the token": (
        """
        [user."auto@pve"]
        [user."auto@pve".token.pvectl]
        expires = 2020-01-01T00:00:00Z
        """,
        "(update token.auto@pve!pvectl) the acting token auto@pve!pvectl could no longer log in: "
        "expired",
    ),
    "by the expiry of the user": (
        """
        [user."chief@pve"]
        groups = ["admins"]
        expires = 2020-01-01T00:00:00Z
        """,
        "(update user.chief@pve) a break-glass principal chief@pve could no longer log in: expired",
    ),
    "by too few administrators": (
        """
        [user."boss@pve"]
        groups = ["admins"]
        expires = 2020-01-01T00:00:00Z
        """,
        "(update user.boss@pve) 3 enabled users would hold every privilege on /, no longer "
        "boss@pve (expired); at least 4 must",
    ),
}


def planned(folder: Path, files: str, cluster: str = CLUSTER) -> Ended:
    """What the token that acts is told of a change to that cluster."""
    pve = copy_fixture("fresh", folder / "pve")
    (pve / "user.cfg").write_text(cluster)
    state = folder / "state"
    state.mkdir()
    (state / "all.toml").write_text(files.replace("\n        ", "\n"))
    target = f'[target]\nendpoint = "sandbox:{pve}"\ntoken_id = "auto@pve!pvectl"\n'
    (state / "pvectl.toml").write_text(target + SETTINGS)
    return ask("plan", state=state)


@pytest.mark.parametrize("way", WAYS)
def test_it_is_refused_and_the_step_and_the_entry_are_named(way: str, tmp_path: Path) -> None:
    files, said = WAYS[way]
    told = planned(tmp_path, files)
    words = " ".join(told.out.split())
    assert (told.status, said in words) == (4, True), told.out
    assert "LOCKOUT" in words


def test_an_expiry_within_a_day_is_a_lockout_though_nothing_has_ended_yet(tmp_path: Path) -> None:
    soon = datetime.now(UTC) + timedelta(hours=6)
    files = f'[user."chief@pve"]\ngroups = ["admins"]\nexpires = {soon:%Y-%m-%dT%H:%M:%SZ}\n'
    told = planned(tmp_path, files)
    assert told.status == ExitStatus.REFUSED
    assert "chief@pve could no longer log in within a day: expired" in " ".join(told.out.split())


def test_a_token_that_will_not_last_for_the_run_is_warned(tmp_path: Path) -> None:
    soon = int(datetime.now(UTC).timestamp()) + 3600
    short = CLUSTER.replace("token:auto@pve!pvectl:0:", f"token:auto@pve!pvectl:{soon}:")
    told = planned(tmp_path, "[group.more]\n", short)
    assert told.status == ExitStatus.OK, told
    assert "ACTOR_EXPIRES" in told.out
    assert "auto@pve!pvectl expires in less than a day" in " ".join(told.out.split())
