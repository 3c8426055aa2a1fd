"""A declared backup job is run once on request, and its task decides."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site

JOB = """
[backup.nightly]
schedule = "02:30"
storage = "local"
guests = [9001]
"""

OPERATOR = """
[role.Operator]
privileges = [PRIVILEGES]

[user."op@pve"]

[user."op@pve".token.ci]
privsep = false
secret_to = { file = "secrets/op" }

[[acl]]
roles = ["Operator"]
paths = ["/"]
users = ["op@pve"]
"""


@pytest.fixture
def nightly(site: Site) -> Site:
    site.write("backup.toml", JOB)
    applied = site.run("apply", "--yes")
    assert applied.status == ExitStatus.OK, applied
    return site


def test_a_job_runs_now_and_its_archive_is_named(nightly: Site) -> None:
    ended = nightly.run("verify", "backup", "nightly")
    assert ended.status == ExitStatus.OK, ended
    verdict, archive = ended.out.splitlines()
    assert verdict == "backup job nightly on demo-felhom: OK"
    assert archive.startswith("  local:backup/vzdump-lxc-9001-")
    again = nightly.run("verify", "backup", "nightly")
    assert archive not in again.out, "only what this run made is named"
    assert "started on demo-felhom: UPID:" in ended.err
    assert "INFO: Starting Backup of VM 9001 (lxc)" in ended.err


@pytest.mark.parametrize(
    ("privileges", "message"),
    [
        (
            '"VM.Audit", "VM.Backup", "Datastore.Audit"',
            "backup job nightly was refused: op@pve!ci lacks Datastore.AllocateSpace on "
            "/storage/local pvectl explain 'op@pve!ci' /storage/local Datastore.AllocateSpace",
        ),
        (
            '"Sys.Audit"',
            "backup job nightly was refused: op@pve!ci lacks Datastore.Audit or "
            "Datastore.AllocateSpace on /storage/local",
        ),
    ],
)
def test_a_job_that_its_caller_cannot_run_is_refused(
    privileges: str, message: str, nightly: Site
) -> None:
    nightly.write("op.toml", OPERATOR.replace("PRIVILEGES", privileges))
    assert nightly.run("apply", "--yes").status == ExitStatus.OK
    nightly.target("op@pve!ci", (nightly.state / "secrets" / "op").read_text().strip())
    ended = nightly.run("verify", "backup", "nightly")
    assert ended.status == ExitStatus.REFUSED, ended
    assert message in " ".join(ended.err.split())
    assert ended.out == ""


def test_only_a_declared_job_can_be_run(nightly: Site) -> None:
    ended = nightly.run("verify", "backup", "nightli")
    assert ended.status == ExitStatus.USAGE
    assert "no backup job 'nightli' is declared" in ended.err
    assert "did you mean nightly?" in ended.err
