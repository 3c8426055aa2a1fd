"""What an earlier or a living run means for the next command, seen through the installed one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site
from tests.support.command import PVECTL, environment

WAITING = """
[group.first]

[user."new@pve"]

[user."new@pve".token.t1]
secret_to = {{ command = ["sh", "-c", "touch ran; while [ ! -e go ]; do sleep 0.02; done; {}"] }}
"""
"""A run that waits in its middle until the file `go` is there, and what then becomes of it."""

KILLED = """
[group.first]

[user."new@pve"]

[user."new@pve".token.t1]
secret_to = { command = ["sh", "-c", "kill -9 $PPID"] }

[group.last]
"""


@contextmanager
def running(site: Site, *arguments: str, env: Mapping[str, str] = {}) -> Iterator[Run]:
    """A command that has come to its middle; it goes on when the block ends."""
    with (site.folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [PVECTL, *arguments],
            cwd=site.folder,
            env=environment({**site.env, **env}),
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        run = Run(process, site)
        try:
            run.until(site.state / "ran")
            yield run
        finally:
            (site.state / "go").touch()
            run.status = process.wait(60)


class Run:
    """`status` and `err` once it has ended."""

    def __init__(self, process: subprocess.Popen[bytes], site: Site) -> None:
        self._process, self._site = process, site
        self.pid = process.pid
        self.status: int | None = None

    @property
    def err(self) -> str:
        return (self._site.folder / "err").read_text()

    def until(self, path: Path) -> None:
        while not path.exists():
            assert self._process.poll() is None, self.err
            time.sleep(0.01)

    def interrupt(self, words: str) -> None:
        """Send INT, and wait until the run has answered with these words."""
        os.kill(self.pid, signal.SIGINT)
        while words not in self.err:
            assert self._process.poll() is None, self.err
            time.sleep(0.01)


def test_a_living_run_is_waited_for_and_never_taken_for_a_dead_one(site: Site) -> None:
    site.write("a.toml", WAITING.format("cat"))
    with running(site, "apply", "--yes", env={"PVECTL_RUN_URL": "https://ci/17"}) as run:
        for command in (["apply", "--yes"], ["resume"], ["rollback"], ["rotate", "new@pve!t1"]):
            refused = site.run(*command)
            assert refused.status == ExitStatus.LOCKED, refused
            assert f"running now, pid {run.pid}, since 20" in refused.err
            assert "https://ci/17" in refused.err
        told = site.run("status")
        assert told.status == ExitStatus.LOCKED
        assert f"In progress, pid {run.pid}" in told.out
        assert "pvectl resume" not in told.out
        as_json = json.loads(site.run("status", "--format", "json").out)
        assert as_json["running"].startswith(f"pid {run.pid}")
    assert run.status == ExitStatus.OK, run.err
    assert site.run("status").status == ExitStatus.OK
    assert site.run("apply", "--yes").status == ExitStatus.OK


def test_a_journal_whose_process_is_dead_is_unfinished(site: Site) -> None:
    many = "".join(f"[group.g{number:02}]\n" for number in range(30))
    site.write("a.toml", KILLED + many)
    assert site.run("apply", "--yes").status == -signal.SIGKILL
    refused = site.run("apply", "--yes")
    assert refused.status == ExitStatus.UNFINISHED
    assert "pvectl status" in refused.err
    told = site.run("status").out
    assert told.startswith("Stopped at step 34 of 34: of 34 objects, 34 done; "), told
    assert len(told.splitlines()) < 34, "everything once"
    assert re.search(r"1-33\. done +33 steps, from: create group ", told)
    assert re.search(r"34\. created, secret possibly not delivered +create token new@pve!t1", told)
    assert told.partition("in addition to the steps")[2].count("new@pve") == 1
    assert "group.g07" not in told


def test_status_needs_no_cluster_to_tell_what_the_journal_says(site: Site) -> None:
    site.write("a.toml", KILLED)
    site.run("apply", "--yes")
    with _out_of_reach(site):
        told = site.run("status")
        assert told.status == ExitStatus.UNFINISHED, told
        first = told.out.splitlines()[0]
        assert first.startswith("Stopped at step ")
        assert first.endswith("; run `pvectl resume`.")
        assert "The cluster could not be read" in told.out
        assert "connection refused" in told.out
        assert "systemctl status pveproxy" in told.out
        assert "Objects according to the journal" in told.out
        assert "pvectl resume" in told.out
        as_json = json.loads(site.run("status", "--format", "json").out)
    assert as_json["locks"] is None
    assert "connection refused" in as_json["unreachable"]
    assert as_json["run"]["verified"] is False
    assert as_json["run"]["objects"] == {
        "group.first": "done",
        "group.last": "done",
        "user.new@pve": "done",
        "token.new@pve!t1": "unknown",
    }
    assert site.run("rollback").status == ExitStatus.OK
    with _out_of_reach(site):
        assert site.run("status").status == ExitStatus.UNREACHABLE


@contextmanager
def _out_of_reach(site: Site) -> Iterator[None]:
    """Nobody listens at the cluster's port; its journals stay where they are."""
    folder = next((site.folder / "home" / "journal").iterdir())
    site.target(endpoint="https://127.0.0.1:9")
    moved = folder.rename(folder.with_name("127.0.0.1_9"))
    try:
        yield
    finally:
        moved.rename(folder)
        site.target()


