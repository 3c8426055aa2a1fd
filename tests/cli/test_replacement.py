"""A storage that is deleted and made again, with the installed command: nothing else is lost."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site

STORAGE = """
[storage.usb]
type = "dir"
path = "{}"
content = ["backup"]
"""
ENTRY = """
[user."bob@pve"]

[[acl]]
roles = ["PVEDatastoreUser"]
paths = ["/storage/usb"]
users = ["bob@pve"]
"""
POOL = """
[pool.team]
storages = ["usb"]
"""
TOKEN = """
[user."z@pve"]

[user."z@pve".token.t1]
secret_to = { command = ["sh", "-c", "exit 1"] }
"""
FLAG = "REPLACE=storage.usb"
LIVE = (
    "acl:1:/storage/usb:bob@pve:PVEDatastoreUser:",
    "acl:0:/storage/usb:eve@pve:PVEAuditor,PVEDatastoreAdmin:",
    "pool:team::100:usb:",
    "pool:theirs:by hand::local,usb:",
)
"""Entries and pools of which some are declared and some are not."""


@pytest.fixture
def used(site: Site) -> Site:
    """The storage, one declared and two other entries on it, two pools that hold it."""
    site.write("a.toml", STORAGE.format("/mnt/old"))
    assert site.run("apply", "--yes").status == ExitStatus.OK
    users = "user:bob@pve:1:0::::::\nuser:eve@pve:1:0::::::\n"
    site.edit("user.cfg", "", f"{users}{chr(10).join(LIVE)}\n")
    site.write("b.toml", ENTRY)
    site.write("g.toml", "[group.any]\n")  # its creation brings user.cfg into normal form
    assert site.run("apply", "--yes").status == ExitStatus.OK
    site.write("a.toml", STORAGE.format("/mnt/new"))
    return site


def hanging(site: Site) -> list[str]:
    """The lines of user.cfg that name the storage."""
    return sorted(line for line in site.user_cfg().splitlines() if "usb" in line)


def test_dependents_are_in_the_plan_and_restored_afterwards(used: Site) -> None:
    before = hanging(used)
    assert len(before) >= 4
    refused = used.run("apply", "--yes")
    assert refused.status == ExitStatus.REFUSED
    assert "removed before and restored after" in " ".join(refused.out.split())
    applied = used.run("apply", "--yes", "--allow", FLAG)
    assert applied.status == ExitStatus.OK, applied
    assert "path /mnt/new" in (used.cluster.folder / "storage.cfg").read_text()
    assert hanging(used) == before
    assert used.run("plan", "--detailed-exitcode").status == ExitStatus.OK
    assert used.run("drift", "--acknowledge").status == ExitStatus.CHANGES, "undeclared entries"
    assert used.run("drift").status == ExitStatus.OK


def test_a_declared_change_of_a_dependent_is_made_on_the_way(used: Site) -> None:
    used.write("b.toml", ENTRY + POOL + 'comment = "ours"\n')
    applied = used.run("apply", "--yes", "--allow", FLAG)
    assert applied.status == ExitStatus.OK, applied
    assert "pool:team:ours::usb:" in used.user_cfg() or "pool:team:ours:100:usb:" in used.user_cfg()
    assert used.run("plan", "--detailed-exitcode").status == ExitStatus.OK


def test_the_original_comes_back_with_all_that_hung_on_it(used: Site) -> None:
    before = used.user_cfg()
    assert used.run("apply", "--yes", "--allow", FLAG).status == ExitStatus.OK
    journal = sorted((used.folder / "home").rglob("*.jsonl"))[-1]
    undone = used.run("rollback", str(journal), "--yes")
    assert undone.status == ExitStatus.OK, undone
    assert used.user_cfg() == before
    assert "path /mnt/old" in (used.cluster.folder / "storage.cfg").read_text()


def test_a_failure_on_the_way_brings_everything_back(used: Site) -> None:
    """The last step is refused: its token's secret has nowhere to go."""
    before = hanging(used)
    used.write("c.toml", TOKEN)
    assert used.run("apply", "--yes", "--allow", FLAG).status == ExitStatus.RESTORED
    assert hanging(used) == before
    assert "path /mnt/old" in (used.cluster.folder / "storage.cfg").read_text()


def test_dependents_added_meanwhile_are_not_dropped(used: Site) -> None:
    assert used.run("plan", "--out", "p.json", "--allow", FLAG).status == ExitStatus.OK
    used.edit("user.cfg", "", "acl:1:/storage/usb:bob@pve:PVEAuditor:\n")
    ended = used.run("apply", "p.json")
    assert ended.status == ExitStatus.RESTORED, ended
    assert "created concurrently: acl./storage/usb|user:bob@pve|PVEAuditor" in " ".join(
        ended.out.split()
    )
    assert "path /mnt/old" in (used.cluster.folder / "storage.cfg").read_text()
