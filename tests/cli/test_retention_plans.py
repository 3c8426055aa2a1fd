"""A plan that changes what is kept says which archives would go, before they are gone."""

from __future__ import annotations

import json
import shutil

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site

JOB = """[backup.felhom-nightly]
comment = "customer guest"
schedule = "02:30"
storage = "local"
compress = "zstd"
mode = "snapshot"
guests = [9001]
keep = KEEP
"""
TODAY = "{ daily = 7, weekly = 4 }"
NARROW = "{ last = 3 }"
ALLOW = "LOSES_ARCHIVES=backup.felhom-nightly"


@pytest.fixture
def saved(with_archives: Site) -> Site:
    """Its job is declared as it is: nothing differs."""
    with_archives.write("backup.toml", JOB.replace("KEEP", TODAY))
    return with_archives


def words(text: str) -> str:
    return " ".join(text.split())


def dry_run(site: Site, rules: str) -> set[str]:
    """What the cluster's own dry run would remove."""
    from reconciler.model.request import request
    from reconciler.sandbox.http.direct import SandboxApi

    path = ("nodes", "demo-felhom", "storage", "local", "prunebackups")
    asked = request("GET", *path, prune_backups=rules)
    asked = asked._replace(params=(("prune-backups", rules),))
    rows = SandboxApi(site.cluster.folder).get([asked])[0]
    return {row["volid"] for row in rows if row["mark"] == "remove"}


def test_a_narrower_retention_is_refused_until_it_is_allowed_by_name(saved: Site) -> None:
    assert saved.run("plan", "--detailed-exitcode").status == ExitStatus.OK
    saved.write("backup.toml", JOB.replace("KEEP", NARROW))
    lost = dry_run(saved, "keep-last=3") - dry_run(saved, "keep-daily=7,keep-weekly=4")
    assert len(lost) > 3
    refused = saved.run("plan", "--format", "text", "--format", "json=plan.json")
    assert refused.status == ExitStatus.REFUSED, refused
    assert (
        f"would permanently remove {len(lost)} archives at its next run that are kept today"
        in words(refused.out)
    )
    assert f"{len(lost)} of 16 of guest 9001 on local" in words(refused.out)
    assert "--allow 'LOSES_ARCHIVES=backup.felhom-nightly'" in refused.out
    allowed = ("--allow", ALLOW)
    planned = saved.run("plan", "--out", "plan.json", *allowed)
    assert planned.status == ExitStatus.OK, planned
    assert "(allowed)" in planned.out
    applied = saved.run("apply", "plan.json", "--yes")
    assert applied.status == ExitStatus.OK, applied


def test_a_saved_plan_is_judged_by_the_archives_of_today(saved: Site) -> None:
    """More archives than were there when it was planned."""
    dump = saved.cluster.folder.parent / "pve.run" / "storage" / "local" / "dump"
    away = saved.folder / "away"
    shutil.move(dump, away)
    dump.mkdir()
    saved.write("backup.toml", JOB.replace("KEEP", NARROW))
    assert saved.run("plan", "--out", "plan.json").status == ExitStatus.OK
    shutil.rmtree(dump)
    shutil.move(away, dump)
    applied = saved.run("apply", "plan.json", "--yes")
    assert applied.status == ExitStatus.REFUSED, applied
    assert "LOSES_ARCHIVES" in applied.err


def test_within_the_limit_it_is_only_a_warning(saved: Site) -> None:
    saved.settings = "[limits]\narchives = 16"
    saved.target()
    saved.write("backup.toml", JOB.replace("KEEP", NARROW))
    ended = saved.run("plan")
    assert ended.status == ExitStatus.OK, ended
    assert "LOSES_ARCHIVES" in ended.out


def test_the_retention_of_a_storage_counts_for_jobs_without_their_own(saved: Site) -> None:
    saved.edit("jobs.cfg", "\tprune-backups keep-daily=7,keep-weekly=4\n", "")
    saved.write("backup.toml", JOB.replace("keep = KEEP\n", ""))
    assert saved.run("plan", "--detailed-exitcode").status == ExitStatus.OK
    storage = '[storage.local]\ntype = "dir"\npath = "/var/lib/vz"\n'
    content = 'content = ["iso", "vztmpl", "backup", "import"]\nkeep = { last = 2 }\n'
    saved.write("storage.toml", storage + content)
    ended = saved.run("plan")
    assert ended.status == ExitStatus.REFUSED, ended
    assert "backup.felhom-nightly would permanently remove 13 archives" in words(ended.out)


