"""What people try first: the message says what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.desired.loader import load
from reconciler.errors import ExitStatus
from tests.cli.in_process import ask
from tests.support.command import copy_fixture

TRIED = {
    "[pool.p]\nvms = [100]\n": "write guests = [...]",
    "[pool.p]\nmembers = [100]\n": "guests = [100], storages",
    '[group.g]\nusers = ["a@pve"]\n': '[user."alice@pve"] groups = ["GROUP"]',
    '[pool.p]\nstorage = ["local"]\n': "write storages = [...]",
    '[group.g]\nmembers = ["a@pve"]\n': '[user."alice@pve"] groups = ["GROUP"]',
    '[storage.ss]\n"prune-backups" = "keep-last=3"\n': "write keep = { last = N, weekly = N }",
    "[storage.ss]\nkeep_daily = 3\n": "write keep = { daily = N }",
    '[storage.ss]\n"content-dirs" = "x"\n': "did you mean content_dirs?",
    '[backup.bb]\nschedule = "1:00"\nkeep_last = 3\n': "write keep = { last = N }",
    '[backup.bb]\nschedule = "1:00"\nvms = [100]\n': "write guests = [...]",
    '[token."u@pve!t"]\n': "[user.NAME.token.NAME]",
    "[sync.x]\n": "[realm.NAME.sync.NAME]",
    '[realm.rr]\ntype = "ldap"\nserver = "x"\n': 'write server1 = "..."',
    '[backup.bb]\nschedule = "0 2 * * *"\nall = true\n': "this looks like cron: write '02:00'",
    '[backup.bb]\nschedule = "02:00"\nguests = "all"\n': "for every guest write all = true",
    '[backup.bb]\nschedule = "@daily"\nall = true\n': "this looks like cron: write 'daily'",
}


@pytest.mark.parametrize("text", TRIED)
def test_a_key_that_people_try_has_a_hint(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    assert TRIED[text] in " | ".join(finding.hint for finding in load(tmp_path).findings)


NODES = """
[storage.ss]
type = "dir"
path = "/x"
nodes = ["demo-felhom", "pve9"]

[backup.bb]
schedule = "1:00"
guests = [9001]
storage = "local"
node = "pve9"

[user."a@pve"]

[[acl]]
roles = ["PVEAuditor"]
paths = ["/nodes/demo-felhm", "/nodes/demo-felhom", "/nodes"]
users = ["a@pve"]
"""


def test_nodes_that_are_not_there_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    pve = copy_fixture("fresh", tmp_path / "pve")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a.toml").write_text(NODES)
    ended = ask("plan", "--format", "json", on=pve, state=tmp_path / "state")
    assert ended.status == ExitStatus.OK, ended
    shown = ask("plan", on=pve, state=tmp_path / "state").out
    assert shown.count("UNKNOWN_NODE") == 3
    for place in ("a.toml:2:10", "a.toml:7:9", "a.toml:15:3"):
        assert f"UNKNOWN_NODE  {place}" in shown
    assert "did you mean demo-felhom?" in shown
