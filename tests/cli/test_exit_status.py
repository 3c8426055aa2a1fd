"""One run of the installed command for each row of the table of exit statuses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import SELF_BACKUP, Site
from tests.support.command import Ended

TOKEN = (
    '[user."new@pve"]\n[user."new@pve".token.t1]\nsecret_to = {{ command = ["sh", "-c", "{}"] }}\n'
)
"""A token whose secret goes to a shell; it is asked for in the middle of a run."""


def _ok(site: Site) -> Ended:
    site.write("a.toml", SELF_BACKUP)
    return site.run("apply", "--yes")


def _bug(site: Site) -> Ended:
    """A library that breaks in a way that nobody foresaw."""
    (site.folder / "tomllib.py").write_text(
        "TOMLDecodeError = ValueError\ndef loads(text): 1 / 0\n"
    )
    return site.run("validate", env={"PYTHONPATH": str(site.folder)})


def _changes(site: Site) -> Ended:
    site.write("a.toml", SELF_BACKUP)
    return site.run("plan", "--detailed-exitcode")


def _files_invalid(site: Site) -> Ended:
    site.write("a.toml", "[group.g\n")
    return site.run("validate")


def _refused(site: Site) -> Ended:
    site.settings = '[protected]\nnever_change = ["group.ops"]'
    site.target()
    site.write("a.toml", "[group.ops]\n")
    return site.run("apply", "--yes")


def _stale(site: Site) -> Ended:
    site.write("a.toml", "[group.ops]\n")
    assert site.run("plan", "--out", "p.json").status == ExitStatus.OK
    site.edit("user.cfg", "", "group:ops::by hand:\n")
    return site.run("apply", "p.json")


def _locked(site: Site) -> Ended:
    site.write("a.toml", "[group.ops]\n")
    fields = {"owner": "ci@elsewhere", "run": "", "until": int(time.time()) + 200}
    comment = "lock of pvectl " + json.dumps(fields, sort_keys=True)
    site.edit("user.cfg", "", f"group:pvectl-lock-7::{comment.replace(':', '%3A')}:\n")
    return site.run("apply", "--yes")


def _unreachable(site: Site) -> Ended:
    site.target(endpoint="https://127.0.0.1:9")
    return site.run("plan")


def _blind(site: Site) -> Ended:
    site.give_token("weak@pve!t1", "33333333-2222-4333-8444-555555555555")
    site.target("weak@pve!t1")
    return site.run("plan")


def _restored(site: Site) -> Ended:
    site.write("a.toml", TOKEN.format("exit 1"))
    return site.run("apply", "--yes")


def _not_restored(site: Site) -> Ended:
    """Somebody changes what the run has just made, and then the run fails."""
    cfg = site.cluster.folder / "user.cfg"
    site.write("a.toml", TOKEN.format(f"sed -i 's/:new@pve:1:0/:new@pve:1:9/' {cfg}; exit 1"))
    return site.run("apply", "--yes")


def _unfinished(site: Site) -> Ended:
    site.write("a.toml", TOKEN.format("kill -9 $PPID"))
    assert site.run("apply", "--yes").status == -9
    return site.run("apply", "--yes")


def _secrets(site: Site) -> Ended:
    site.write("a.toml", '[user."new@pve"]\npassword = { env = "NO_SUCH_VARIABLE" }\n')
    return site.run("apply", "--yes")


def _usage(site: Site) -> Ended:
    return site.run("plan", "--no-such-option")


def _interrupted(site: Site) -> Ended:
    site.write("a.toml", TOKEN.format("kill -INT $PPID"))
    return site.run("apply", "--yes")


def _terminated(site: Site) -> Ended:
    site.write("a.toml", TOKEN.format("kill -TERM $PPID"))
    return site.run("apply", "--yes")


def _hung_up(site: Site) -> Ended:
    """Terminal, shell and service manager may all say so."""
    site.write("a.toml", TOKEN.format("kill -HUP $PPID; kill -HUP $PPID"))
    return site.run("apply", "--yes")


JOB = '[backup.nightly]\nschedule = "02:30"\nguests = [9001, 9999]\n'


def _not_saved(site: Site) -> Ended:
    """The only guest of the job that is asked for does not exist."""
    site.write("a.toml", JOB)
    return site.run("backup", "run", "nightly", "--guest", "9999", "--yes")


def _partly_saved(site: Site) -> Ended:
    site.write("a.toml", JOB)
    return site.run("backup", "run", "nightly", "--yes")


DRILL = """
[drill]
ids = "9900-9909"
storage = "local-lvm"
timeout = "1s"

[drill.guest.9001]
check = { command = ["false"] }
"""


def _not_proven(site: Site) -> Ended:
    site.settings = DRILL
    site.target()
    site.write("a.toml", JOB.replace(", 9999", ""))
    assert site.run("backup", "run", "nightly", "--yes").status == ExitStatus.OK
    return site.run("drill", "--guest", "9001", "--yes")


EXAMPLES: dict[ExitStatus, tuple[Callable[[Site], Ended], str]] = {
    ExitStatus.OK: (_ok, ""),
    ExitStatus.BUG: (_bug, "This is a bug in pvectl"),
    ExitStatus.CHANGES: (_changes, ""),
    ExitStatus.FILES_INVALID: (_files_invalid, ""),
    ExitStatus.REFUSED: (_refused, "plan rejected by policy: PROTECTED"),
    ExitStatus.STALE: (_stale, "the cluster has changed since the plan was made"),
    ExitStatus.LOCKED: (_locked, "ci@elsewhere holds the lock"),
    ExitStatus.UNREACHABLE: (_unreachable, "connection refused"),
    ExitStatus.BLIND: (_blind, "weak@pve!t1 cannot see enough to decide"),
    ExitStatus.RESTORED: (_restored, ""),
    ExitStatus.NOT_RESTORED: (_not_restored, ""),
    ExitStatus.UNFINISHED: (_unfinished, "a previous run is unfinished"),
    ExitStatus.NOT_SAVED: (_not_saved, "will back up 1 guest to storage local"),
    ExitStatus.PARTLY_SAVED: (_partly_saved, "will back up 2 guests to storage local"),
    ExitStatus.NOT_PROVEN: (_not_proven, "checking: command: false"),
    ExitStatus.SECRETS: (_secrets, "a secret is missing"),
    ExitStatus.USAGE: (_usage, "--no-such-option"),
    ExitStatus.HUNG_UP: (_hung_up, "finishing the request, then rolling back"),
    ExitStatus.INTERRUPTED: (_interrupted, ""),
    ExitStatus.TERMINATED: (_terminated, ""),
}
"""Row of the table -> what leads to it, and what is said about it on standard error."""


@pytest.mark.parametrize("status", ExitStatus, ids=lambda status: f"{int(status)}")
def test_exit_status(status: ExitStatus, site: Site) -> None:
    lead, words = EXAMPLES[status]
    ended = lead(site)
    assert ended.status == status, ended
    assert words in ended.err
    assert "Traceback" not in ended.err


RESTORING = [
    ExitStatus.RESTORED,
    ExitStatus.HUNG_UP,
    ExitStatus.INTERRUPTED,
    ExitStatus.TERMINATED,
]


@pytest.mark.parametrize("status", RESTORING, ids=lambda status: f"{int(status)}")
def test_what_was_restored_is_as_before(status: ExitStatus, site: Site) -> None:
    EXAMPLES[status][0](site)
    assert "new@pve" not in site.user_cfg()
    assert site.run("status").status == ExitStatus.OK