def test_wider_retention_loses_nothing(saved: Site) -> None:
    saved.write("backup.toml", JOB.replace("KEEP", "{ all = true }"))
    ended = saved.run("plan", "--format", "json")
    codes = [one["code"] for one in json.loads(ended.out)["findings"]]
    assert "LOSES_ARCHIVES" not in codes, ended


def test_an_auditor_sees_the_loss_in_the_plan_and_in_one_against_its_snapshot(saved: Site) -> None:
    """PVEAuditor may list no archive; the dry run still names them."""
    secret = "00000000-0000-4000-8000-00000000000e"
    saved.give_token("eye@pve!t1", secret, ["acl:1:/:eye@pve,eye@pve!t1:PVEAuditor:"])
    saved.target("eye@pve!t1", secret)
    saved.write("backup.toml", JOB.replace("KEEP", NARROW))
    lost = "9 of 16 of guest 9001 on local (the oldest one kept is from 2026-11-08 02:30:01 UTC)"
    live = saved.run("plan")
    assert (live.status, lost in words(live.out)) == (ExitStatus.REFUSED, True), live
    assert "RETENTION_DIFFERS" not in live.out
    copied = saved.run("snapshot", "--out", "copy")
    assert "listed 16 archives in copy/archives.json" in copied.err, copied
    offline = saved.run("plan", "--on", "sandbox:copy")
    assert (offline.status, lost in words(offline.out)) == (ExitStatus.REFUSED, True), offline
    assert saved.run("plan", "--on", "sandbox:copy", "--allow", ALLOW).status == ExitStatus.OK
    known = json.loads((saved.folder / "copy" / "archives.json").read_text())
    assert {row.get("size") for row in known["archives"]} == {None}


def test_plans_from_files_alone_say_that_no_archives_are_known(saved: Site) -> None:
    (saved.folder / "old").mkdir()
    (saved.folder / "old" / "backup.toml").write_text(JOB.replace("KEEP", TODAY))
    saved.write("backup.toml", JOB.replace("KEEP", NARROW))
    ended = saved.run("plan", "--against", "old")
    assert "ARCHIVES_NOT_SEEN storage.local" in words(ended.out), ended
    assert "files alone do not hold them" in words(ended.out)
    assert saved.run("snapshot", "--out", "copy").status == ExitStatus.OK
    mistaken = saved.run("plan", "--against", "copy")
    assert mistaken.status == ExitStatus.USAGE
    assert "pvectl plan --on sandbox:copy" in mistaken.err


def test_a_storage_that_a_snapshot_could_not_read_stays_unknown(saved: Site) -> None:
    assert saved.run("snapshot", "--out", "copy").status == ExitStatus.OK
    listed = saved.folder / "copy" / "archives.json"
    listed.write_text('{"unread": {"local": "it is available on no node"}, "archives": []}')
    saved.write("backup.toml", JOB.replace("KEEP", NARROW))
    ended = saved.run("plan", "--on", "sandbox:copy")
    assert ended.status == ExitStatus.OK, ended
    assert "ARCHIVES_NOT_SEEN storage.local" in words(ended.out)
    assert "are not in the snapshot: it is available on no node" in words(ended.out)


def test_what_a_job_will_hold_is_drawn_without_network(saved: Site) -> None:
    saved.target(endpoint="https://127.0.0.1:1")
    ended = saved.run("explain", "retention", "felhom-nightly")
    assert ended.status == ExitStatus.OK, ended
    assert ended.out.startswith("Retention of backup.felhom-nightly\n")
    assert "keeps  keep-daily=7, keep-weekly=4" in ended.out
    assert "#######  7 archives, the oldest " in ended.out
    unknown = saved.run("explain", "retention", "felhom")
    assert unknown.status == ExitStatus.USAGE
    assert "declared jobs: felhom-nightly" in unknown.err
    missing = saved.run("explain", "retention")
    assert missing.status == ExitStatus.USAGE
    assert "pvectl explain retention JOB" in missing.err
    often = JOB.replace("KEEP", "{ last = 2 }").replace("02:30", "*:*")
    saved.write("backup.toml", often)
    assert "runs very often" in saved.run("explain", "retention", "felhom-nightly").out
