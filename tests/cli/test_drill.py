"""`pvectl drill`, over HTTPS: archives restored under other ids, proven, and removed again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.errors import ExitStatus
from reconciler.model.request import request
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask
from tests.cli.site import Site, files_of
from tests.execution.drilling import make
from tests.execution.size import some
from tests.support.command import PVECTL, Ended, copy_fixture, environment, sandbox
from tests.support.pveum import pveum, run_lines

NODE = "demo-felhom"
DRILL = """
[drill]
ids = "9900-9903"
storage = "local-lvm"
timeout = "5s"
"""
CHECKED = """
[drill.guest.9000]
check = { agent = ["cat", "/etc/sentinel"] }
"""
JOB = """
[backup.nightly]
schedule = "02:30"
storage = "local"
guests = [9000, 9001]
"""


class Lab:
    """A cluster of its own, whose guests were saved: the virtual machine while it ran, the
    container while it was stopped."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.pve = site.cluster.folder
        self.run = self.pve.with_name("pve.run")

    def settings(self, text: str) -> None:
        self.site.settings = text
        self.site.target()

    def api(self, method: str, path: str, **params: str) -> Any:
        api = SandboxApi(self.pve, "root@pam")
        asked = request(method, *path.strip("/").split("/"), **params)
        return api.get([asked])[0] if method == "GET" else api.send(asked)

    def guests(self) -> dict[str, bytes]:
        """Configurations and disks."""
        found = files_of(self.pve / "nodes")
        return {**found, **files_of(self.run / "storage" / "local-lvm")}

    def behave(self, vmid: int, **behaviour: Any) -> None:
        folder = self.run / f"storage/local-lvm/images/vm-{vmid}-disk-0/etc"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sandbox.json").write_text(json.dumps(behaviour))

    def save(self, *guests: int) -> None:
        """Archives of now; earlier ones go, since two of one second would be one."""
        for guest in guests:
            for path in (self.run / "storage/local/dump").glob(f"*-{guest}-*"):
                path.unlink()
        self.api("POST", f"/nodes/{NODE}/vzdump", vmid=",".join(map(str, guests)), storage="local")

    def drill(self, *arguments: object, **env: str) -> Ended:
        return self.site.run("drill", *arguments, "--yes", env=env)


@contextlib.contextmanager
def lab(folder: Path, **env: str) -> Iterator[Lab]:
    pve = copy_fixture("fresh", folder / "cluster" / "pve")
    with sandbox(pve, {"PVECTL_SANDBOX_LOCK_WAIT": "0.5", **env}) as served:
        site = Site(folder / "site", served, {})
        site.folder.mkdir()
        site.env["PVECTL_HOME"] = str(site.home)
        made = Lab(site)
        made.settings(DRILL + CHECKED)
        site.write("backup.toml", JOB)
        disk = made.run / "storage/local-lvm/images/vm-9000-disk-0/etc"
        disk.mkdir(parents=True)
        (disk / "sentinel").write_text("alive\n")
        made.api("PUT", f"/nodes/{NODE}/qemu/9000/config", agent="1", tags="web;prod")
        made.api("POST", f"/nodes/{NODE}/qemu/9000/status/start")
        made.save(9000, 9001)
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("drill")) as made:
        yield made


@pytest.fixture
def one(shared: Lab) -> Iterator[Lab]:
    """The shared cluster, with the settings and archives that it began with; nothing of a drill may
    be left on it."""
    shared.settings(DRILL + CHECKED)
    shutil.rmtree(shared.site.home / "journal", ignore_errors=True)
    before = shared.guests()
    dump = shared.run / "storage/local/dump"
    archives = files_of(dump)
    yield shared
    assert shared.guests() == before
    shutil.rmtree(dump)
    for name, content in archives.items():
        (dump / name).parent.mkdir(parents=True, exist_ok=True)
        (dump / name).write_bytes(content)


