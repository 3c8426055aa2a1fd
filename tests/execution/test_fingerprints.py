"""A secret that was changed is noticed, although Proxmox VE never tells one again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.cli.state_folder.folder_secrets import changed_secrets
from reconciler.desired.reach import Reach
from reconciler.execution.secrets.fingerprints import (
    KEY_BYTES,
    Places,
    changed_secrets_of,
    hashes,
    remember,
    secret_references,
)
from reconciler.kinds.group import GroupSpec
from reconciler.model.address import Address
from reconciler.model.change import Action
from reconciler.model.inventory import Facts
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from tests.execution.test_half_done import STORAGE, VAULT
from tests.execution.worlds import World, bench, declare, look, world
from tests.kinds.samples import declared
from tests.support.engine import NOW

SPEC = declared("storage", "vault", VAULT)
STATE = {STORAGE: SPEC, Address("group", "g"): GroupSpec()}
PLACES = {STORAGE: {"password": "(secret from $SECRET)"}}


def sent(folder: Path, value: str) -> None:
    """As after an apply that sent the password."""
    remember(folder, {STORAGE: {"password": value}}, PLACES)


def now_other(folder: Path, value: str | None, places: Places = PLACES) -> Mapping[Address, object]:
    """What counts as changed when that value is read."""
    return changed_secrets_of(folder, places, lambda *_: value)


@pytest.fixture
def cluster() -> Iterator[World]:
    with world() as made:
        yield made


def test_only_a_secret_that_was_sent_and_is_another_now_counts(tmp_path: Path) -> None:
    assert now_other(tmp_path, "one") == {}
    sent(tmp_path, "one")
    assert now_other(tmp_path, "one") == {}
    assert now_other(tmp_path, "two") == {STORAGE: ("password",)}
    assert now_other(tmp_path, "two", {STORAGE: {"keyring": "$X"}}) == {}


def test_a_secret_from_another_place_is_a_change_and_is_not_read(tmp_path: Path) -> None:
    sent(tmp_path, "one")
    read: list[str] = []

    def reading(_: Address, name: str) -> str:
        read.append(name)
        return "one"

    elsewhere = {STORAGE: {"password": "file /etc/shadow"}}
    assert changed_secrets_of(tmp_path, elsewhere, reading) == {STORAGE: ("password",)}
    assert read == []
    assert changed_secrets_of(tmp_path, PLACES, reading) == {}
    assert read == ["password"]


def test_the_hashes_are_keyed_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        sent(tmp_path / folder, "one")
    files = [tmp_path / folder / "secrets.json" for folder in ("a", "b")]
    assert files[0].read_bytes() != files[1].read_bytes()
    assert b"one" not in files[0].read_bytes()
    for path in tmp_path.rglob("secrets.*"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_first_that_needs_a_key_makes_it_for_all(tmp_path: Path) -> None:
    values, together = {STORAGE: {"password": "one"}}, threading.Barrier(8)

    def hash_it(_: int) -> object:
        together.wait()
        return hashes(tmp_path / "new", values)

    with ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(hash_it, range(8))
    assert all(one == first for one in others)
    (key,) = (tmp_path / "new").iterdir()
    key.write_bytes(b"")
    assert hashes(tmp_path / "new", values) != first
    assert key.stat().st_size == KEY_BYTES


def test_what_is_gone_or_lost_is_not_compared(tmp_path: Path) -> None:
    sent(tmp_path, "one")
    remember(tmp_path, {}, {}, gone=[STORAGE])
    assert now_other(tmp_path, "two") == {}
    sent(tmp_path, "one")
    (tmp_path / "secrets.key").unlink()
    assert now_other(tmp_path, "two") == {}


def test_commands_never_run_while_planning() -> None:
    from_command = declared("storage", "vault", {**VAULT, "password": {"command": ["touch", "x"]}})
    assert secret_references({STORAGE: from_command}) == {}
    assert set(secret_references(STATE)) == {STORAGE}


def test_a_reference_that_cannot_be_resolved_here_counts_as_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(tmp_path, "one")
    monkeypatch.delenv("SECRET", raising=False)
    reach = Reach(tmp_path)
    assert changed_secrets(STATE, tmp_path, reach, tmp_path, {}) == {}
    monkeypatch.setenv("SECRET", "two")
    assert changed_secrets(STATE, tmp_path, reach, tmp_path, {}) == {STORAGE: ("password",)}


def test_a_changed_secret_is_planned_and_sent(cluster: World) -> None:
    bench(cluster, STATE, STATE)
    names = {STORAGE: ("password",)}
    question = PlanRequest(cluster.api.endpoint, "root@pam", NOW, changed_secrets=names)
    plan = build_plan(declare(STATE), look(cluster.api), Facts(), question).plan
    (change,) = plan.changes
    assert change.action is Action.UPDATE
    assert "its password was changed" in change.reason.text
    assert "password" in dict(plan.steps[0].request.params)
