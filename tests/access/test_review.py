"""The access review: what it says, in every format, and what it makes of an earlier one."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reconciler.access.contents import PoolMembers, Principal
from reconciler.access.review.accounts import Account, Age, Factor, Mark, Risk
from reconciler.access.review.deciding_entries import EntriesBehind
from reconciler.access.review.profiles import holdings
from reconciler.access.review.review import Review
from reconciler.access.table import AccessTable
from reconciler.errors import ExitStatus
from reconciler.render import FORMATS
from reconciler.render.review.csv import plain
from reconciler.render.view import View
from reconciler.text.sanitize import clean
from tests.cli.in_process import ask
from tests.render.review_samples import DAY, HOSTILE, LATER, TEAM, gone_wrong, team
from tests.support.command import Ended, copy_fixture, pvectl, sandbox, secret_of, trust

Golden = Callable[[str, str], None]

ENDINGS = {"text": "txt", "markdown": "md", "csv": "csv", "json": "json", "html": "html"}
VIEW = View(width=100)


@pytest.fixture
def wrong(tmp_path: Path) -> Review:
    return gone_wrong(copy_fixture("team", tmp_path / "pve"))


def _account(review: Review, name: str) -> Account:
    return next(one for one in review.accounts if one.principal == name)


def _rendered(review: Review, format_: str) -> str:
    """A page without its style and script, which the browser looks at."""
    text = FORMATS["review"][format_](review, VIEW)
    if format_ == "html":
        text = re.sub(r"(<style>|<script>).*?(</s)", r"\1\2", text, flags=re.S)
        text = re.sub(r"'sha256-[^']*'", "'sha256'", text)
    return text


@pytest.mark.parametrize("format_", ENDINGS)
def test_a_review_looks_as_it_always_does(format_: str, golden: Golden) -> None:
    golden(f"review-team.{ENDINGS[format_]}", _rendered(team(), format_))


@pytest.mark.parametrize("format_", ["text", "markdown", "html"])
def test_a_review_with_changes_and_trouble(format_: str, wrong: Review, golden: Golden) -> None:
    golden(f"review-wrong.{ENDINGS[format_]}", _rendered(wrong, format_))


def test_the_same_cluster_gives_the_same_review() -> None:
    assert team().to_json() == team().to_json()
    assert team().digest == team().digest


def test_accounts_are_listed_by_risk_with_what_to_decide(wrong: Review) -> None:
    eve, bot = _account(wrong, "eve@pve"), _account(wrong, "eve@pve!ci")
    assert (eve.risk, eve.second_factor) == (Risk.WAY, Factor.NONE)
    assert Mark.UNDECLARED in eve.marks
    assert Mark.SOON in eve.marks
    assert Mark.NO_PRIVSEP in bot.marks
    assert Mark.NO_EXPIRY not in bot.marks  # it ends with its user
    assert bot.expires == eve.expires
    assert _account(wrong, "old@pve").marks == (
        Mark.NO_SECOND_FACTOR,
        Mark.EXPIRED,
        Mark.UNDECLARED,
    )
    assert _account(wrong, "alice@ldap").twins == ("alice@pve",)
    assert _account(wrong, "root@pam!bootstrap").risk is Risk.ROOT


def test_the_age_of_a_token_is_known_from_journals_or_earlier_reviews(wrong: Review) -> None:
    ages = {one.principal: one.age for one in wrong.accounts if one.kind == "token"}
    assert ages["svc-terraform@pve!tf-ci"] == Age(LATER - 40 * DAY, exact=True)
    assert ages["svc-terraform@pve!tf-prod"] == Age(LATER - 92 * DAY, exact=False)
    assert ages["eve@pve!ci"] is None


def test_an_age_that_is_known_stays_known(wrong: Review, tmp_path: Path) -> None:
    later = team(tmp_path / "pve", taken=LATER + 90 * DAY, earlier=wrong.to_json())
    assert _account(later, "svc-terraform@pve!tf-ci").age == Age(LATER - 40 * DAY, exact=True)
    assert _account(later, "eve@pve!ci").age == Age(LATER, exact=False)


def test_a_csv_is_one_row_per_account_sort_and_privileges(wrong: Review) -> None:
    rows = list(csv.DictReader(io.StringIO(_rendered(wrong, "csv"))))
    rows = [row for row in rows if row["kind"] in {"user", "token"}]
    assert {row["account"] for row in rows} == {one.principal for one in wrong.accounts}
    keys = [(row["account"], row["area"], row["privileges"]) for row in rows]
    assert len(keys) == len(set(keys))
    [nothing] = [row for row in rows if row["account"] == "old@pve"]
    assert (nothing["level"], nothing["in words"]) == ("None", "nothing")
    guests = [
        (row["where"], row["level"])
        for row in rows
        if row["account"] == "eve@pve" and row["area"] == "Guests"
    ]
    assert guests == [("all other guests", "Use"), ("9000 demo-vm", "None")]


def test_groups_role_owners_and_the_entries_behind_a_right_are_rows(wrong: Review) -> None:
    rows = list(csv.DictReader(io.StringIO(_rendered(wrong, "csv"))))
    groups = {row["account"]: row["members"] for row in rows if row["kind"] == "group"}
    assert groups == {one.group: "; ".join(one.members) for one in wrong.groups}
    roles = {row["account"]: row["owner"] for row in rows if row["kind"] == "role"}
    assert roles == {one.role: one.owner for one in wrong.roles}
    through = [row for row in rows if row["privileges"] and row["kind"] in {"user", "token"}]
    for row in through:
        assert row["entries"], row
        if row["entries"] == "root@pam itself":
            continue
        by = [entry.split(" on ")[0] for entry in row["entries"].split("; ")]
        privileges = {name for role in by for name in wrong.table.roles[role]}
        assert set(row["privileges"].split("; ")) <= privileges, row
    text = _rendered(wrong, "markdown")
    assert "| Reviewed by |" in text
    assert "| Approved by |" in text
    assert "next review due" in text


def test_only_entries_that_decide_are_behind_a_right() -> None:
    table = AccessTable(
        roles={"See": frozenset({"VM.Audit"}), "Run": frozenset({"VM.PowerMgmt"})},
        groups={"ops": {"ann@pve"}},
        users={"ann@pve": Principal()},
        pools={"dev": PoolMembers(frozenset({100, 101}))},
    )
    table.add_entry("/vms/100", "user", "ann@pve", "See", propagate=True)
    table.add_entry("/vms", "group", "ops", "See", propagate=True)
    table.add_entry("/pool/dev", "group", "ops", "Run", propagate=True)
    held = holdings(table)
    behind = EntriesBehind(table)
    found = {
        one.places: [f"{entry.role} {entry.path}" for entry in behind.of("ann@pve", one)]
        for one in held.profiles[held.of["ann@pve"]]
    }
    assert found["/vms", "/vms/-"] == ["See /vms"]
    assert found["pool:dev",] == ["See /vms", "Run /pool/dev"]
    assert "See /vms/100" not in found["pool:dev",]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "=HYPERLINK(1)", "\n=1"]
)
def test_no_cell_is_a_formula(text: str) -> None:
    assert not plain(text).lstrip(" \"'\t\r\n").startswith("=") or plain(text).startswith("'")
    assert plain(text)[0] in "'\\"


def test_a_csv_names_the_findings_about_an_account(wrong: Review) -> None:
    rows = list(csv.DictReader(io.StringIO(_rendered(wrong, "csv"))))
    said = {row["account"]: row["findings"].split("; ") for row in rows}
    assert "LINT_PRIVSEP_OFF" in said["eve@pve!ci"]


@given(st.text())
def test_no_text_is_a_formula_or_breaks_its_cell(text: str) -> None:
    cell = plain(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell.isprintable()


def test_names_that_are_formulas_are_plain_text(wrong: Review) -> None:
    rows = [row for row in csv.reader(io.StringIO(_rendered(wrong, "csv"))) if row[0] == "eve@pve"]
    assert {row[3] for row in rows} == {"Eve =cmd"}


def test_nothing_foreign_is_markup(wrong: Review) -> None:
    page = FORMATS["review"]["html"](wrong, VIEW)
    assert HOSTILE not in page
    assert "<img" not in page
    assert page.count("</script>") == 2
    assert "{{" not in page.replace("{{data}}", "")
    tags = re.findall(r"<(\w+)", MarkdownIt("commonmark").render(_rendered(wrong, "markdown")))
    assert {"img", "script"}.isdisjoint(tags)


class _Tags(HTMLParser):
    """The elements of a page, and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(name for name, _ in attrs)}


