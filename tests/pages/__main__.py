"""make pages: axe-core on every HTML page that the project makes, in a headless Chromium.

`python -m tests.pages AXE SITE [--pictures FOLDER]`: AXE is axe.min.js, SITE the folder of the
built documentation. The pages of pvectl, and some of the site, are looked at in light and dark, on
a desktop and on a phone; the rest of the site once. `--pictures` keeps a PNG of each look.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import ExitStatus
from reconciler.render.review.html import html as review_page
from reconciler.render.view import View
from tests.cli.in_process import ask
from tests.render.review_samples import gone_wrong
from tests.render.test_plan_page import STATE
from tests.support.browser import NAMES, Page, browser, executable
from tests.support.command import copy_fixture

WIDTHS = (1400, 390)
SCHEMES = ("light", "dark")
LOOKED_AT = {"", "docs/tutorial/", "docs/reference/kinds/user/"}
"""Pages of the site that stand for the others."""

AXE = """axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations.map(
  one => `${one.id} (${one.impact}): ${one.help}: ` +
    one.nodes.slice(0, 3).map(node => node.target.join(' ') + ' ' + node.html.slice(0, 120))
      .join(' | ')))"""


STILL = """{ textContent: '* { transition: none !important; animation: none !important }' }"""


THEME = ("landmark-unique",)
"""What the theme of the site does not do: name its parts of the navigation differently."""


class Look(NamedTuple):
    """One page as one reader sees it."""

    name: str
    page: Path | str
    width: int
    scheme: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pages", description=__doc__)
    parser.add_argument("axe", type=Path)
    parser.add_argument("site", type=Path)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    program = executable()
    if program is None:
        print(f"no Chromium: none of {', '.join(NAMES)} is installed", file=sys.stderr)
        return 1
    axe = given.axe.read_text(encoding="utf-8")
    with (
        tempfile.TemporaryDirectory() as folder,
        _served(given.site) as address,
        browser(program) as page,
    ):
        page.call("Page.setBypassCSP", enabled=True)  # pages of pvectl allow no script but theirs
        looks = [*_own(Path(folder)), *_of_the_site(given.site, address)]
        wrong = [(look, told) for look in looks for told in _wrong(page, look, axe, given.pictures)]
    for look, told in wrong:
        print(f"{look.name or 'start'}, {look.scheme}, {look.width} px: {told}")
    pages = len({look.page for look in looks})
    print(f"{pages} pages in {len(looks)} looks: {len(wrong)} violations")
    return 1 if wrong else 0


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None: ...


@contextmanager
def _served(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def _own(folder: Path) -> Iterator[Look]:
    """The plan, the plan from a file, the plan that cannot be made, and the access review."""
    pages = {name: folder / f"{name}.html" for name in ("plan", "saved", "mistakes", "review")}
    cluster = copy_fixture("team", folder / "pve")
    state = folder / "state"
    state.mkdir()
    files = state / "a.toml"
    files.write_text(STATE)
    saved = folder / "plan.json"
    told = [
        ask("plan", "--out", saved, "--format", f"html={pages['plan']}", on=cluster, state=state),
        ask("show", saved, "--format", f"html={pages['saved']}"),
    ]
    files.write_text('[user."x@pve"]\nnonsense = 1\n')
    ask("plan", "--format", f"html={pages['mistakes']}", on=cluster, state=state)
    assert all(one.status == ExitStatus.OK for one in told), told
    pages["review"].write_text(review_page(gone_wrong(cluster), View()), encoding="utf-8")
    for name, path in pages.items():
        yield from (Look(name, path, width, scheme) for width in WIDTHS for scheme in SCHEMES)


def _of_the_site(site: Path, address: str) -> Iterator[Look]:
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site).as_posix().removesuffix("index.html")
        page = address + name
        if name in LOOKED_AT:
            yield from (Look(name, page, width, scheme) for width in WIDTHS for scheme in SCHEMES)
        else:
            yield Look(name, page, WIDTHS[0], SCHEMES[0])


def _wrong(page: Page, look: Look, axe: str, pictures: Path | None) -> Iterator[str]:
    page.problems.clear()
    page.requests.clear()
    page.size(look.width, 900)
    scheme = {"name": "prefers-color-scheme", "value": look.scheme}
    page.call("Emulation.setEmulatedMedia", media="", features=[scheme])
    if isinstance(look.page, str):  # the site remembers the scheme of the first look
        page.call("Storage.clearDataForOrigin", origin=look.page, storageTypes="local_storage")
    page.open(look.page)
    page.run(f"document.head.append(Object.assign(document.createElement('style'), {STILL}))")
    page.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.run(f"{axe}; true")
    own = isinstance(look.page, Path)
    yield from (told for told in page.run(AXE) if own or not told.startswith(THEME))
    yield from page.problems
    here = ("about:", "data:", "file:", "http://127.0.0.1:")
    yield from (f"asks for {one}" for one in page.requests if not one.startswith(here))
    if page.run("document.documentElement.scrollWidth") > look.width:
        yield "is wider than the window"
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", look.name.rstrip("/") or "start")
        picture = page.picture(whole=True)
        (pictures / f"{name}-{look.width}-{look.scheme}.png").write_bytes(picture)


if __name__ == "__main__":
    sys.exit(main())