def test_a_signal_is_answered_with_what_it_leads_to(site: Site) -> None:
    site.write("a.toml", WAITING.format("cat"))
    with running(site, "apply", "--yes") as run:
        run.interrupt("finishing the request, then rolling back; signal again to stop at once")
    assert run.status == ExitStatus.INTERRUPTED
    assert "first" not in site.user_cfg()
    assert site.run("status").status == ExitStatus.OK


def test_a_signal_past_the_point_of_no_return_promises_no_rollback(site: Site) -> None:
    site.write("a.toml", WAITING.format("cat"))
    (site.state / "go").touch()
    assert site.run("apply", "--yes").status == ExitStatus.OK
    for name in ("go", "ran"):
        (site.state / name).unlink()
    with running(site, "rotate", "new@pve!t1", "--yes") as run:
        run.interrupt("the run cannot be rolled back any more; signal again to stop at once")
    assert run.status == ExitStatus.INTERRUPTED
    assert "the run had finished before the signal took effect" in run.err
    assert site.run("status").status == ExitStatus.OK
    assert site.run("plan", "--detailed-exitcode").status == ExitStatus.OK


def test_a_second_signal_says_what_to_type(site: Site) -> None:
    site.write("a.toml", WAITING.format("cat"))
    with running(site, "apply", "--yes") as run:
        run.interrupt("signal again to stop at once")
        os.kill(run.pid, signal.SIGINT)
    assert run.status == ExitStatus.NOT_RESTORED
    assert (
        "stopped at once: `pvectl status` shows what is done, `pvectl resume` finishes" in run.err
    )
    assert site.run("status").status == ExitStatus.UNFINISHED
    assert site.run("rollback").status == ExitStatus.OK


@pytest.mark.parametrize(
    ("name", "words"),
    [("nope.json", "No such file"), ("state", "Is a directory"), ("a.txt", "is not a saved plan")],
)
def test_what_is_not_a_plan_file_is_wrong_usage(site: Site, name: str, words: str) -> None:
    (site.folder / "a.txt").write_text("[group.ops]\n")
    refused = site.run("apply", name)
    assert refused.status == ExitStatus.USAGE, refused
    assert words in refused.err
    assert "pvectl plan --out" in refused.err


@pytest.mark.parametrize("words", ["--help", "plan --help", "--version", "plan", "status"])
def test_a_reader_that_never_reads_is_not_an_error(site: Site, words: str) -> None:
    site.write("a.toml", "[group.ops]\n")
    ended = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$0" {words} | true', PVECTL],
        capture_output=True,
        cwd=site.folder,
        env=environment(site.env),
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_command_that_a_message_names_means_the_same_cluster(site: Site) -> None:
    """With another state folder than the usual one, named commands carry it."""
    site.write("a.toml", KILLED)
    place = site.state.rename(site.folder / "other one")
    moved, options = place.name, "--state 'other one'"
    try:
        planned = site.run("plan", "--state", moved, "--target", "group.first")
        assert f"pvectl apply {options} --target group.first" in planned.out
        saved = site.run("plan", "--state", moved, "--out", "p.json")
        assert f"pvectl apply {options} p.json" in saved.err
        assert site.run("apply", "--state", moved, "--yes").status == -signal.SIGKILL
        refused = site.run("apply", f"--state={moved}", "--yes")
        assert f"pvectl resume {options}` finishes it" in " ".join(refused.err.split())
        assert f"pvectl resume {options}" in site.run("status", "--state", moved).out
        assert site.run("rollback", "--state", moved).status == ExitStatus.OK
    finally:
        place.rename(site.state)


def test_an_allowed_plan_names_the_command_that_allows_it(site: Site) -> None:
    site.settings = '[protected]\nnever_change = ["group.ops"]'
    site.target()
    site.write("a.toml", "[group.ops]\n")
    planned = site.run("plan", "--allow", "PROTECTED=group.ops")
    assert "pvectl apply --allow PROTECTED=group.ops" in planned.out


ANNA = """
[group.ops]

[user."anna@pve"]
comment = "{}"
groups = [{}]
expires = {}
"""


def _saved(site: Site, comment: str, groups: str, expires: str = "0") -> None:
    """anna@pve is there, and a plan that changes this user is saved."""
    site.write("a.toml", ANNA.format("Anna", '"ops"', "0"))
    assert site.run("apply", "--yes").status == ExitStatus.OK
    site.write("a.toml", ANNA.format(comment, groups, expires))
    assert site.run("plan", "--out", "p.json").status == ExitStatus.OK


