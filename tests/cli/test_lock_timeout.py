"""`--lock-timeout`: another run is waited for, on this machine and in the cluster."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler.cli.run import lock_wait
from reconciler.errors import ExitStatus
from reconciler.execution.lock.local import local_lock
from reconciler.model.request import request
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask
from tests.support.command import copy_fixture


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(lock_wait, "POLL", 0.05)
    copy_fixture("fresh", tmp_path / "pve")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a.toml").write_text("[group.ops]\n")
    return tmp_path


def _lock(place: Path, until: str) -> None:
    """A lock of a run on another machine, as its group's comment has it."""
    fields = {"fence": 7, "host": "other", "owner": "bob@ci", "run": "", "until": "UNTIL"}
    comment = "lock of pvectl " + json.dumps(fields).replace('"UNTIL"', until)
    post = request("POST", "access", "groups", groupid="pvectl-lock-7", comment=comment)
    SandboxApi(place / "pve").send(post)


def test_a_run_of_another_machine_is_waited_for(place: Path) -> None:
    _lock(place, str(int(time.time()) + 4))
    command = ("apply", "--yes")
    refused = ask(*command, on=place / "pve", state=place / "state")
    assert refused.status == ExitStatus.LOCKED
    assert "bob@ci holds the lock" in refused.err
    assert "--lock-timeout" in refused.err
    done = ask(*command, "--lock-timeout", "20s", on=place / "pve", state=place / "state")
    assert done.status == ExitStatus.OK, done
    assert "waiting up to 20 s: bob@ci holds the lock" in done.err
    assert "group:ops" in (place / "pve" / "user.cfg").read_text()


def test_a_run_of_this_machine_is_waited_for_and_the_plan_is_made_afterwards(place: Path) -> None:
    held, free = threading.Event(), threading.Event()
    assert ask("apply", "--yes", on=place / "pve", state=place / "state").status == ExitStatus.OK
    (folder,) = (path.parent for path in (place / "home").rglob("lock"))

    def other() -> None:
        with local_lock(folder, "other"):
            held.set()
            free.wait(10)
            put = request("PUT", "access", "groups", "ops", comment="theirs")
            SandboxApi(place / "pve").send(put)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(10)
    (place / "state" / "a.toml").write_text('[group.ops]\ncomment = "mine"\n')
    threading.Timer(0.3, free.set).start()
    done = ask("apply", "--yes", "--lock-timeout", "20s", on=place / "pve", state=place / "state")
    thread.join()
    assert done.status == ExitStatus.OK, done
    assert "theirs" in done.out


@pytest.mark.parametrize("command", ["resume", "rollback"])
def test_a_recovery_waits_as_well(place: Path, command: str) -> None:
    where = {"on": place / "pve", "state": place / "state"}
    assert ask("apply", "--yes", **where).status == ExitStatus.OK
    (folder,) = (path.parent for path in (place / "home").rglob("lock"))
    with ExitStack() as held:
        held.enter_context(local_lock(folder, "other"))
        locked = ask(command, **where)
        assert locked.status == ExitStatus.LOCKED
        assert "--lock-timeout" in locked.err
        threading.Timer(0.2, held.close).start()
        done = ask(command, "--lock-timeout", "20s", **where)
    assert (done.status, "there is no unfinished run" in done.err) == (ExitStatus.OK, True), done


@pytest.mark.parametrize(("until", "limit"), [("9999999999", "20s"), ("x", "20s"), ("N", "1s")])
def test_what_will_not_pass_is_not_waited_for(place: Path, until: str, limit: str) -> None:
    """A forged lock, one that cannot be read, and the end of the time."""
    _lock(place, until.replace("N", str(int(time.time()) + 200)))
    began = time.monotonic()
    given = ("--lock-timeout", limit)
    ended = ask("apply", "--yes", *given, on=place / "pve", state=place / "state")
    assert ended.status == ExitStatus.LOCKED
    assert time.monotonic() - began < 10
    assert ("waiting up to" in ended.err) is (limit == "1s")


def test_a_period_is_a_period(place: Path) -> None:
    wrong = ask("apply", "--lock-timeout", "soon", state=place / "state")
    assert wrong.status == ExitStatus.USAGE
    assert "write a number and a unit: 90s, 10m, 30d" in " ".join(wrong.err.split())