PIECES = st.sampled_from(
    (
        *(
            "<img src=x onerror=a()>",
            "</script>",
            "</style>",
            "<!--",
            "-->",
            "]]>",
            "&lt;",
            '"',
            "'",
        ),
        *(
            "{{data}}",
            "onclick=a()",
            "`",
            "|",
            "\n# h",
            "[a](javascript:b)",
            "=1",
            "\ud800",
            "\x00",
        ),
    )
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), min_size=1, max_size=6).map("".join))
def test_no_text_of_a_cluster_adds_an_element(text: str) -> None:
    plain_review = team_once()
    accounts = tuple(
        one._replace(comment=text, name=text, groups=(text,)) for one in plain_review.accounts
    )
    roles = tuple(one._replace(purpose=text, owner=text) for one in plain_review.roles)
    hostile = replace(plain_review, accounts=accounts, roles=roles)
    page = FORMATS["review"]["html"](hostile, VIEW)
    assert _Tags(page).seen == _Tags(FORMATS["review"]["html"](plain_review, VIEW)).seen
    embedded = page.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(embedded)["accounts"][0].get("comment", "") == clean(text)


@cache
def team_once() -> Review:
    return team()


def test_what_changed_since_the_review_before(wrong: Review) -> None:
    since = wrong.since
    assert since is not None
    assert since.accounts_new == ("eve@pve", "eve@pve!ci", "old@pve")
    assert {who for who, _ in since.ways_new} == {"eve@pve", "eve@pve!ci"}
    assert "PVEUserAdmin for group Helpdesk on /access" in since.grants_new
    [guests] = [one for one in since.rights if one.sort == "guests"]
    assert guests.principals == ("svc-terraform@pve", "svc-terraform@pve!tf-prod")
    assert guests.places == ("/vms/9001",)
    assert "VM.Allocate" in guests.gained
    assert not guests.lost