def test_a_stale_plan_names_the_fields_that_differ(site: Site) -> None:
    _saved(site, "Anna M.", "", "2030-01-01")
    site.edit("user.cfg", "user:anna@pve:1:0:::", "user:anna@pve:1:1900022400:::")
    site.edit("user.cfg", ":Anna:", ':on call%3A \\ "x":')
    site.edit("user.cfg", "group:ops:anna@pve:", "group:ops::")
    refused = site.run("apply", "p.json")
    assert refused.status == ExitStatus.STALE
    assert refused.err.splitlines() == [
        "error E_STALE: the cluster has changed since the plan was made",
        "  user.anna@pve: expires: never → 2030-03-18; "
        'comment: Anna → "on call: \\\\ \\"x\\""; groups: -ops',
        "  plan again, then review and apply the new plan",
    ]


def test_a_plan_that_was_applied_already_says_so(site: Site) -> None:
    _saved(site, "Anna M.", "")
    assert site.run("apply", "p.json").status == ExitStatus.OK
    again = site.run("apply", "p.json")
    assert again.status == ExitStatus.STALE
    assert "E_STALE: already applied: the cluster is as this plan declares it" in again.err
    site.edit("user.cfg", "Anna M.", "by hand")
    assert 'comment: Anna → "by hand"' in site.run("apply", "p.json").err


def test_a_conflict_names_what_was_planned_and_what_was_found(site: Site) -> None:
    cfg = site.cluster.folder / "user.cfg"
    meddle = f"sed -i 's/:Anna M.:/:by hand:/' {cfg}"
    _saved(site, "Anna M.", '"ops"')
    site.write(
        "b.toml",
        f"""
[user."anna@pve".token.t1]
secret_to = {{ command = ["sh", "-c", "{meddle}"] }}
[group.zz]
""",
    )
    ended = site.run("apply", "--yes")
    assert ended.status == ExitStatus.NOT_RESTORED, ended
    words = " ".join(ended.out.split())
    assert 'planned comment: Anna → "Anna M.", found comment: Anna → "by hand"' in words
    assert "[" not in words
    left = site.run("status")
    assert left.status == ExitStatus.NOT_RESTORED, left
    assert "user.anna@pve" in left.out
    assert "No unfinished run" not in left.out
    journal = sorted((site.folder / "home").rglob("*.jsonl"))[-1]
    assert f"`pvectl show {journal}`" in " ".join(left.out.split())
    assert site.run("show", journal).status == ExitStatus.OK
    assert json.loads(site.run("status", "--format", "json").out)["left"]["objects"]
    site.edit("user.cfg", ":by hand:", ":Anna:")
    assert site.run("status").status == ExitStatus.OK


def test_the_rollback_of_a_finished_run_is_listed_before_the_prompt(site: Site) -> None:
    _saved(site, "Anna M.", "")
    site.write("b.toml", "[group.zz]\n")
    assert site.run("apply", "--yes").status == ExitStatus.OK
    journal = sorted((site.folder / "home").rglob("*.jsonl"))[-1]
    before = site.cluster_files()
    asked = site.run("rollback", journal)
    assert asked.status == ExitStatus.USAGE
    assert asked.out == ""
    assert asked.err.splitlines()[:3] == [
        "Will be rolled back, if unchanged since the run:",
        '  change user anna@pve: comment: "Anna M." → Anna; groups: +ops',
        "  delete group zz",
    ]
    assert "nothing is left to do" not in asked.err
    assert site.cluster_files() == before
    done = site.run("rollback", journal.name, "--yes")  # as `pvectl log` shows it
    assert done.status == ExitStatus.OK, done
    assert "delete group zz" in done.err
    assert ":Anna:" in site.user_cfg()
    again = site.run("rollback", journal, "--yes")
    assert again.status == ExitStatus.OK
    assert "no change of this run is left to undo" in again.err
    assert "group zz" in site.run("show", journal.name).out
    unknown = site.run("rollback", "x.jsonl", "--yes")
    assert (unknown.status, "pvectl log" in unknown.err) == (ExitStatus.USAGE, True)


def test_a_finished_run_that_nothing_takes_back_is_not_asked_about(site: Site) -> None:
    site.write("a.toml", WAITING.format("cat"))
    (site.state / "go").touch()
    assert site.run("apply", "--yes").status == ExitStatus.OK
    assert site.run("rotate", "new@pve!t1", "--yes").status == ExitStatus.OK
    journal = sorted((site.folder / "home").rglob("*.jsonl"))[-1]
    refused = site.run("rollback", journal)
    assert refused.status == ExitStatus.NOT_RESTORED
    assert "token.new@pve!t1 is irreversible and was applied" in refused.err
    assert site.run("status").status == ExitStatus.OK