def test_the_round_trip(one: Lab) -> None:
    """One archive of a running virtual machine, one of a stopped container."""
    keep = 'cp "$PVE/nodes/$PVECTL_DRILL_NODE/lxc/$PVECTL_DRILL_ID.conf" "$HERE/seen.conf"'
    check = f"\n[drill.guest.9001]\ncheck = {{ command = ['sh', '-c', '{keep}'] }}\n"
    one.settings(DRILL + CHECKED + check)
    env = {"PVE": str(one.pve), "HERE": str(one.site.folder)}
    formats = ("json=d.json", "junit=d.xml", "metrics=d.prom", "markdown=d.md", "text")
    ended = one.drill(*(word for name in formats for word in ("--format", name)), **env)
    assert ended.status == ExitStatus.OK, ended
    print(ended.out)  # the table with our times: pytest -rP
    assert ended.out.startswith("Restore drill: 2 archives restored; nothing left behind.\n")
    assert "Will restore 2 archives and remove them afterwards:" in ended.err
    done = json.loads((one.site.folder / "d.json").read_text())
    assert [(row["guest"], row["verdict"], row["vmid"]) for row in done["results"]] == [
        (9000, "passed", 9900),
        (9001, "passed", 9900),
    ]
    for row in done["results"]:
        assert (row["differences"], row["left"], row["failure"]) == ([], [], "")
        assert row["restore"] > 0
        assert row["boot"] > 0
        assert row["check"] > 0
    seen = (one.site.folder / "seen.conf").read_text()
    assert "unprivileged: 1" in seen
    assert "features: nesting=1" in seen
    assert "hostname: drill-9001" in seen
    assert "link_down=1" in seen
    assert "BC:24:11:00:90:01" not in seen
    suite = ET.parse(one.site.folder / "d.xml").getroot()[0]  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures")) == ("2", "0")
    assert 'pvectl_drill_good{cluster="' in (one.site.folder / "d.prom").read_text()
    assert "Restore drill" in (one.site.folder / "d.md").read_text()
    status = one.site.run("status")
    assert status.status == ExitStatus.OK, status


def test_nothing_runs_without_a_yes_or_without_settings(one: Lab) -> None:
    ended = one.site.run("drill")
    assert ended.status == ExitStatus.USAGE
    assert "pass --yes" in ended.err
    one.settings("")
    ended = one.drill()
    assert ended.status == ExitStatus.USAGE
    assert "[drill] does not set ids and storage" in ended.err
    assert 'ids = "9900-9999"' in ended.err


def test_every_mistake_of_the_settings_is_reported_at_once(one: Lab) -> None:
    wrong = """
[drill]
ids = "9999-9900"
network = "dwon"
timeout = "soon"
sample = 0
[drill.guest.web]
check = { tcp = 5432 }
[drill.tag.db]
check = { }
"""
    one.settings(wrong)
    ended = one.site.run("validate")
    assert ended.status == ExitStatus.FILES_INVALID
    for words in (
        "'9999-9900' is not a range of guest ids",
        "down",
        "'soon' is not a period",
        "'sample' must be at least 1",
        "the check has nothing to check",
    ):
        assert words in ended.out, (words, ended.out)
    assert "pvectl.toml:7:1: error" in ended.out
    one.settings(DRILL + "[drill.guest.9001]\ncheck = { tcp = 5432 }\n")
    assert 'cannot reach a guest with network = "down"' in one.site.run("validate").out


def test_a_command_of_a_proposal_does_not_run_in_ci(one: Lab) -> None:
    one.settings(DRILL + '[drill.guest.9001]\ncheck = { command = ["touch", "pwned"] }\n')
    ended = one.drill("--guest", "9001", CI="1")
    assert ended.status == ExitStatus.FILES_INVALID
    assert "the command 'touch' is outside what state files may reach" in ended.err
    assert not (one.site.state / "pwned").exists()


@pytest.mark.parametrize(
    ("guest", "behaviour", "words"),
    [
        (9000, {"start_fails": "no such device"}, "start failed: no such device"),
        (9001, {"start_fails": "no such device"}, "no such device"),
        (9000, {"agent": False}, "the QEMU guest agent did not answer"),
        (9000, {"commands": {"cat /etc/sentinel": {"exit": 3}}}, "exit status 3"),
    ],
)
def test_what_does_not_work_is_reported_and_removed(
    one: Lab, guest: int, behaviour: dict[str, Any], words: str
) -> None:
    one.settings(DRILL.replace("5s", "1s") + CHECKED)
    one.behave(guest, **behaviour)
    one.save(guest)
    shutil.rmtree(one.run / f"storage/local-lvm/images/vm-{guest}-disk-0/etc/sandbox.json", True)
    (one.run / f"storage/local-lvm/images/vm-{guest}-disk-0/etc/sandbox.json").unlink()
    ended = one.drill("--guest", guest)
    assert ended.status == ExitStatus.NOT_PROVEN, ended
    assert ended.out.startswith("Restore drill: 1 archive failed; nothing left behind.\n")
    assert words in " ".join(ended.out.split())


