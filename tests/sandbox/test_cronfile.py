"""vzdump.cron is read as Proxmox VE reads it (PVE::VZDump::Common, `get_options`)."""

from __future__ import annotations

from reconciler.sandbox.config.cronfile import parse

LINES = """PATH="/usr/sbin:/usr/bin:/sbin:/bin"
0 3 * * sat,0 root vzdump --all --exclude 100 --exclude 101,102 --mailto a@x.org --mailto b@x.org
30 1 * * 1,3-5 root vzdump 100
*/5 2 * * * root vzdump 100
"""


def test_jobs_are_read_and_other_lines_are_kept_and_told() -> None:
    told: list[int] = []
    found = parse(LINES.encode(), lambda line, _: told.append(line))
    (job,) = found.jobs.values()
    assert (job["schedule"], job["all"], job["exclude"]) == ("sat,sun 03:00", 1, "100,101,102")
    assert job["mailto"] == "a@x.org,b@x.org"
    assert told == [3, 4]
    assert found.rest == LINES.splitlines()[2:]
