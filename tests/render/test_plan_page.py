"""The page of a plan: who can do what before and after, in a real browser and without."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.access.contents import Principal
from reconciler.access.review.before_after import before_after
from reconciler.access.table import AccessTable
from reconciler.errors import ExitStatus
from reconciler.model.spec import digest
from reconciler.render.plan_page.html import html
from reconciler.render.view import View
from tests.cli.in_process import ask
from tests.render.samples import first_plan
from tests.render.test_review_page import CONTRAST, PROGRAM, REQUIRED
from tests.support.browser import Page, browser
from tests.support.command import copy_fixture

STATE = """
[role.Ops]
privileges = ["VM.Audit", "VM.PowerMgmt", "VM.Config.Options"]

[group.night-shift]

[user."dora@pve"]
groups = ["night-shift"]

[user."dora@pve".token.cron]
secret_to = { file = "secrets/dora" }

[[acl]]
roles = ["Ops"]
paths = ["/pool/Prod"]
groups = ["night-shift"]

[[removed]]
address = "acl./*"
"""
in_browser = pytest.mark.skipif(
    PROGRAM is None and not REQUIRED, reason="no Chromium here; PVECTL_BROWSER=required insists"
)
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    (folder / "state").mkdir()
    (folder / "state" / "a.toml").write_text(STATE)
    path = folder / "plan.html"
    asked = ("plan", "--format", f"html={path}", "--out", str(folder / "plan.json"))
    ended = ask(*asked, on=copy_fixture("team", folder / "pve"), state=folder / "state")
    assert ended.status == ExitStatus.OK, ended
    return path


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    assert PROGRAM is not None, "PVECTL_BROWSER=required, but there is no Chromium"
    with browser(PROGRAM) as found:
        yield found


@pytest.fixture
def shown(page: Page, file: Path) -> Page:
    page.problems.clear()
    page.requests.clear()
    page.size(1400, 900)
    page.call("Emulation.setEmulatedMedia", media="", features=[])
    page.open(file)
    return page


def texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.run(
        f"[...document.querySelectorAll({selector!r})].map(one => one.innerText)"
    )
    return [" ".join(one.split()) for one in found]


@in_browser
def test_changed_cells_are_marked_by_sign_words_and_colour(shown: Page, file: Path) -> None:
    assert shown.problems == []
    assert shown.requests == [file.as_uri()]
    rows = ".access > .long .row"
    names = texts(shown, f"{rows} th")
    assert "dora@pve +new" in names
    assert all("root@pam" not in name for name in names)
    cells = texts(shown, f"{rows}:has(th .came) td:nth-of-type(1) .changed")
    assert cells[0].startswith("+ gained: Manage pool Prod privileges gained: + VM.Audit")
    lost = texts(shown, ".changed.went")
    assert any("nothing was Control pool Dev" in one for one in lost)
    assert texts(shown, "details summary")[0] == "4 accounts with the same access as before"
    assert shown.run("document.querySelectorAll('svg path.came, svg path.went').length") > 5
    assert "new: dora@pve → group → night-shift" in shown.run(
        "document.querySelector('.edges').textContent"
    )


@in_browser
@SCHEMES
@pytest.mark.parametrize("width", [1400, 390])
def test_it_can_be_read_in_light_and_dark_wide_and_narrow(
    shown: Page, scheme: str, width: int
) -> None:
    shown.size(width, 900)
    shown.call(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-color-scheme", "value": scheme}],
    )
    shown.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert shown.run(CONTRAST) == []
    assert shown.run("document.documentElement.scrollWidth") <= width


@in_browser
def test_a_screen_reader_hears_a_table_and_a_keyboard_reaches_what_scrolls(shown: Page) -> None:
    shown.size(390, 900)
    shown.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
    nodes = shown.call("Accessibility.getFullAXTree")["nodes"]
    roles = [one["role"]["value"] for one in nodes if not one.get("ignored")]
    assert {"table", "rowheader", "cell", "columnheader", "region", "image"} <= set(roles)
    for node in nodes:
        if not node.get("ignored") and node["role"]["value"] in {"table", "region", "image"}:
            assert node.get("name", {}).get("value"), node
    stuck = shown.run(
        "[...document.querySelectorAll('body *')].filter(one => one.clientWidth &&"
        " one.scrollWidth > one.clientWidth + 1 && one.tabIndex < 0 &&"
        " ['auto', 'scroll'].includes(getComputedStyle(one).overflowX)).length"
    )
    assert stuck == 0


@in_browser
def test_paper_shows_the_matrix_and_what_is_folded(shown: Page) -> None:
    assert shown.paper().startswith(b"%PDF")
    shown.call("Emulation.setEmulatedMedia", media="print")
    assert shown.run("document.querySelector('.access table').checkVisibility()")


def test_a_saved_plan_has_the_accounts_that_it_concerns(file: Path, tmp_path: Path) -> None:
    """As the page of the plan itself has them; the page says how to get the others."""
    saved = file.with_name("plan.json")
    shown = ask("show", str(saved), "--format", "html")
    assert shown.status == ExitStatus.OK
    table = re.compile(r'aria-label="Accounts whose access changes">.*?</table>', re.S)
    drawn = re.compile(r"<svg.*?</svg>", re.S)
    for part in (table, drawn):
        assert part.findall(shown.out) == part.findall(file.read_text()) != []
    assert "does not contain the accounts whose access stays the same" in shown.out

    content = json.loads(saved.read_text())
    access = content["matrix"]
    row = access["changed"][0]
    edge = access["drawn"][0]
    for forged in (
        "all",
        {**access, "changed": [[row[0], 99, *row[2:]]]},
        {**access, "changed": [[[7], *row[1:]]]},
        {**access, "drawn": [[edge[0], "x"]]},
    ):
        del content["seal"]
        content["matrix"] = forged
        content["seal"] = digest(content)
        (tmp_path / "forged.json").write_text(json.dumps(content))
        ended = ask("show", str(tmp_path / "forged.json"), "--format", "html")
        assert (ended.status, "table of access is forged" in ended.err) == (5, True), ended
        assert ask("show", str(tmp_path / "forged.json")).status == ExitStatus.OK

    without = html(first_plan(), View())
    assert "A saved plan contains this table for up to 500 accounts." in without
    assert "felhom-ctl@pve" in without
    assert "<script" not in without + shown.out


def test_size_and_time_grow_with_what_differs_not_with_the_square() -> None:
    """Accounts that hold the same share a row; rows and picture have an end."""

    def page(number: int) -> tuple[str, float]:
        before, after = AccessTable(), AccessTable()
        for table, role in ((before, "PVEAuditor"), (after, "PVEVMUser")):
            for one in range(number):
                who = f"u{one:05}@pve"
                table.users[who] = Principal()
                table.add_entry(f"/vms/{one + 100}", "user", who, role, propagate=True)
        began = time.process_time()
        found = html(first_plan(), View(access=before_after(before, after, {}, 1)))
        return found, time.process_time() - began

    found, seconds = page(400)
    more, longer = page(1600)
    assert len(more) < 1.2 * len(found)
    assert longer < 12 * max(seconds, 0.1)
    assert "and 1,300 more rows" in more
