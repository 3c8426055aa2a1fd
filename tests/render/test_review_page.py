"""The page of an access review in a real browser.

`PVECTL_BROWSER=required` makes a missing browser a failure; without it these tests are skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.access.contents import Principal
from reconciler.access.review.review import About, ReviewContext, review
from reconciler.access.table import AccessTable
from reconciler.model.inventory import Facts
from reconciler.render.review.html import html
from reconciler.render.view import View
from tests.render.review_samples import gone_wrong
from tests.support.browser import Page, browser, executable
from tests.support.command import copy_fixture

PROGRAM = executable()
REQUIRED = os.environ.get("PVECTL_BROWSER") == "required"

pytestmark = pytest.mark.skipif(
    PROGRAM is None and not REQUIRED, reason="no Chromium here; PVECTL_BROWSER=required insists"
)

ROWS = "#rights tbody tr.row"
COUNT = "document.getElementById('count').textContent"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    assert PROGRAM is not None, "PVECTL_BROWSER=required, but there is no Chromium"
    with browser(PROGRAM) as found:
        found.size(1400, 900)
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("review")
    path = folder / "review.html"
    path.write_text(html(gone_wrong(copy_fixture("team", folder / "pve")), View()))
    return path


@pytest.fixture
def shown(page: Page, file: Path) -> Page:
    page.problems.clear()
    page.requests.clear()
    page.call("Emulation.setEmulatedMedia", media="", features=[])
    page.open(file)
    return page


def _texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.run(
        f"[...document.querySelectorAll({selector!r})].map(one => one.textContent)"
    )
    return found


def _names(page: Page) -> list[str]:
    return _texts(page, f"{ROWS} .id")


def _choose(page: Page, control: str, value: str) -> None:
    page.run(
        f"(() => {{ const one = document.getElementById({control!r}); one.value = {value!r};"
        " one.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )


def test_it_loads_nothing_and_nothing_foreign_runs(shown: Page, file: Path) -> None:
    assert shown.problems == []
    assert shown.requests == [file.as_uri()]
    assert shown.run("document.querySelectorAll('img, iframe, object, link').length") == 0
    shown.run(
        "document.querySelectorAll('.who').forEach(one => one.click());"
        "document.getElementById('tab-logins').click()"
    )
    assert any("<img src=x onerror=alert(1)>" in text for text in _texts(shown, "dd"))
    assert shown.problems == []


def test_its_policy_stops_what_is_injected(shown: Page) -> None:
    shown.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.bad = 1\">');"
        "const script = document.createElement('script'); script.textContent = 'window.bad = 2';"
        "document.body.append(script)"
    )
    shown.run("new Promise(done => setTimeout(done, 50))")
    assert shown.run("window.bad") is None
    assert any("Content Security Policy" in text for text in shown.problems)


def test_accounts_are_found_by_name_group_place_realm_kind_and_risk(shown: Page) -> None:
    assert shown.run(COUNT) == "11 accounts"
    _choose(shown, "query", "DevOps")
    assert _names(shown) == ["alice@ldap"]
    _choose(shown, "query", "pool prod")
    assert _names(shown) == ["svc-terraform@pve", "svc-terraform@pve!tf-prod"]
    _choose(shown, "kind", "token")
    assert _names(shown) == ["svc-terraform@pve!tf-prod"]
    shown.run("document.getElementById('reset').click()")
    _choose(shown, "realm", "pam")
    assert _names(shown) == ["root@pam", "root@pam!bootstrap"]
    shown.run("document.getElementById('reset').click()")
    _choose(shown, "risk", "way")
    assert _names(shown) == ["eve@pve", "eve@pve!ci"]
    assert shown.run(COUNT) == "2 of 11 accounts"


def test_what_is_to_decide_leads_to_the_accounts(shown: Page) -> None:
    shown.run("document.querySelector('[data-value=no_expiry]').click()")
    assert "svc-terraform@pve!tf-ci" in _names(shown)
    assert "eve@pve!ci" not in _names(shown)
    _choose(shown, "mark", "changed")
    assert "old@pve" in _names(shown)


def test_columns_are_sorted_by_level(shown: Page) -> None:
    shown.run("document.querySelector('#rights th[data-sort=\"5\"] button').click()")
    assert shown.run("document.querySelector('#rights [aria-sort]').textContent") == "Access"
    levels = _texts(shown, f"{ROWS} td:nth-of-type(6) b, {ROWS} td:nth-of-type(6) .l0")
    assert levels == sorted(levels, key=["Control", "Manage", "Use", "View", "–"].index)  # noqa: RUF001 - as on the page
    shown.run("document.querySelector('#rights th[data-sort=\"5\"] button').click()")
    assert shown.run("document.querySelector('#rights [aria-sort]').ariaSort") == "descending"
    assert _texts(shown, f"{ROWS} td:nth-of-type(6)")[0] == "–"  # noqa: RUF001 - as on the page


def test_everything_about_an_account_opens_from_the_keyboard(shown: Page) -> None:
    shown.press("/")
    assert shown.run("document.activeElement.id") == "query"
    for key in "eve":
        shown.press(key)
    assert _names(shown) == ["eve@pve", "eve@pve!ci"]
    shown.run("document.querySelector('.who').focus()")
    shown.press("Enter")
    detail = _texts(shown, "tr.detail")[0]
    for text in ("eve@example.invalid", "all other guests", "VM.PowerMgmt", "PVEUserAdmin"):
        assert text in detail
    assert "Way to root" in detail
    assert shown.run("document.querySelector('.who').ariaExpanded") == "true"
    shown.press("Enter")
    assert _texts(shown, "tr.detail") == []
    shown.run("document.getElementById('tab-rights').focus()")
    shown.press("ArrowRight")
    assert shown.run("document.activeElement.id") == "tab-logins"
    assert shown.run("document.getElementById('panel-logins').hidden") is False
    _choose(shown, "query", "tf-")
    assert "at least 92 days" in _texts(shown, "#logins td")


CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return rgb(getComputedStyle(document.documentElement).colorScheme === 'dark' ? '#000' : '#fff');
  };
  const bad = [];
  for (const one of document.querySelectorAll('body *')) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !one.offsetParent || one.closest('.hidden, .l0, option, [aria-hidden]')) continue;
    const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${one.className || one.tagName}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(bad)];
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(shown: Page, scheme: str) -> None:
    shown.call(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-color-scheme", "value": scheme}],
    )
    shown.run("document.querySelectorAll('#rights .who').forEach(one => one.click())")
    assert shown.run(CONTRAST) == []
    paper = shown.run("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(252, 252, 251)", "dark": "rgb(20, 22, 26)"}[scheme]


def test_everything_has_a_name_for_a_screen_reader(shown: Page) -> None:
    nodes = shown.call("Accessibility.getFullAXTree")["nodes"]
    asking = {"button", "combobox", "searchbox", "tab", "table", "region", "link", "tabpanel"}
    for node in nodes:
        if not node.get("ignored") and node["role"]["value"] in asking:
            assert node.get("name", {}).get("value"), node
    assert shown.run(
        "[...document.querySelectorAll('[id]')].length ==="
        " new Set([...document.querySelectorAll('[id]')].map(one => one.id)).size"
    )


def test_it_fits_narrow_windows(shown: Page) -> None:
    shown.size(420, 900)
    assert shown.run("document.documentElement.scrollWidth") <= 420
    shown.size(1400, 900)


def test_paper_is_a4_landscape_with_heads_and_a_place_to_sign(shown: Page) -> None:
    pdf = shown.paper()
    sizes = set(re.findall(rb"/MediaBox ?\[([^]]*)\]", pdf))
    assert {tuple(map(round, map(float, size.split()))) for size in sizes} == {(0, 0, 842, 595)}
    shown.call("Emulation.setEmulatedMedia", media="print")
    visible = "document.getElementById({!r}).checkVisibility()"
    assert shown.run(visible.format("tools")) is False
    assert shown.run(visible.format("rights")) is True
    assert shown.run(visible.format("logins")) is True
    assert shown.run("document.querySelector('.sign').checkVisibility()") is True


def test_a_page_of_thousands_shows_them_step_by_step(page: Page, tmp_path: Path) -> None:
    table = AccessTable()
    for number in range(3000):
        table.users[f"u{number:04}@pve"] = Principal()
        table.tokens[f"u{number:04}@pve!a1"] = Principal()
    for number in range(0, 3000, 3):
        for kind, name in (("user", f"u{number:04}@pve"), ("token", f"u{number:04}@pve!a1")):
            path = f"/vms/{100 + number}"
            table.add_entry(path, kind, name, "PVEVMUser", propagate=True)
    found = review(About("large", 1), {}, table, (), ReviewContext(facts=Facts("9.2")))
    file = tmp_path / "large.html"
    file.write_text(html(found, View()))
    page.call("Emulation.setEmulatedMedia", media="", features=[])
    page.open(file)
    assert page.run(COUNT) == "6,001 accounts"
    first = page.run(f"document.querySelectorAll({ROWS!r}).length")
    assert first < 500
    page.run("document.querySelector('#panel-rights .rest').scrollIntoView()")
    page.picture()  # only what is painted is seen to be in sight
    page.run("new Promise(done => setTimeout(done, 100))")
    second = page.run(f"document.querySelectorAll({ROWS!r}).length")
    assert second > first
    page.run("document.querySelector('#panel-rights .rest').click()")
    assert page.run(f"document.querySelectorAll({ROWS!r}).length") > second
    _choose(page, "query", "u2997")
    assert _names(page) == ["u2997@pve", "u2997@pve!a1"]
