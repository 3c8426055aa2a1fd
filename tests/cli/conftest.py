"""One sandbox for all tests of a worker; each test finds it as it was at the beginning."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.site import Files, Site, files_of, restore
from tests.support.command import FIXTURES, Served, copy_fixture, sandbox


@pytest.fixture(scope="session")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Files]]:
    folder = copy_fixture("fresh", tmp_path_factory.mktemp("cluster") / "pve")
    with sandbox(folder, {"PVECTL_SANDBOX_LOCK_WAIT": "0"}) as served:
        yield served, files_of(folder)


@pytest.fixture
def site(_served: tuple[Served, Files], tmp_path: Path) -> Site:
    """A cluster just installed, and a state folder that declares nothing yet."""
    served, files = _served
    restore(served.folder, files)
    for archive in served.folder.with_name("pve.run").glob("storage/*/dump/*"):
        archive.unlink()
    site = Site(tmp_path, served, files)
    site.env["PVECTL_HOME"] = str(site.home)
    site.target()
    return site


@pytest.fixture
def with_archives(tmp_path: Path) -> Iterator[Site]:
    """The cluster of the recordings, with its archives of two months; nothing is declared yet."""
    folder = copy_fixture("backups", tmp_path / "cluster" / "pve")
    shutil.copytree(FIXTURES / "backups.run", tmp_path / "cluster" / "pve.run")
    with sandbox(folder, {"PVECTL_SANDBOX_LOCK_WAIT": "0"}) as served:
        site = Site(tmp_path, served, {})
        site.env["PVECTL_HOME"] = str(site.home)
        site.target()
        yield site
