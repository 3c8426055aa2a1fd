"""Options and outputs of plan and apply, as a shell or a CI job sees them."""

from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli.app import app
from reconciler.cli.hints import command_modules
from reconciler.errors import ExitStatus
from reconciler.model.spec import canonical, digest
from tests.cli.in_process import ask
from tests.cli.site import ROOT_TOKEN, SELF_BACKUP, Site, clear
from tests.support.command import PVECTL, environment

ESCAPE = "\x1b["


def test_the_same_inputs_give_the_same_bytes_under_any_hash_seed(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    site.edit("user.cfg", "", "group:b::x:\ngroup:a::y:\nrole:Z:VM.Audit,VM.Backup:\n")
    outputs = ["--format", "text", "--format", "json=p.json", "--format", "markdown=p.md"]
    found = set()
    for seed in ("0", "1", "4711"):
        ended = site.run("plan", *outputs, env={"PYTHONHASHSEED": seed})
        assert ended.status == ExitStatus.OK
        files = [(site.folder / name).read_bytes() for name in ("p.json", "p.md")]
        found.add((ended.out, *files))
    assert len(found) == 1


def test_help_is_broken_by_the_terminal_alone(site: Site) -> None:
    text = site.run("apply", "--help", env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).out
    said = [line.strip() for line in text.split("Arguments")[0].splitlines()]
    at = next(number for number, line in enumerate(said) if line.startswith("Shows the plan"))
    assert all(len(line) > 60 for line in said[at : at + 2])


def test_several_formats_at_once(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    ended = site.run("plan", "--format", "markdown", "--format", "json=out/plan.json")
    assert ended.status == ExitStatus.OK
    assert ended.out.startswith("#")
    plan = json.loads((site.folder / "out" / "plan.json").read_text())
    assert plan["counts"] == {"create": 7, "update": 0, "delete": 0, "requests": 5}


def test_formats_come_from_the_environment_too(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    ended = site.run("plan", env={"PVECTL_FORMAT": "json"})
    assert json.loads(ended.out)["kind"] == "plan"


def test_an_unknown_format_is_reported_before_anything_is_done(site: Site) -> None:
    ended = site.run("plan", "--format", "jsn")
    assert ended.status == ExitStatus.USAGE
    assert "did you mean json" in ended.err


@pytest.mark.parametrize("arguments", [["plan"], ["apply", "--yes"], ["drift"]])
def test_quiet_says_nothing_beside_the_result(arguments: list[str], site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    ended = site.run(*arguments, "--quiet")
    assert ended.status in (0, 2)
    assert ended.out
    assert ended.err == ""


def test_there_is_no_colour_where_there_is_no_terminal(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    plan = site.run("plan")
    assert ESCAPE not in plan.out + plan.err
    assert ESCAPE in site.run("plan", "--color").out
    help_text = site.run("plan", "--help")
    assert ESCAPE not in help_text.out


def test_there_is_colour_on_a_terminal_unless_it_is_not_wanted(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    assert ESCAPE in _on_terminal(site)
    assert ESCAPE not in _on_terminal(site, NO_COLOR="1")


def _on_terminal(site: Site, **env: str) -> str:
    """The output of `plan` on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PVECTL, "plan"],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        cwd=site.folder,
        env=environment({**site.env, "TERM": "xterm", **env}),
    ):
        os.close(theirs)
        text = b""
        try:
            while chunk := os.read(ours, 65536):
                text += chunk
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(ours)
    return text.decode()


def test_a_reader_that_stops_reading_is_not_an_error(site: Site) -> None:
    users = "".join(f'[user."user{n}@pve"]\ncomment = "number {n}"\n' for n in range(2000))
    site.write("a.toml", users)
    ended = _piped(site, "plan | head -1")
    assert ended.startswith("Plan: 2,000 to create")


def test_a_run_whose_progress_nobody_reads_is_finished(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    assert "[1/5]" in _piped(site, "apply --yes 2>&1 >/dev/null | head -1")
    assert site.run("status").status == ExitStatus.OK
    assert site.run("plan", "--detailed-exitcode").status == ExitStatus.OK


def _piped(site: Site, words: str) -> str:
    """What is left of the output of `pvectl WORDS`; every part of the pipe must succeed."""
    ended = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$0" {words}', PVECTL],
        capture_output=True,
        cwd=site.folder,
        env=environment(site.env),
        timeout=60,
        check=True,
    )
    assert ended.stderr == b""
    return ended.stdout.decode()


def test_errors_and_progress_as_json(site: Site) -> None:
    site.write("a.toml", "[group.g]\ncoment = 1\n")
    ended = site.run("apply", "--yes", "--log-format", "json")
    assert ended.status == ExitStatus.FILES_INVALID
    error = json.loads(ended.err)
    assert (error["error"], error["exit_status"]) == ("E_FILES", 3)
    assert error["findings"][0]["source"] == {"file": "a.toml", "line": 2, "column": 1}
    site.write("a.toml", "[group.g]\n")
    ended = site.run("apply", "--yes", env={"PVECTL_LOG_FORMAT": "json"})
    assert ended.status == ExitStatus.OK
    assert [json.loads(line) for line in ended.err.splitlines()]


def test_a_saved_plan_is_private_and_applied_as_it_is(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    saved = site.run("plan", "--out", "p.json")
    assert saved.status == ExitStatus.OK
    assert stat.S_IMODE((site.folder / "p.json").stat().st_mode) == 0o600
    shown = site.run("show", "p.json")
    assert shown.status == ExitStatus.OK
    assert "7 to create" in shown.out
    site.write("a.toml", f"{SELF_BACKUP}\n[group.later]\n")
    applied = site.run("apply", "p.json")
    assert applied.status == ExitStatus.OK
    assert "warning: the state files have changed since the plan was made: a.toml" in applied.err
    assert "group:later" not in site.user_cfg()
    assert "role:FelhomSelfBackup:" in site.user_cfg()
    twice = site.run("apply", "p.json")
    assert twice.status == ExitStatus.STALE
    assert "already applied" in twice.err


def _touched(plan: bytes) -> bytes:
    return plan.replace(b"group.ops", b"group.opt")


@pytest.mark.parametrize(
    ("change", "words", "status"),
    [
        (_touched, "was altered after it was saved", 5),
        (lambda plan: plan[:100], "was changed, or is of another version", 5),
        (lambda _: b"", "is not a saved plan", 64),
        (lambda _: b"\xff\xfe{}", "is not a saved plan", 64),
    ],
    ids=["edited", "cut off", "empty", "not text"],
)
def test_a_plan_file_that_was_changed(
    change: Callable[[bytes], bytes], words: str, status: int, site: Site
) -> None:
    site.write("a.toml", "[group.ops]\n")
    assert site.run("plan", "--out", "p.json").status == ExitStatus.OK
    path = site.folder / "p.json"
    path.write_bytes(change(path.read_bytes()))
    ended = site.run("apply", "p.json")
    assert ended.status == status
    assert words in ended.err
    assert site.untouched


def test_a_plan_of_another_actor(site: Site) -> None:
    site.write("a.toml", "[group.ops]\n")
    assert site.run("plan", "--out", "p.json").status == ExitStatus.OK
    secret = "33333333-2222-4333-8444-555555555555"
    site.give_token("ci@pve!t1", secret, ["acl:1:/:ci@pve,ci@pve!t1:Administrator:"])
    site.target("ci@pve!t1")
    ended = site.run("apply", "p.json")
    assert ended.status == ExitStatus.STALE
    assert f"was made for {ROOT_TOKEN}, not for ci@pve!t1" in ended.err
    assert site.untouched


def test_a_plan_of_another_cluster(site: Site) -> None:
    site.write("a.toml", "[group.ops]\n")
    assert site.run("plan", "--out", "p.json").status == ExitStatus.OK
    ended = site.run("apply", "p.json", "--on", f"sandbox:{site.cluster.folder}")
    assert ended.status == ExitStatus.STALE
    assert site.untouched


def test_a_target_takes_what_it_needs_and_nothing_else(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP + "\n[group.other]\n")
    ended = site.run("plan", "--target", "acl./vms/9001|*", "--format", "json")
    changed = {c["address"] for step in json.loads(ended.out)["steps"] for c in step["changes"]}
    assert changed == {
        "role.FelhomSelfBackup",
        "user.felhom-ctl@pve",
        "token.felhom-ctl@pve!ctl",
        "acl./vms/9001|token:felhom-ctl@pve!ctl|FelhomSelfBackup",
        "acl./vms/9001|user:felhom-ctl@pve|FelhomSelfBackup",
    }


def test_a_target_that_matches_nothing(site: Site) -> None:
    site.write("a.toml", "[group.ops]\n")
    ended = site.run("plan", "--target", "group.typo")
    assert "group.typo" in ended.out + ended.err


def test_a_plan_against_another_state_folder_needs_no_network(site: Site, tmp_path: Path) -> None:
    site.target(endpoint="https://127.0.0.1:9")
    other = clear(tmp_path / "other")
    (other / "a.toml").write_text("[group.ops]\n")
    site.write("a.toml", '[group.ops]\ncomment = "on call"\n[group.dev]\n')
    ended = site.run("plan", "--against", other, "--format", "json")
    assert ended.status == ExitStatus.OK
    found = json.loads(ended.out)
    assert found["counts"] == {"create": 1, "update": 1, "delete": 0, "requests": 2}
    assert (found["cluster"], found["against"]) == ("", str(other))
    elsewhere = site.run("plan", "--against", other, "--on", "sandbox:nowhere")
    assert (elsewhere.status, "the cluster of --on is not read" in elsewhere.err) == (0, True)


OF_THE_CLUSTER = re.compile(
    r"(?i)not in the cluster|(?<!\")does not exist|cluster matches|cluster=|Fact clu"
)


def test_a_plan_between_folders_says_so_in_every_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing of a cluster, and refuses nothing for what only a cluster shows."""
    monkeypatch.chdir(tmp_path)
    for name in ("new", "old"):
        clear(tmp_path / name)
    (tmp_path / "old/a.toml").write_text("[pool.p]\n")
    (tmp_path / "new/a.toml").write_text(ELSEWHERE)
    formats = ["markdown", "html", "sarif", "junit", "metrics", "codequality", "json"]
    files = {name: tmp_path / f"plan.{name}" for name in formats}
    asked = [word for name, file in files.items() for word in ("--format", f"{name}={file}")]
    ended = ask("plan", "--against", "old", *asked, "--format", "text", state=Path("new"))
    assert ended.status == ExitStatus.OK, ended.out
    assert ended.out.splitlines()[1] == "  compared with  old"
    assert "declared in a.toml:1, not in old" in ended.out
    assert "user.alise@corp, which is not declared" in ended.out
    told = {name: file.read_text() for name, file in files.items()} | {"text": ended.out}
    assert "two requests" in ELSEWHERE  # for one object, which is counted once
    assert ended.out.startswith("Plan: 10 to create, 0 to change, 0 to delete, in 9 requests\n")
    counts = {"create": 10, "update": 0, "delete": 0, "requests": 9}
    assert json.loads(told["json"])["counts"] == counts
    assert 'against="old",kind="pool",action="create"} 1\n' in told["metrics"]
    assert 'against="old",kind="pool",action="update"} 0\n' in told["metrics"]
    assert not [name for name, text in told.items() if OF_THE_CLUSTER.search(text)]
    assert not [name for name in told.keys() - {"codequality"} if "old" not in told[name]]

    ended = ask("plan", "--against", "new", state=Path("old"))
    assert ended.out.endswith("\nNo changes compared with new.\n")
    assert "\nNot managed: only in new\n" in ended.out
    again = re.search(
        r"details: `pvectl (plan .*?)`", ask("plan", "--against", "new", state=Path("new")).out
    )
    assert again
    everything = ask(*again[1].split())
    assert everything.status == ExitStatus.OK
    assert "known finding" not in everything.out
    assert len(everything.out.splitlines()) > len(ended.out.splitlines())


ELSEWHERE = """[user."alice@corp"]
groups = ["elsewhere"]
[realm.corp]
type = "ldap"
server1 = "ldap.example.com"
base_dn = "dc=example,dc=com"
user_attr = "uid"
sync.daily = { schedule = "05:00", scope = "both", remove_vanished = ["entry"] }
[[acl]]
roles = ["PVEVMUser"]
paths = ["/pool/theirs", "/pool/p"]
users = ["alice@corp", "alise@corp"]
[pool.p]
[backup.n]
schedule = "02:00"
storage = "nas"
pool = "theirs"
[[expect]]
who = "nobody@pve"
path = "/vms"
can = ["VM.Audit"]
[[expect]]
who = "alice@corp"
call = "POST /nodes/pve1/qemu/100/status/start"
[[rule]]
name = "r"
token_privsep = true
but = ["root@pam!*"]
reason = "x"
[storage.usb]
type = "dir"
path = "/mnt/usb"
[pool.fresh]        # two requests
guests = [100]
"""
"""Much of it names what may exist on a cluster."""


def test_a_comparison_of_files_is_not_a_plan_to_save(site: Site, tmp_path: Path) -> None:
    site.write("a.toml", "[group.g]\n")
    ended = site.run("plan", "--against", tmp_path, "--out", "p.json")
    assert ended.status == ExitStatus.USAGE
    assert not (site.folder / "p.json").exists()


def test_nobody_is_asked_where_nobody_can_answer(site: Site) -> None:
    site.write("a.toml", "[group.ops]\n")
    ended = site.run("apply")
    assert ended.status == ExitStatus.USAGE
    assert "--yes" in ended.err
    assert site.untouched


def test_only_the_approved_plan_is_applied(site: Site) -> None:
    site.write("a.toml", "[group.ops]\n")
    digest = re.search(r"digest +(\w+)", site.run("plan").out)
    assert digest
    refused = site.run("apply", "--approve", "0123456789ab")
    assert refused.status == ExitStatus.STALE
    assert site.untouched
    assert site.run("apply", "--approve", digest[1]).status == ExitStatus.OK
    assert "group:ops::" in site.user_cfg()


def test_two_folders_in_one_go_get_the_more_important_status(site: Site) -> None:
    targets = [
        f'[target.{name}]\nendpoint = "{site.cluster.url}"\ntoken_id = "{ROOT_TOKEN}"\n'
        f'fingerprint = "{site.cluster.fingerprint}"\nvars = {{ name = "{name}" }}\n'
        for name in ("north", "south")
    ]
    site.write("pvectl.toml", "\n".join(targets))
    site.write("a.toml", '[group.ops]\ncomment = "${name}"\n')
    site.edit("user.cfg", "", "group:ops::north:\n")
    alone = site.run("plan", "--on", "all")
    assert alone.status == ExitStatus.USAGE
    assert "PVECTL_TOKEN_SECRET applies to one cluster only" in alone.err
    secret = 'token_secret = { env = "SECRET" }\n'
    site.write("pvectl.toml", "\n".join(target + secret for target in targets))
    site.trust()
    site.env["SECRET"] = site.env.pop("PVECTL_TOKEN_SECRET")
    assert site.run("plan").status == ExitStatus.USAGE
    assert site.run("plan", "--detailed-exitcode", "--on", "north").status == ExitStatus.OK
    assert site.run("plan", "--detailed-exitcode", "--on", "all").status == ExitStatus.CHANGES
    typo = site.run("plan", "--on", "nroth")
    assert typo.status == ExitStatus.USAGE
    assert "did you mean north" in typo.err


@pytest.mark.parametrize("command", sorted(command_modules()))
def test_help_shows_brackets_and_arguments_as_they_are(command: str) -> None:
    """`[lockout]` is a table, not a style; switches take no value; arguments are named as in a man
    page."""
    ended = ask(command, "--help")
    assert ended.status == ExitStatus.OK
    made = next(one for one in app.registered_commands if one.name == command)
    wanted = re.findall(r"\[+[a-z]+\]+", (made.callback or command_modules).__doc__ or "")
    shown = " ".join(ended.out.split())
    assert [table for table in wanted if table not in shown] == []
    assert "\\[" not in shown
    assert "<bool>" not in shown
    usage = ended.out.split("Usage: ")[1].splitlines()[0]
    assert re.fullmatch(
        r"pvectl [a-z-]+ \[OPTIONS\]( \[?[A-Za-z|@!-]+\]?(\.{3})?)*", usage.rstrip()
    )


def test_version_and_unknown_commands(site: Site) -> None:
    assert re.fullmatch(r"pvectl \d+\.\d+\S*\n", site.run("--version").out)
    unknown = site.run("plna")
    assert unknown.status == ExitStatus.USAGE
    assert "plna" in unknown.err


def test_the_order_of_files_does_not_matter(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    first = site.run("plan", "--format", "json").out
    (site.state / "a.toml").unlink()
    blocks = SELF_BACKUP.strip().split("\n\n")
    for number, block in enumerate(blocks):
        site.write(f"{len(blocks) - number}.toml", block)
    second = site.run("plan", "--format", "json").out

    def steps(text: str) -> list[object]:
        return [step["request"] for step in json.loads(text)["steps"]]

    assert steps(first) == steps(second)


DRIFTED = """
[user."ann@pve"]
[user."eve@pve"]
groups = ["ops"]
[group.ops]
[[acl]]
roles = ["PVEVMUser"]
paths = ["/vms/9000"]
groups = ["ops"]
"""


def test_drift_says_who_has_gained_and_lost_what(site: Site) -> None:
    site.write("a.toml", DRIFTED)
    assert site.run("apply", "--yes").status == ExitStatus.OK
    site.edit("user.cfg", "user:ann@pve:1:", "user:ann@pve:0:")
    site.edit("user.cfg", "acl:1:/vms/9000:@ops:PVEVMUser:", "acl:1:/vms/9000:@ops:PVEVMAdmin:")
    ended = site.run("drift", "--format", "text", "--format", "json=drift.json")
    assert ended.status == ExitStatus.CHANGES
    said = " ".join(ended.out.split())
    assert "ann@pve: disabled in the cluster, active before" in said
    assert "ops (1 user) has gained VM.Allocate, " in said
    effects = json.loads((site.folder / "drift.json").read_text())["impact"]["effects"]
    assert [(one["principals"], one["lost"]) for one in effects] == [(["eve@pve"], [])]


def test_a_saved_plan_says_what_it_does_to_access_without_the_cluster(site: Site) -> None:
    site.write("a.toml", DRIFTED)
    planned = site.run("plan", "--out", "p.plan")
    (site.state / "pvectl.toml").unlink()
    shown = site.run("show", "p.plan")
    parts = [
        ended.out.partition("\nAccess\n")[2].partition("\n\n")[0] for ended in (planned, shown)
    ]
    assert parts[0] == parts[1]
    assert " gains the 10 privileges of PVEVMUser on /vms/9000" in " ".join(parts[0].split())


def test_a_plan_that_was_saved_before_it_told_of_access_can_still_be_read(site: Site) -> None:
    site.write("a.toml", DRIFTED)
    site.run("plan", "--out", "p.plan")
    path = site.folder / "p.plan"
    content = json.loads(path.read_bytes())
    del content["plan"]["access"], content["seal"]
    path.write_bytes(canonical({**content, "seal": digest(content)}))
    assert "Access" not in site.run("show", "p.plan").out
    assert site.run("apply", "p.plan").status == ExitStatus.OK


def test_a_user_put_into_a_declared_group_by_hand_is_drift(site: Site) -> None:
    site.write("a.toml", DRIFTED)
    assert site.run("apply", "--yes").status == ExitStatus.OK
    assert site.run("drift").status == ExitStatus.OK
    site.edit("user.cfg", "group:ops:", "user:mallory@pve:1:0::::::\ngroup:ops:mallory@pve,")
    ended = site.run("drift")
    assert ended.status == ExitStatus.CHANGES
    said = " ".join(ended.out.split())
    assert "Drift: 1 undeclared, 1 group has undeclared members" in said
    assert "mallory@pve is a member of ops, but not declared" in said
    assert "mallory@pve is a member of ops" in " ".join(site.run("plan").out.split())
    assert site.run("explain", "UNDECLARED_MEMBER").status == ExitStatus.OK


def test_plan_and_drift_send_to_the_run_that_is_not_at_its_end(site: Site) -> None:
    """`apply` would refuse to begin, so it is not what they name."""
    killed = 'secret_to = { command = ["sh", "-c", "kill -9 $PPID"] }'
    site.write("a.toml", f'[user."new@pve"]\n[user."new@pve".token.t1]\n{killed}\n')
    site.run("apply", "--yes")
    site.write("b.toml", "[group.more]\n")
    for command in (["plan"], ["drift"], ["plan", "--out", "p.json"]):
        ended = site.run(*command)
        assert "A previous run is unfinished: run `pvectl status`" in ended.out
        assert "pvectl apply" not in ended.out + ended.err
