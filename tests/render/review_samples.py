"""Reviews of the fixture `team`: as it is, and a quarter later after things have gone wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.access.escalation.search import escalations
from reconciler.access.review.accounts import Age
from reconciler.access.review.review import About, Review, ReviewContext, review
from reconciler.desired.loader import load
from reconciler.kinds import access_table, all_kinds
from reconciler.kinds.shared.reader import EVERYTHING
from reconciler.live.reader import Live, read_live
from reconciler.model.declared import Desired, Waiver
from reconciler.model.finding import Source
from reconciler.planning.findings.access_summary import real_paths
from reconciler.planning.lint import lint_all
from reconciler.sandbox.http.direct import SandboxApi
from tests.support.command import FIXTURES

TEAM = Path(__file__).parents[2] / "examples" / "team-access"
DAY = 86400
TAKEN = 1_760_000_000
LATER = TAKEN + 92 * DAY

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e{{data}}"

WRONG = f"""
user:eve@pve:1:{LATER + 10 * DAY}:Eve:=cmd:eve@example.invalid:{HOSTILE.replace(":", "%3A")}::
token:eve@pve!ci:0:0:=1+1:
user:old@pve:1:{LATER - DAY}::::left::
group:Helpdesk:eve@pve:unlock accounts:
acl:1:/access:@Helpdesk:PVEUserAdmin:
acl:1:/vms:@Helpdesk:PVEVMUser:
acl:1:/vms/9000:eve@pve:NoAccess:
acl:1:/pool/Prod:svc-terraform@pve:PVEVMAdmin:
"""
"""Lines that are added to user.cfg."""


def look(folder: Path) -> Live:
    """Everything in a folder laid out like /etc/pve."""
    api = SandboxApi(folder, "root@pam", read_only=True)
    return read_live(api, all_kinds(), dict.fromkeys(all_kinds(), EVERYTHING))


def declared() -> Desired:
    """What examples/team-access says, with a waiver."""
    found = load(TEAM)
    source = Source("waivers.toml", 1)
    waiver = Waiver(
        "LINT_TOKEN_NEVER_EXPIRES", "token.svc-*", "rotated monthly", LATER + 9 * DAY, source
    )
    return replace(found, waivers=(waiver,))


def team(folder: Path = FIXTURES / "team", **more: Any) -> Review:
    """The review of a folder; `taken`, `earlier` and `ages` may be given."""
    live = look(folder)
    table = access_table(live.state)
    about = About("https://pve01.example.com:8006", more.pop("taken", TAKEN), "auditor@pve!review")
    desired, paths = declared(), real_paths(live.state, live.facts)
    judged = lint_all(desired, live.state, table, paths, about.taken, complete=True)
    beside = ReviewContext(
        desired, live.facts, findings=judged.findings, waived=judged.waived, **more
    )
    return review(about, live.state, table, escalations(table), beside)


def gone_wrong(folder: Path) -> Review:
    """A quarter later: a new account with a way to root, a wider token, an account that expired."""
    with (folder / "user.cfg").open("a") as file:
        file.write(WRONG)
    ages = {"svc-terraform@pve!tf-ci": Age(LATER - 40 * DAY, exact=True)}
    return team(folder, taken=LATER, earlier=team().to_json(), ages=ages)
