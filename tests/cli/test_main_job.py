"""Declare, plan, apply, drift, mend: the whole way, and what the delivered token may do."""

from __future__ import annotations

import json

from reconciler.errors import ExitStatus, RequestRefused
from reconciler.live.http.client import open_api
from reconciler.model.request import request
from reconciler.model.target import Target
from tests.cli.site import SELF_BACKUP, Site

TOKEN = "felhom-ctl@pve!ctl"
PAIR = "acl:1:/vms/9001:felhom-ctl@pve,felhom-ctl@pve!ctl:FelhomSelfBackup:\n"


def ask_for(site: Site, vmid: int, kind: str) -> int:
    """The HTTP status of a guest's status, asked by the token that apply delivered."""
    secret = (site.state / "secrets" / "felhom-ctl").read_text()
    target = Target(
        endpoints=(site.cluster.url,), token_id=TOKEN, fingerprint=(site.cluster.fingerprint,)
    )
    api = open_api(target, secret, read_only=True)
    path = ("nodes", "demo-felhom", kind, str(vmid), "status", "current")
    try:
        api.get([request("GET", *path)])
    except RequestRefused as refused:
        return refused.status
    finally:
        api.close()
    return 200


def test_from_freshly_installed_to_declared_and_back_after_drift(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    assert site.run("validate").status == ExitStatus.OK

    planned = site.run("plan", "--detailed-exitcode")
    assert planned.status == ExitStatus.CHANGES
    assert "7 to create, 0 to change, 0 to delete, in 5 requests" in planned.out
    assert site.untouched

    applied = site.run("apply", "--yes")
    assert applied.status == ExitStatus.OK, applied
    again = site.run("plan", "--detailed-exitcode")
    assert again.status == ExitStatus.OK
    assert "No changes" in again.out
    assert PAIR in site.user_cfg()

    sink = site.state / "secrets" / "felhom-ctl"
    assert sink.stat().st_mode & 0o777 == 0o600
    assert sink.parent.stat().st_mode & 0o777 == 0o700
    assert (ask_for(site, 9001, "lxc"), ask_for(site, 9000, "qemu")) == (200, 403)

    site.edit("user.cfg", PAIR, "")
    assert ask_for(site, 9001, "lxc") == 403
    drift = site.run("drift")
    assert drift.status == ExitStatus.CHANGES
    assert f"acl./vms/9001|token:{TOKEN}|FelhomSelfBackup" in drift.out

    mended = site.run("apply", "--yes")
    assert mended.status == ExitStatus.OK
    assert site.run("drift").status == ExitStatus.OK
    assert ask_for(site, 9001, "lxc") == 200

    shown = "".join(e.out + e.err for e in (planned, applied, again, drift, mended))
    assert sink.read_text().strip() not in shown
    assert site.env["PVECTL_TOKEN_SECRET"] not in shown


def test_no_secret_stays_in_plans_and_journals(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    site.write("b.toml", '[user."new@pve"]\npassword = { env = "FIRST_PASSWORD" }\n')
    env = {"FIRST_PASSWORD": "correct-horse-battery"}
    assert (
        site.run("plan", "--out", "p.json", "--format", "json=j.json", env=env).status
        == ExitStatus.OK
    )
    done = site.run("apply", "p.json", "--log-format", "json", env=env)
    assert done.status == ExitStatus.OK, done
    secret = (site.state / "secrets" / "felhom-ctl").read_text().strip()
    secrets = ["correct-horse-battery", secret, site.env["PVECTL_TOKEN_SECRET"]]
    files = [path for path in site.folder.rglob("*") if path.is_file()]
    kept = [path for path in files if path.parent.name != "secrets"]
    assert any("journal" in str(path) for path in kept)
    for text in (done.out, done.err, *(path.read_text() for path in kept)):
        assert not [secret for secret in secrets if secret in text]


def test_a_run_without_changes_writes_nothing(site: Site) -> None:
    site.write("a.toml", "")
    assert site.run("apply", "--yes").status == ExitStatus.OK
    assert site.untouched
    assert not list((site.folder / "home").rglob("*.jsonl"))


def test_what_goes_takes_its_entries_along_and_comes_back_when_declared(site: Site) -> None:
    site.settings = "[limits]\ndelete = { count = 9, percent = 100 }\n"
    site.target()
    site.write("a.toml", SELF_BACKUP)
    assert site.run("apply", "--yes").status == ExitStatus.OK
    site.write("a.toml", '[[removed]]\naddress = "user.felhom-ctl@pve"\n')
    refused = site.run("apply", "--yes")
    assert refused.status == ExitStatus.REFUSED
    assert "--allow 'IRREVERSIBLE=token.felhom-ctl@pve!ctl'" in refused.out
    allowed = ["--allow", "IRREVERSIBLE=*"]
    gone = site.run("apply", "--yes", *allowed)
    assert gone.status == ExitStatus.OK, gone
    assert "felhom-ctl@pve" not in site.user_cfg()
    assert "felhom-ctl" not in (site.cluster.folder / "priv" / "token.cfg").read_text()
    assert "role:FelhomSelfBackup:" in site.user_cfg()


def test_the_report_says_what_happened_to_each_object(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP)
    done = site.run("apply", "--yes", "--format", "json=report.json")
    assert done.status == ExitStatus.OK
    report = json.loads((site.folder / "report.json").read_text())
    assert report["kind"] == "report"
    assert set(report["objects"].values()) == {"done"}
    assert len(report["objects"]) == 7


def test_a_realm_loses_its_last_sync_job_when_the_files_do(site: Site) -> None:
    realm = '[realm.corp]\ntype = "ldap"\nserver1 = "ldap.example.com"\n'
    realm += 'base_dn = "dc=example,dc=com"\nuser_attr = "uid"\n'
    site.write("a.toml", realm + '[realm.corp.sync.nightly]\nschedule = "03:00"\n')
    assert site.run("apply", "--yes").status == ExitStatus.OK
    site.write("a.toml", realm)
    planned = site.run("plan", "--detailed-exitcode")
    assert planned.status == ExitStatus.CHANGES
    assert "- realm_sync.nightly" in planned.out