def test_what_has_gone_again(wrong: Review) -> None:
    since = team(taken=LATER + DAY, earlier=wrong.to_json()).since
    assert since is not None
    assert since.accounts_gone == ("eve@pve", "eve@pve!ci", "old@pve")
    assert {who for who, _ in since.ways_gone} == {"eve@pve", "eve@pve!ci"}
    assert all(one.lost and not one.gained for one in since.rights)


def test_nothing_has_changed() -> None:
    since = team(taken=LATER, earlier=team().to_json()).since
    assert since is not None
    assert since.is_empty
    assert "Nothing has changed since" in _rendered(
        team(taken=LATER, earlier=team().to_json()), "text"
    )


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"kind": "plan"},
        {"kind": "review", "format": 99},
        {"kind": "review", "format": 1},
        {"kind": "review", "format": 1, "accounts": [{"principal": "x", "kind": "user"}]},
        {**json.loads(json.dumps(team().to_json())), "profiles": []},
    ],
)
def test_what_is_not_a_review_is_refused(document: Any, tmp_path: Path) -> None:
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(document))
    ended = _report(tmp_path, "--from-files", "--since", path)
    assert ended.status == ExitStatus.USAGE
    assert "cannot be compared" in ended.err


def _report(tmp_path: Path, *arguments: object, env: Mapping[str, str] | None = None) -> Ended:
    home = {"PVECTL_HOME": str(tmp_path / "home")}
    return pvectl("report", "--state", TEAM, *arguments, env=home | dict(env or {}), cwd=tmp_path)


def test_all_files_of_a_review_are_written(tmp_path: Path) -> None:
    pve = copy_fixture("team", tmp_path / "pve")
    ended = _report(tmp_path, "--on", f"sandbox:{pve}", "--out", tmp_path / "out")
    assert ended.status == ExitStatus.OK
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name.rpartition(".")[2] for name in names] == ["csv", "html", "json", "md"]
    assert all(re.fullmatch(r"access-review-\d{4}-\d\d-\d\d\.\w+", name) for name in names)
    earlier = next((tmp_path / "out").glob("*.json"))
    again = _report(tmp_path, "--on", f"sandbox:{pve}", "--since", earlier)
    assert again.status == ExitStatus.OK
    assert "Nothing has changed since" in again.out


