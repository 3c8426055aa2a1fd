"""What people can set, type and meet is in the documents; what these name is there."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from reconciler.cli.hints import command_modules
from reconciler.desired.loader import load
from reconciler.desired.toml.formatter import format_text
from reconciler.errors import ExitStatus
from reconciler.kinds import all_kinds

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
EXAMPLES = sorted((ROOT / "packaging" / "reference" / "examples").glob("*.toml"))
NOT_SET_BY_PEOPLE = {"PVECTL_TOKEN"}
"""Given to a sink's command by pvectl itself."""


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_variable_is_in_the_settings() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "reconciler").rglob("*.py"))
    read = set(re.findall(r"\bPVECTL_[A-Z_]+\b", sources)) - NOT_SET_BY_PEOPLE
    documented = set(re.findall(r"\bPVECTL_[A-Z_]+\b", _text("docs/settings.md")))
    of_the_sandbox = set(re.findall(r"\bPVECTL_[A-Z_]+\b", _text("docs/sandbox.md")))
    assert len(read) > 10
    assert read - documented - of_the_sandbox == set()
    assert re.findall(r".*\bPVECTL_[\"'{].*", sources) == [], "put together, so not found"
    others = set(re.findall(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"", sources)) - {"HOME"}
    assert {name for name in others if f"`{name}`" not in _text("docs/settings.md")} == set()


def test_every_folder_and_module_of_the_package_is_in_the_architecture() -> None:
    package = ROOT / "reconciler"
    own = [path.name for path in package.glob("*.py") if not path.name.startswith("__")]
    folders = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    manual = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [name for name in (*own, *folders) if f"`{name}`" not in manual] == []


def test_every_exit_status_is_in_the_readme() -> None:
    (paragraph,) = re.findall(r"^Exit status: (.+?)\n\n", _text("README.md"), re.M | re.S)
    named = {int(number) for number in re.findall(r"\b\d{1,3}\b", paragraph)}
    assert {int(status) for status in ExitStatus} - {ExitStatus.BUG} == named


def test_every_command_is_in_the_readme() -> None:
    table = _text("README.md").partition("## Commands")[2].partition("\nExit status")[0]
    named = set(re.findall(r"[a-z-]+", " ".join(re.findall(r"`([^`]+)`", table))))
    assert command_modules().keys() - named == set()


def test_the_reference_is_what_the_code_says() -> None:
    ended = subprocess.run(
        [sys.executable, ROOT / "packaging" / "reference", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_of_each_kind_declares_one_and_has_no_findings(
    example: Path, tmp_path: Path
) -> None:
    (tmp_path / example.name).write_bytes(example.read_bytes())
    found = load(tmp_path)
    assert [finding.message for finding in found.findings] == []
    assert example.stem in {address.kind for address in found.objects}
    assert format_text(example.read_text()) == example.read_text()


def test_every_kind_has_an_example() -> None:
    assert {path.stem for path in EXAMPLES} == all_kinds().keys()


def test_the_man_pages_are_clean_roff(tmp_path: Path) -> None:
    made = [sys.executable, str(ROOT / "packaging" / "reference"), "--man", str(tmp_path)]
    assert subprocess.run(made, check=False).returncode == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert {"pvectl.1.gz", "pvectl-plan.1.gz", "pvectl-who-can.1.gz"} <= names
    for path in tmp_path.iterdir():
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert lines[0].startswith(".TH ")
        assert [one for one in lines if one.startswith(("'", ".")) and one[1:3].islower()] == []


def test_links_between_documents_lead_somewhere() -> None:
    links = [
        (path, target)
        for path in DOCUMENTS
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        if "://" not in target
    ]
    assert len(links) > 20
    assert [
        f"{path}: {target}" for path, target in links if not (path.parent / target).exists()
    ] == []


def test_the_site_is_built_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    ended = subprocess.run(
        [ROOT / "packaging" / "site" / "build", tmp_path / "site"],
        env={**os.environ, "ZENSICAL": str(Path(sys.executable).parent / "zensical")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "site" / "docs" / "reference" / "kinds" / "role" / "index.html").is_file()
    listed = (ROOT / "packaging" / "site" / "zensical.toml").read_text()
    pages = [str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md")]
    missing = [page for page in pages if f'"{page}"' not in listed]
    assert missing == []


def test_documents_wrap_at_a_hundred_columns() -> None:
    """Tables and code are exempt."""
    code = re.compile(r"^```.*?^```$", re.M | re.S)
    long = [
        f"{path.relative_to(ROOT)}: {line[:60]}"
        for path in DOCUMENTS
        for line in code.sub("", path.read_text(encoding="utf-8")).splitlines()
        if len(line) > 100 and not line.startswith(("|", "    "))
    ]
    assert long == []


def test_every_dependency_has_a_tested_version() -> None:
    """Of every extra, too: an SBOM and an audit of other versions would say nothing."""
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    wanted = (project["dependencies"], *project["optional-dependencies"].values())
    needed = {re.split(r"[>=;\[ ]", one)[0].lower() for some in wanted for one in some} - {"pvectl"}
    pinned = re.findall(r"^([\w.-]+)==", _text("packaging/constraints.txt"), re.M)
    known = {name.lower().replace("_", "-") for name in pinned}
    assert {name for name in needed if name.replace("_", "-") not in known} == set()
