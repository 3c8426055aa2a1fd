"""Temporary access, with the installed command: granted, ended early, ended in time, refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask
from tests.cli.site import Site

STATE = """
[group.ops]

[user."alice@pve"]
groups = ["ops"]

[user."alice@pve".token.ci]
secret_to = { file = "secrets/ci" }
"""
FOR = ("--for", "4h", "--reason", "restore of guest 100")
ALICE = ("alice@pve", "PVEVMAdmin", "/vms/100")
ENTRY = "acl:1:/vms/100:alice@pve:PVEVMAdmin:"


@pytest.fixture
def team(site: Site) -> Site:
    """Alice, her group and her token are there; nothing is granted."""
    site.write("a.toml", STATE)
    assert site.run("apply", "--yes").status == ExitStatus.OK
    return site


def test_a_grant_is_shown_applied_kept_and_revoked(team: Site) -> None:
    before = team.user_cfg()
    ended = team.run("grant", *ALICE, *FOR, "--yes")
    assert ended.status == ExitStatus.OK, ended
    assert "alice@pve gains" in ended.out
    assert "LINT_DIRECT_GRANT" not in ended.out, "a temporary grant is for one person"
    told = " ".join(ended.out.split())
    assert re.search(r"; until \S+ \d\d:\d\d\S* UTC; reason: restore of guest 100", told)
    assert re.search(r"expires in (4 h|3 h 59 min)", told)
    assert "grants.toml" in ended.err
    assert ENTRY in team.user_cfg()
    (table,) = tomllib.loads((team.state / "grants.toml").read_text())["acl"]
    assert table["reason"] == "restore of guest 100"
    assert team.run("plan", "--detailed-exitcode").status == ExitStatus.OK
    ended = team.run("revoke", *ALICE, "--yes")
    assert ended.status == ExitStatus.OK, ended
    early = "revoked before its end; declared in grants.toml:3; reason: restore of guest 100"
    assert early in " ".join(ended.out.split())
    assert "expired" not in ended.out + ended.err
    assert team.user_cfg() == before
    assert "acl" not in tomllib.loads((team.state / "grants.toml").read_text())
    assert team.run("plan", "--detailed-exitcode").status == ExitStatus.OK


@pytest.mark.parametrize(
    ("who", "entries"),
    [
        ("group:ops", ["acl:1:/vms/100:@ops:PVEVMAdmin:"]),
        ("alice@pve!ci", ["acl:1:/vms/100:alice@pve,alice@pve!ci:PVEVMAdmin:"]),
    ],
)
def test_groups_and_tokens_get_grants_too(who: str, entries: list[str], team: Site) -> None:
    before = team.user_cfg()
    assert team.run("grant", who, *ALICE[1:], *FOR, "--yes").status == ExitStatus.OK
    assert all(entry in team.user_cfg() for entry in entries), team.user_cfg()
    assert team.run("revoke", who, *ALICE[1:], "--yes").status == ExitStatus.OK
    assert team.user_cfg() == before


def test_after_its_end_drift_rings_and_apply_deletes_it(team: Site) -> None:
    before = team.user_cfg()
    assert team.run("grant", *ALICE, *FOR, "--yes").status == ExitStatus.OK
    path = team.state / "grants.toml"
    (table,) = tomllib.loads(path.read_text())["acl"]
    path.write_text(path.read_text().replace(f"{table['expires']:%Y}", "2001"))
    drift = team.run("drift")
    assert drift.status == ExitStatus.CHANGES
    assert re.search(r"expired on 2001-.*; reason: restore of guest 100", drift.out)
    for words in (("revoke", *ALICE), ("apply", "--yes")):
        ended = team.run(*words)
        assert "expired on 2001-" in ended.out
        assert "early" not in ended.out
    assert team.user_cfg() == before


def test_a_second_grant_of_the_same_prolongs_it_and_leaves_others(team: Site) -> None:
    assert team.run("grant", *ALICE, *FOR, "--yes").status == ExitStatus.OK
    other = ("alice@pve", "PVEAuditor", "/nodes")
    assert team.run("grant", *other, *FOR, "--yes").status == ExitStatus.OK
    text = (team.state / "grants.toml").read_text()
    again = team.run("grant", *ALICE, "--for", "2d", "--reason", "more", "--yes")
    assert again.status == ExitStatus.OK, again
    tables = tomllib.loads((team.state / "grants.toml").read_text())["acl"]
    assert [one["reason"] for one in tables] == ["more", "restore of guest 100"]
    assert text.splitlines()[0] == (team.state / "grants.toml").read_text().splitlines()[0]


EXPECT = '[[expect]]\nwho = "alice@pve"\npath = "/vms/100"\ncannot = ["VM.Allocate"]\n'


def test_what_an_expectation_forbids_changes_nothing(team: Site) -> None:
    team.write("b.toml", EXPECT)
    before = team.user_cfg()
    ended = team.run("grant", *ALICE, *FOR, "--yes")
    assert ended.status == ExitStatus.REFUSED, ended
    assert "EXPECT" in ended.out + ended.err
    assert not (team.state / "grants.toml").exists()
    assert team.user_cfg() == before


def test_declining_and_failing_leave_the_file_as_it_was(team: Site) -> None:
    assert team.run("grant", *ALICE, *FOR).status == ExitStatus.USAGE  # nobody to ask
    assert not (team.state / "grants.toml").exists()
    team.write("grants.toml", "# ours\n")
    for words in (
        ("nobody@pve", *ALICE[1:]),
        (*ALICE[:1], "NoRole", "/vms/100"),
        (*ALICE[:2], "x"),
    ):
        ended = team.run("grant", *words, *FOR, "--yes")
        assert ended.status in {ExitStatus.FILES_INVALID, ExitStatus.REFUSED}, ended
        assert (team.state / "grants.toml").read_text() == "# ours\n"
    assert ENTRY not in team.user_cfg()


def test_print_is_for_a_pull_request(team: Site) -> None:
    ended = team.run("grant", *ALICE, *FOR, "--print")
    assert ended.status == ExitStatus.OK
    assert tomllib.loads(ended.out)["acl"][0]["users"] == ["alice@pve"]
    assert ended.err.startswith("LINT_ORPHAN: guest 100 does not exist; ")
    for words, told in (
        (("nobody@pve", *ALICE[1:]), "UNKNOWN_REFERENCE .* names user.nobody@pve"),
        ((ALICE[0], "PVEVMAdmim", ALICE[2]), "(?s)names role.PVEVMAdmim.*did you mean PVEVMAdmin"),
        ((*ALICE[:2], "/vmz/1"), "'/vmz/1' is not a valid ACL path"),
    ):
        ended = ask("grant", *words, *FOR, "--print", on=team.cluster.folder, state=team.state)
        assert re.search(told, ended.err), ended
        assert ended.out == ""
    assert not (team.state / "grants.toml").exists()


def test_print_says_what_files_alone_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    (state := tmp_path / "state").mkdir()
    (state / "a.toml").write_text(STATE + EXPECT + '[user."off@pve"]\nenabled = false\n')
    (state / "pvectl.toml").write_text(
        '[target]\nendpoint = "https://127.0.0.1:9"\ntoken_id = "a@pve!t"\n'
        f'fingerprint = "{":".join(["AA"] * 32)}"\n'
    )
    ended = ask("grant", "bob@pve", "PVEVMUsr", "/vms/100", *FOR, "--print", state=state)
    assert ended.status == ExitStatus.OK, ended
    assert tomllib.loads(ended.out)["acl"][0]["users"] == ["bob@pve"]
    assert "not checked against the cluster: the secret of a@pve!t is not set" in ended.err
    assert "must exist on the cluster: /vms/100, role.PVEVMUsr, user.bob@pve\n" in ended.err
    assert "did you mean PVEVMUser?" in ended.err
    told = ask("grant", "off@pve", *ALICE[1:], *FOR, "--print", state=state).err
    assert "off@pve cannot log in, so the grant has no effect yet: disabled" in told
    ended = ask("grant", *ALICE, *FOR, "--print", state=state)
    assert (ended.status, ended.out) == (ExitStatus.REFUSED, ""), ended
    assert "alice@pve can VM.Allocate on /vms/100" in ended.err


def test_mistakes_are_reported(team: Site) -> None:
    for length in ("4", "h", "0h", "91d", "-1h", "1w"):
        ended = team.run("grant", *ALICE, "--for", length, "--reason", "x", "--print")
        assert (ended.status, "duration" in ended.err) == (ExitStatus.USAGE, True), ended
    ended = team.run("grant", *ALICE, "--for", "4h", "--reason", " ", "--print")
    assert (ended.status, "--reason is empty" in ended.err) == (ExitStatus.USAGE, True)
    ended = team.run("revoke", *ALICE, "--yes")
    assert (ended.status, "has no grant" in ended.err) == (ExitStatus.USAGE, True)
    team.write("b.toml", '[[acl]]\nusers=["alice@pve"]\nroles=["PVEVMAdmin"]\npaths=["/vms/100"]\n')
    ended = team.run("revoke", *ALICE, "--yes")
    assert (ended.status, "declared in b.toml:1" in ended.err) == (ExitStatus.USAGE, True)


def test_a_table_that_a_killed_grant_left_is_shown_and_taken_out(team: Site) -> None:
    """As releases before this one did: they wrote the file before they asked."""
    before = team.user_cfg()
    table = team.run("grant", *ALICE, *FOR, "--print").out
    team.write("grants.toml", f"# ours\r\n\r\n{table}")
    assert "1 to create" in team.run("plan").out
    ended = team.run("revoke", *ALICE, "--yes")
    assert ended.status == ExitStatus.OK, ended
    assert (team.state / "grants.toml").read_bytes() == b"# ours\r\n\r\n"
    assert team.user_cfg() == before


@pytest.mark.parametrize("text", ["", "# ours\r\n"])
def test_a_refused_grant_leaves_the_very_bytes(team: Site, text: str) -> None:
    team.write("b.toml", EXPECT)
    team.write("grants.toml", text)
    assert team.run("grant", *ALICE, *FOR, "--yes").status == ExitStatus.REFUSED
    assert (team.state / "grants.toml").read_bytes() == text.encode()