def test_files_alone_are_reviewed_without_a_cluster(tmp_path: Path) -> None:
    ended = _report(tmp_path, "--from-files", "--format", "json")
    document = json.loads(ended.out)
    assert (ended.status, document["actor"]) == (0, "")
    factors = {one.get("second_factor") for one in document["accounts"] if one["kind"] == "user"}
    assert factors == {"unknown"}


def test_a_cluster_is_reviewed_without_state_files(tmp_path: Path) -> None:
    pve = copy_fixture("team", tmp_path / "pve")
    ended = pvectl(
        "report", "--on", f"sandbox:{pve}", "--state", tmp_path / "none", "--format", "json",
        env={"PVECTL_HOME": str(tmp_path / "home")}, cwd=tmp_path,
    )  # fmt: skip
    assert ended.status == ExitStatus.OK
    assert not any("declared" in one for one in json.loads(ended.out)["accounts"])


def test_a_token_that_pvectl_made_has_an_age(tmp_path: Path) -> None:
    state, pve = tmp_path / "state", copy_fixture("fresh", tmp_path / "pve")
    state.mkdir()
    (state / "access.toml").write_text(
        '[user."bot@pve"]\n[user."bot@pve".token.ci]\nsecret_to = { file = "secrets/ci" }\n'
    )
    env = {"PVECTL_HOME": str(tmp_path / "home")}
    with sandbox(pve) as served:
        (state / "pvectl.toml").write_text(
            f'[target]\nendpoint = "{served.url}"\ntoken_id = "root@pam!bootstrap"\n'
            f'fingerprint = "{served.fingerprint}"\n'
        )
        trust(state, tmp_path / "home")
        env["PVECTL_TOKEN_SECRET"] = secret_of(pve, "root@pam!bootstrap")
        applied = pvectl("apply", "--yes", "--state", state, env=env, cwd=tmp_path)
        assert applied.status == ExitStatus.OK, applied.err
        ended = pvectl("report", "--state", state, "--format", "json", env=env, cwd=tmp_path)
    ages = {one["principal"]: one.get("age") for one in json.loads(ended.out)["accounts"]}
    assert ages["bot@pve!ci"]["exact"] is True
    assert ages["root@pam!bootstrap"] is None
    secret = (state / "secrets" / "ci").read_text().strip()
    assert secret
    assert secret not in ended.out


def test_who_is_named_but_not_there_is_seen_and_said_to_be_without_effect(tmp_path: Path) -> None:
    """Proxmox VE keeps them in groups and entries, and whoever gets the name has it all."""
    folder = copy_fixture("team", tmp_path / "pve")
    with (folder / "user.cfg").open("a") as file:
        file.write("group:night:ghost@pve:\nacl:1:/vms:@night:PVEVMUser:\n")
        file.write("acl:1:/storage:spook@pve:PVEDatastoreUser:\n")
    found = ask("report", "--format", "text", "--format", f"json={tmp_path}/r.json", on=folder)
    said = "2 users named but nonexistent: grants take effect once the name is created"
    assert f"  ! {said}\n      ghost@pve, spook@pve\n" in found.out
    accounts = json.loads((tmp_path / "r.json").read_text())["accounts"]
    told = {one["principal"]: (one["login"], one["marks"], one["groups"]) for one in accounts}
    assert told["ghost@pve"] == ("does not exist", ["ghost"], ["night"])
    assert told["spook@pve"] == ("does not exist", ["ghost"], [])
    why = ask("explain", "ghost@pve", "/vms/100", "VM.Audit", on=folder).out
    assert why.startswith("No: ghost@pve cannot log in: the user does not exist.\n")
    assert "apply at once to a new user of that name." in " ".join(why.split())
    assert "ghost@pve  cannot log in" in ask("who-can", "VM.Audit", "/vms/100", on=folder).out