def test_a_broken_archive_fails_and_the_next_one_is_restored_anyway(one: Lab) -> None:
    (archive,) = (one.run / "storage/local/dump").glob("*-9001-*.tar")
    archive.write_bytes(archive.read_bytes()[:300])
    ended = one.drill()
    assert ended.status == ExitStatus.NOT_PROVEN, ended
    assert ended.out.startswith(
        "Restore drill: 1 archive restored, 1 failed; nothing left behind.\n"
    )
    assert "the configuration in the archive cannot be read" in " ".join(ended.out.split())


def test_everything_that_is_missing_is_reported_before_anything_is_sent(one: Lab) -> None:
    free, memory = one.run / "storage/local-lvm/free", one.run / f"nodes/{NODE}.memory"
    memory.parent.mkdir(exist_ok=True)
    free.write_text("10\n")
    memory.write_text("1000000000\n")
    try:
        ended = one.drill()
    finally:
        free.unlink()
        memory.unlink()
    assert ended.status == ExitStatus.REFUSED, ended
    assert "storage local-lvm on demo-felhom has 10 B free" in ended.err
    assert "node demo-felhom has 953.7 MiB of memory free, but guest 9000 may use" in ended.err
    assert "guest 9001 may use" not in ended.err
    one.settings(DRILL.replace("local-lvm", "local"))
    ended = one.drill()
    assert "storage local does not accept images" in ended.err
    assert "storage local does not accept rootdir" in ended.err
    one.settings(DRILL.replace("local-lvm", "nosuch"))
    ended = one.drill()
    assert ended.status == ExitStatus.USAGE
    assert "storage nosuch is not available on demo-felhom" in ended.err


