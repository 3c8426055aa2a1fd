"""What each known release of Proxmox VE has, as its own code says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.pve.acl_paths import check_path
from reconciler.pve.backup_options import JOB_OPTIONS
from reconciler.pve.realm_options import REALM_OPTIONS, REALM_SYNC_OPTIONS
from reconciler.pve.release import (
    NEWEST,
    SUPPORTED,
    NotInRelease,
    Release,
    known_privilege,
    known_releases,
    known_role,
    release_named,
    require_in_release,
)
from reconciler.pve.storage_options import STORAGE_OPTIONS

_PATHS: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[1] / "data" / "acl_paths.json").read_text()
)
"""path -> the releases whose code takes an entry there"""


@pytest.mark.parametrize("version", known_releases())
def test_each_release_takes_its_own_paths(version: str) -> None:
    taken = {path for path in _PATHS if release_named(version).takes_path(path)}
    assert taken == {path for path, versions in _PATHS.items() if version in versions}


def test_without_a_version_the_newest_is_meant_and_the_future_is_like_it() -> None:
    for path in _PATHS:
        assert check_path(path) == check_path(path, "10.0") == check_path(path, NEWEST.version)


def test_every_supported_release_is_known() -> None:
    assert set(SUPPORTED) <= known_releases().keys()


def test_no_built_in_role_was_ever_removed() -> None:
    """Or `is_built_in` would have to ask them all."""
    for release in known_releases().values():
        assert release.roles.keys() <= NEWEST.roles.keys()


@pytest.mark.parametrize("text", ["9.7", "8.4.1", "nine", "", "10.0"])
def test_an_unknown_release_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ValueError, match=r"known: 7\.4, .*, 9\.2\b"):
        release_named(text)


def test_a_privilege_is_refused_with_what_to_do() -> None:
    old, new = release_named("8.4"), release_named("9.0")
    assert known_privilege("VM.Monitor", old) == "VM.Monitor"
    with pytest.raises(ValueError, match=r"VM\.Monitor is gone .* VM\.GuestAgent"):
        known_privilege("VM.Monitor", new)
    with pytest.raises(
        ValueError, match=r"Proxmox VE 8\.4 has no privilege VM\.Replicate; it is in 9\.0 and later"
    ):
        known_privilege("VM.Replicate", old)
    with pytest.raises(ValueError, match=r"did you mean VM\.Audit"):
        known_privilege("VM.Audi", old)


@pytest.mark.parametrize(
    ("since", "lacking", "having"),
    [("9.1", "9.0", "9.1"), ("9.2", "9.1", "10.0"), ("", "", "7.4"), ("9.2", "8.4", "")],
)
def test_a_release_knows_what_came_with_it_or_before(since: str, lacking: str, having: str) -> None:
    assert Release(having, NEWEST.roles).knows(since)
    assert not lacking or not Release(lacking, NEWEST.roles).knows(since)


def test_the_release_of_each_option_is_a_known_one() -> None:
    tables = (STORAGE_OPTIONS, REALM_OPTIONS, JOB_OPTIONS, REALM_SYNC_OPTIONS)
    found = {param.since for table in tables for param in table.values()}
    assert found - {""} <= known_releases().keys()
    assert {"9.0", "9.1", "9.2"} <= found


@pytest.mark.parametrize("text", ["VM.Monitor on /", "Sys.Audit on /sdn/fabrics/f"])
def test_what_is_required_of_an_access_is_refused_where_it_is_not(text: str) -> None:
    lacking, having = ("9.0", "8.4") if "Monitor" in text else ("8.4", "9.0")
    require_in_release(text, release_named(having))
    with pytest.raises(NotInRelease):
        require_in_release(text, release_named(lacking))


def test_a_built_in_role_is_refused_where_it_is_not_yet_there() -> None:
    with pytest.raises(ValueError, match=r"7\.4 has no role PVESDNUser; it is in 8\.0 and later"):
        known_role("PVESDNUser", release_named("7.4"))
    assert known_role("own", release_named("7.4")) == "own"
