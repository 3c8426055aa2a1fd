"""A secret that was changed is noticed, although Proxmox VE never tells one again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.folder_secrets import changed_secrets
from reconciler.execution.secrets.fingerprints import (
    changed_secrets_of,
    remember,
    secret_references,
)
from reconciler.kinds.group import GroupSpec
from reconciler.model.address import Address
from reconciler.model.change import Action
from reconciler.model.inventory import Facts
from reconciler.planning.builder import PlanRequest, build_plan
from tests.execution.test_half_done import STORAGE, VAULT
from tests.execution.worlds import World, bench, declare, look, world
from tests.kinds.samples import declared
from tests.support.engine import NOW

SPEC = declared("storage", "vault", VAULT)
STATE = {STORAGE: SPEC, Address("group", "g"): GroupSpec()}


@pytest.fixture
def cluster() -> Iterator[World]:
    with world() as made:
        yield made


def test_only_a_secret_that_was_sent_and_is_another_now_counts(tmp_path: Path) -> None:
    assert changed_secrets_of(tmp_path, {STORAGE: {"password": "one"}}) == {}
    remember(tmp_path, {STORAGE: {"password": "one"}})
    assert changed_secrets_of(tmp_path, {STORAGE: {"password": "one"}}) == {}
    assert changed_secrets_of(tmp_path, {STORAGE: {"password": "two"}}) == {STORAGE: ("password",)}
    assert changed_secrets_of(tmp_path, {STORAGE: {"keyring": "two"}}) == {}


def test_the_hashes_are_keyed_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        remember(tmp_path / folder, {STORAGE: {"password": "one"}})
    files = [tmp_path / folder / "secrets.json" for folder in ("a", "b")]
    assert files[0].read_bytes() != files[1].read_bytes()
    assert b"one" not in files[0].read_bytes()
    for path in tmp_path.rglob("secrets.*"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_gone_or_lost_is_not_compared(tmp_path: Path) -> None:
    remember(tmp_path, {STORAGE: {"password": "one"}})
    remember(tmp_path, {}, gone=[STORAGE])
    assert changed_secrets_of(tmp_path, {STORAGE: {"password": "two"}}) == {}
    remember(tmp_path, {STORAGE: {"password": "one"}})
    (tmp_path / "secrets.key").unlink()
    assert changed_secrets_of(tmp_path, {STORAGE: {"password": "two"}}) == {}


def test_commands_never_run_while_planning() -> None:
    from_command = declared("storage", "vault", {**VAULT, "password": {"command": ["touch", "x"]}})
    assert secret_references({STORAGE: from_command}) == {}
    assert set(secret_references(STATE)) == {STORAGE}


def test_a_reference_that_cannot_be_resolved_here_counts_as_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(tmp_path, {STORAGE: {"password": "one"}})
    monkeypatch.delenv("SECRET", raising=False)
    assert changed_secrets(STATE, tmp_path, tmp_path) == {}
    monkeypatch.setenv("SECRET", "two")
    assert changed_secrets(STATE, tmp_path, tmp_path) == {STORAGE: ("password",)}


def test_a_changed_secret_is_planned_and_sent(cluster: World) -> None:
    bench(cluster, STATE, STATE)
    names = {STORAGE: ("password",)}
    question = PlanRequest(cluster.api.endpoint, "root@pam", NOW, changed_secrets=names)
    plan = build_plan(declare(STATE), look(cluster.api), Facts(), question).plan
    (change,) = plan.changes
    assert change.action is Action.UPDATE
    assert "its password was changed" in change.reason.text
    assert "password" in dict(plan.steps[0].request.params)