def test_an_agent_check_needs_an_agent(one: Lab) -> None:
    one.settings(DRILL + '[drill.guest.9001]\ncheck = { agent = ["true"] }\n')
    ended = one.drill("--guest", "9001")
    assert ended.status == ExitStatus.REFUSED
    assert "needs its QEMU guest agent for the check, but is a container" in ended.err


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_checks_over_the_network(one: Lab) -> None:
    """The restored guest's address is that of this machine, on which something listens."""
    one.behave(9000, addresses=["127.0.0.1/8"])
    sandbox_file = one.run / "storage/local-lvm/images/vm-9000-disk-0/etc/sandbox.json"
    one.save(9000)
    sandbox_file.unlink()
    as_saved = DRILL.replace("5s", "1s") + 'network = "as-saved"\n[drill.tag.web]\n'
    with HTTPServer(("127.0.0.1", 0), _Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        one.settings(f'{as_saved}check = {{ tcp = {port}, http = "/health", port = {port} }}\n')
        ended = one.drill("--guest", "9000")
        assert ended.status == ExitStatus.OK, ended
        assert f"checking: http :{port}/health" in ended.err
        one.settings(f'{as_saved}check = {{ http = "/no", port = {port} }}\n')
        ended = one.drill("--guest", "9000")
        assert ended.status == ExitStatus.NOT_PROVEN
        assert "127.0.0.1: status 404" in ended.out
        server.shutdown()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        one.settings(f"{as_saved}check = {{ tcp = {closed.getsockname()[1]} }}\n")
        ended = one.drill("--guest", "9000")
    assert ended.status == ExitStatus.NOT_PROVEN
    assert "127.0.0.1: Connection refused" in ended.out


def test_the_command_line_chooses(one: Lab) -> None:
    (archive,) = (one.run / "storage/local/dump").glob("*-9001-*.tar")
    older = archive.with_name("vzdump-lxc-9001-2026_01_01-02_30_00.tar")
    older.write_bytes(archive.read_bytes())
    assert older.name in one.drill("--guest", "9001", "--oldest").out.replace("\n    ", "")
    assert archive.name in one.drill("nightly", "--sample", "1").out + "".join(
        path.name for path in (one.run / "storage/local/dump").glob("*-9001-*.tar")
    )
    volume = f"local:backup/{older.name}"
    ended = one.drill("--archive", volume)
    assert ended.status == ExitStatus.OK, ended
    assert volume in ended.err
    for arguments, status, words in (
        (
            ("--archive", "local:backup/no"),
            ExitStatus.USAGE,
            "no archive local:backup/no of a guest is visible",
        ),
        (("nightli",), ExitStatus.USAGE, "did you mean nightly?"),
        (("--guest", "9500"), ExitStatus.BLIND, "no good archive is visible of guest 9500"),
        (("nightly", "--guest", "9001"), ExitStatus.USAGE, "cannot be combined"),
        (("--sample", "-1"), ExitStatus.USAGE, "--sample must be at least 1"),
    ):
        ended = one.drill(*arguments)
        assert ended.status == status, ended
        assert words in ended.err


def test_those_drilled_the_longest_ago_come_first(one: Lab) -> None:
    first = one.drill("--sample", "1")
    assert "guest 9000  " in first.out
    time.sleep(1)
    assert "guest 9001  " in one.drill("--sample", "1").out


def test_without_a_free_id_no_guest_is_touched(one: Lab) -> None:
    one.settings(DRILL.replace("9900-9903", "9000-9001"))
    ended = one.drill("--guest", "9001")
    assert ended.status == ExitStatus.NOT_PROVEN, ended
    assert "no free id from 9000 to 9001" in ended.out
    assert "guest 9001 (demo-ct) has an id reserved for drills" in ended.err
    assert "it is not touched" in ended.err


# What takes time: the node's tasks do, so that a drill can be met while it runs.


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("slow"), PVECTL_SANDBOX_TASK_TIME="0.4") as made:
        deadline = time.monotonic() + 20
        while len(list((made.run / "storage/local/dump").glob("*.log"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield made


def _start(slow: Lab, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PVECTL, "drill", *arguments, "--yes"],
        cwd=slow.site.folder,
        env=environment(slow.site.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without {words}")


KILLED = [
    (words, way, good)
    for words in ("as guest 9900", "starting guest", "removing guest")
    for way, good in (("resume", "passed"), ("rollback", "stopped"))
]


@pytest.mark.parametrize(("words", "way", "good"), some(KILLED, 3))
def test_killed_and_then_finished_or_undone(slow: Lab, words: str, way: str, good: str) -> None:
    before = slow.guests()
    process = _start(slow, "--guest", "9001")
    _wait_for(process, words)
    time.sleep(0.2)
    process.kill()
    process.communicate()
    status = slow.site.run("status")
    assert status.status == ExitStatus.UNFINISHED, status
    assert "guest 9900" in status.out
    again = slow.drill("--guest", "9000")
    assert again.status == ExitStatus.UNFINISHED
    assert "`pvectl rollback` removes what it made" in again.err
    ended = slow.site.run(way, "--format", "json")
    assert ended.status == ExitStatus.OK, ended
    (row,) = json.loads(ended.out)["results"]
    assert (row["verdict"], row["left"]) == (good, []), row
    assert row["resumed"]
    assert slow.guests() == before
    assert slow.site.run("status").status == ExitStatus.OK


def test_a_signal_removes_what_is_there(slow: Lab) -> None:
    before = slow.guests()
    process = _start(slow, "--guest", "9001")
    _wait_for(process, "as guest 9900")
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == ExitStatus.INTERRUPTED, (out, err)
    assert "stopping, and removing the restored guest" in err
    assert "nothing left behind" in out
    assert slow.guests() == before


def test_two_at_once(slow: Lab) -> None:
    """From one machine: each has its own guest, and `status` shows both, however long they take."""
    before = slow.guests()
    there = 'touch "at-$PVECTL_DRILL_GUEST"; [ -e go ]'
    check = f"check = {{ command = ['sh', '-c', '{there}'] }}\n"
    own = "".join(f"[drill.guest.{guest}]\n{check}" for guest in (9000, 9001))
    slow.settings(DRILL.replace('"5s"', '"2m"') + own)
    state = slow.site.folder
    both = [_start(slow, "--guest", "9000"), _start(slow, "--guest", "9001")]
    deadline = time.monotonic() + 60
    while not all(list(state.rglob(f"at-{guest}")) for guest in (9000, 9001)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running = slow.site.run("status", "--format", "json")
    assert running.status == ExitStatus.OK, running
    drills = json.loads(running.out)["drills"]
    assert [one["running"] for one in drills] == [True, True]
    assert {one["vmids"][-1] for one in drills} == {9900, 9901}
    for place in {path.parent for path in state.rglob("at-*")}:
        (place / "go").touch()
    for process in both:
        out, err = process.communicate()
        assert process.returncode == 0, (out, err)
    assert slow.guests() == before
    logged = json.loads(slow.site.run("log", "--format", "json").out)
    assert logged["holds"], [one["trouble"] for one in logged["drills"]]
    ended = {(one["guest"], one["outcome"]) for one in logged["drills"][-2:]}
    assert ended == {(9000, "passed"), (9001, "passed")}


def test_a_guest_that_was_not_drilled_in_time_is_reported(one: Lab) -> None:
    one.settings(DRILL + CHECKED.replace("[drill.guest", 'every = "30d"\n[drill.guest'))
    assert one.site.run("apply", "--yes").status == ExitStatus.OK
    assert one.drill("--guest", "9000").status == ExitStatus.OK
    formats = ("text", "json=s.json", "junit=s.xml", "metrics=s.prom")
    words = [word for name in formats for word in ("--format", name)]
    ended = one.site.run("backup", "status", *words)
    assert ended.status == ExitStatus.CHANGES, ended
    assert ended.out.startswith("Backups of 2 guests: 2 fresh, 1 drill overdue.\n")
    assert "restore drill: passed " in ended.out
    assert "restore drill: never; overdue" in ended.out
    told = json.loads((one.site.folder / "s.json").read_text())["guests"]
    assert [(row["overdue"], bool(row["drilled"])) for row in told] == [
        (False, True),
        (True, False),
    ]
    suite = ET.parse(one.site.folder / "s.xml").getroot()[0]  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    metrics = (one.site.folder / "s.prom").read_text()
    assert 'pvectl_drill_good{cluster="' in metrics
    assert f'pvectl_drills_overdue{{cluster="{one.site.cluster.url}"}} 1' in metrics
    drift = one.site.run("drift")
    assert drift.status == ExitStatus.CHANGES, drift
    assert "1 guest without a successful restore drill within 30d: 9001 (never)" in drift.out
    assert "pvectl drill --guest 9001" in drift.out
    report = one.site.run("report", "--format", "markdown", "--format", "json=r.json")
    assert "## Recoverability\n\n- **guest 9001 (demo-ct): fresh, backed up " in report.out
    assert "never drilled (overdue)**" in report.out
    assert "- guest 9000 (demo-vm): fresh, backed up " in report.out
    review = json.loads((one.site.folder / "r.json").read_text())
    assert [row["guest"] for row in review["recoverability"]] == [9000, 9001]
    waiver = '[[waive]]\ncode = "NOT_DRILLED"\nreason = "moving"\nexpires = 2037-01-01\n'
    one.site.write("waive.toml", waiver)
    assert "NOT_DRILLED" not in one.site.run("drift").out.partition("Not managed")[0]
    (one.site.state / "waive.toml").unlink()


def test_a_restored_guest_does_not_count_as_without_a_backup(one: Lab) -> None:
    """While a drill runs, or when it left something."""
    conf = one.pve / f"nodes/{NODE}/lxc"
    (conf / "9902.conf").write_text((conf / "9001.conf").read_text())
    try:
        ended = one.site.run("backup", "status")
        plan = one.site.run("plan", "--known")
    finally:
        (conf / "9902.conf").unlink()
    assert "9902" not in ended.out
    assert "9902" not in plan.out


def test_a_stale_backup_is_drift(one: Lab) -> None:
    assert one.site.run("apply", "--yes").status == ExitStatus.OK
    for path in (one.run / "storage/local/dump").iterdir():
        path.unlink()
    ended = one.site.run("drift")
    assert "NEVER_SAVED" in ended.out
    assert "backups stale" not in ended.out
    old = one.run / "storage/local/dump/vzdump-lxc-9001-2026_01_01-02_30_00.tar"
    old.write_bytes(bytes(2048))
    ended = one.site.run("drift", "--format", "text", "--format", "metrics=m.prom")
    assert ended.status == ExitStatus.CHANGES, ended
    assert "1 guest without a backup since the last scheduled run: 9001 (due " in ended.out
    assert "pvectl_backups_unproven{" in (one.site.folder / "m.prom").read_text()


TOKEN = "automation@pve!drill"
WAYS = {
    "pool": 'pool = "drills"\n',
    "not started": 'pool = "drills"\nstart = false\n',
    "as saved": 'pool = "drills"\nnetwork = "as-saved"\n',
}


def _fresh(folder: Path, way: str) -> tuple[Path, Path]:
    """A cluster with archives, and a state folder for it."""
    place = make(folder)
    state = folder / "state"
    state.mkdir()
    (state / "backup.toml").write_text(JOB)
    (state / "pvectl.toml").write_text(f"{DRILL}{WAYS[way]}{CHECKED}")
    return place.pve.folder, state


def _as(token: str, pve: Path) -> str:
    return f'[target]\nendpoint = "sandbox:{pve}"\ntoken_id = "{token}"\n'


@pytest.mark.parametrize("way", WAYS)
def test_the_smallest_grants_are_enough(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `bootstrap --for drill` prints lets its token drill both guests, and nothing else."""
    pve, state = _fresh(tmp_path, way)
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    printed = ask("bootstrap", "--for", "drill", state=state)
    assert printed.status == ExitStatus.OK, printed
    assert run_lines(SandboxApi(pve), printed.out)
    settings = (state / "pvectl.toml").read_text()
    (state / "pvectl.toml").write_text(_as(TOKEN, pve) + settings)
    before = files_of(pve / "nodes")
    ended = ask("drill", "--yes", state=state)
    assert ended.status == ExitStatus.OK, ended.out
    assert "2 archives restored; nothing left behind" in ended.out
    assert "not checked" not in ended.err
    assert files_of(pve / "nodes") == before


def test_each_privilege_that_is_missing_is_named_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that Proxmox VE would miss in its task only. All of them at once."""
    pve, state = _fresh(tmp_path, "pool")
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    lines = run_lines(SandboxApi(pve), ask("bootstrap", "--for", "drill", state=state).out)
    settings = (state / "pvectl.toml").read_text()
    (state / "pvectl.toml").write_text(_as(TOKEN, pve) + settings)
    before = files_of(pve)
    for line in lines:
        words = line.split()
        if words[:3] != ["pveum", "acl", "modify"]:
            continue
        path = words[3]
        api = SandboxApi(pve)
        pveum(api, line.replace("acl modify", "acl delete").rpartition(" --propagate")[0])
        ended = ask("drill", "--yes", state=state)
        told = " ".join((ended.out + ended.err).split())
        if path == "/nodes":
            assert ended.status == ExitStatus.OK
            assert "the memory of demo-felhom is not checked: Sys.Audit on /nodes" in told
        elif ended.status == ExitStatus.OK:
            assert f"no good archive is visible of guest {path[-4:]}: skipped" in told
        else:
            assert ended.status in {ExitStatus.REFUSED, ExitStatus.BLIND, ExitStatus.USAGE}, ended
            named = path.replace("/localnetwork", "") in told or "local-lvm" in told
            assert named or ended.status == ExitStatus.BLIND, (path, told)
            assert "restoring" not in ended.err
        pveum(api, line)
    assert files_of(pve)["user.cfg"] == before["user.cfg"]
    role = next(line for line in lines if "role modify AutomationDrillPool-drills" in line)
    names = role.partition("--privs ")[2].strip("'").split()
    api = SandboxApi(pve)
    for name in names:
        rest = " ".join(one for one in names if one != name)
        api.send(request("PUT", "access", "roles", "AutomationDrillPool-drills", privs=rest))
        ended = ask("drill", "--yes", state=state)
        assert ended.status == ExitStatus.REFUSED, (name, ended)
        assert f"{TOKEN} lacks {name} on /pool/drills" in ended.err, (name, ended)
    api.send(request("PUT", "access", "roles", "AutomationDrillPool-drills", privs=""))
    ended = ask("drill", "--yes", state=state)
    assert all(name in ended.err for name in names)
    assert "--for drill` prints the `pveum` lines" in ended.err


def test_the_smallest_grants_for_backups_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pve, state = _fresh(tmp_path, "pool")
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    lines = run_lines(SandboxApi(pve), ask("bootstrap", "--for", "backup", state=state).out)
    (state / "pvectl.toml").write_text(_as("automation@pve!backup", pve))
    time.sleep(1)
    ended = ask("backup", "run", "nightly", "--yes", state=state)
    assert ended.status == ExitStatus.OK, ended
    api = SandboxApi(pve)
    for line in (one for one in lines if one.startswith("pveum acl modify")):
        pveum(api, line.replace("acl modify", "acl delete").rpartition(" --propagate")[0])
        assert ask("backup", "run", "nightly", "--yes", state=state).status != ExitStatus.OK
        pveum(api, line)


def test_bootstrap_for_drills_says_what_it_lacks(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "backup.toml").write_text(JOB)
    assert "[drill] does not set ids" in ask("bootstrap", "--for", "drill", state=state).err
    (state / "pvectl.toml").write_text('[drill]\nids = "9000-9999"\nstorage = "s"\n')
    ended = ask("bootstrap", "--for", "drill", state=state)
    assert ended.status == ExitStatus.USAGE
    assert 'set pool = "drills"' in ended.err
    (state / "backup.toml").write_text("")
    ended = ask("bootstrap", "--for", "backup", state=state)
    assert "the files declare no enabled backup job" in ended.err


def test_the_monthly_job_of_the_examples(one: Lab) -> None:
    """Its commands as they are written, against a cluster."""
    example = Path(__file__).parents[2] / "examples" / "ci" / "drill.yml"
    steps = yaml.safe_load(example.read_text())["jobs"]["drill"]["steps"]
    drill, status = (step["run"] for step in steps if "run" in step)
    folder = one.site.folder
    env = {**environment(one.site.env), "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    env["PATH"] = f"{Path(PVECTL).parent}:{env['PATH']}"
    for script in (drill, status):
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done
    assert "Restore drill: 2 archives restored" in (folder / "summary.md").read_text()
    assert (folder / "drill.xml").exists()


def test_archives_of_a_backup_server_and_of_two_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is restored on the node of its guest."""
    pve = copy_fixture("fresh", tmp_path / "pve")
    other = pve / "nodes" / "second" / "lxc"
    other.mkdir(parents=True)
    config = (pve / f"nodes/{NODE}/lxc/9001.conf").read_text()
    (other / "9500.conf").write_text(config.replace("9001", "9500").replace("90:01", "95:00"))
    server = "\npbs: safe\n\tdatastore d\n\tserver 127.0.0.1\n\tcontent backup\n\tusername u@pbs\n"
    (pve / "storage.cfg").write_text((pve / "storage.cfg").read_text() + server)
    state = tmp_path / "state"
    state.mkdir()
    job = JOB.replace('"local"', '"safe"').replace("9000, 9001", "9001, 9500")
    (state / "backup.toml").write_text(job)
    (state / "pvectl.toml").write_text(DRILL)
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    assert ask("backup", "run", "nightly", "--yes", on=pve, state=state).status == ExitStatus.OK
    before = files_of(pve / "nodes")
    ended = ask("drill", "nightly", "--yes", "--format", "json", on=pve, state=state)
    assert ended.status == ExitStatus.OK, ended
    rows = json.loads(ended.out)["results"]
    assert [(row["guest"], row["node"], row["verdict"]) for row in rows] == [
        (9001, NODE, "passed"),
        (9500, "second", "passed"),
    ]
    assert all(row["archive"].startswith("safe:backup/ct/") for row in rows)
    assert files_of(pve / "nodes") == before


def test_archives_of_a_machine_that_had_the_id_of_the_container_are_passed_over(one: Lab) -> None:
    dump = one.run / "storage/local/dump"
    (machine,) = dump.glob("vzdump-qemu-9000-*.vma")
    shutil.copy(machine, dump / "vzdump-qemu-9001-2026_12_31-00_00_00.vma")
    ended = one.drill("--guest", "9001", "--format", "json")
    assert ended.status == ExitStatus.OK, ended
    (row,) = json.loads(ended.out)["results"]
    assert "vzdump-lxc-9001-" in row["archive"]
