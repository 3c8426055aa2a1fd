"""A cluster is known by its CA: journals, locks and plans are found by every address of it."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from reconciler.execution import identity
from reconciler.execution.identity import Identity
from tests.execution.processes import Ended, Site, site
from tests.execution.test_processes import LOCKED, Plan
from tests.execution.test_takeover import STATE
from tests.execution.worlds import MEMORY

DEAD = "https://127.0.0.1:1"
"""Nobody listens there."""


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name, site(Path(name)) as running:
        yield running


@pytest.fixture
def killed(place: Site) -> Iterator[Plan]:
    """A run that died in the middle."""
    plan = Plan(place, {}, STATE)
    assert place.run("apply", str(plan.file), kill_after=LOCKED + 1).status == -signal.SIGKILL
    yield plan
    plan.clean()


def at(place: Site, address: str, *args: str) -> Ended:
    """The same machine, which names the cluster otherwise."""
    return place.run(*args, extra={"PVECTL_ENDPOINT": address})


def other_name(place: Site) -> str:
    return place.url.replace("127.0.0.1", "LOCALHOST") + "/"


def test_another_spelling_finds_the_unfinished_run(place: Site, killed: Plan) -> None:
    there = other_name(place)
    assert at(place, there, "status").status == ExitStatus.UNFINISHED
    refused = at(place, there, "apply", "--yes")
    assert refused.status == ExitStatus.UNFINISHED, refused
    assert at(place, there, "resume").status == ExitStatus.OK
    killed.is_done()
    assert place.run("status").status == ExitStatus.OK
    assert len(list((place.runs / "a" / "journal").iterdir())) == 1


def test_so_does_the_next_node_when_the_first_is_down(place: Site, killed: Plan) -> None:
    there = f"{DEAD} {other_name(place)}"
    assert at(place, there, "status").status == ExitStatus.UNFINISHED
    assert at(place, there, "rollback").status == ExitStatus.OK
    killed.is_undone()


def test_and_the_index_while_no_node_answers(place: Site, killed: Plan) -> None:
    assert at(place, other_name(place), "status").status == ExitStatus.UNFINISHED
    index = place.runs / "a" / "clusters.json"
    assert index.stat().st_mode & 0o777 == 0o600
    alias = other_name(place).lower().rstrip("/")
    index.write_text(index.read_text().replace(alias, DEAD))
    told = at(place, DEAD, "status")
    assert told.status == ExitStatus.UNFINISHED, told
    assert "Objects according to the journal" in told.out


def test_a_plan_is_applied_by_another_address(place: Site) -> None:
    place.reset(place.fresh)
    (place.state / "a.toml").write_text("[group.g1]\n")
    saved = place.runs / "saved.json"
    assert place.run("plan", "--out", str(saved)).status == ExitStatus.OK
    done = at(place, other_name(place), "apply", str(saved))
    assert done.status == ExitStatus.OK, done
    place.reset(place.fresh)


def test_journals_that_were_kept_by_address_are_found(place: Site, killed: Plan) -> None:
    """As an earlier release left them: by another address, and without an index."""
    home = place.runs / "a"
    (folder,) = (home / "journal").iterdir()
    folder.rename(folder.with_name(folder.name.replace("127.0.0.1", "localhost")))
    (home / "clusters.json").unlink()
    assert place.run("status").status == ExitStatus.LOCKED, "that address was never used here"
    assert at(place, other_name(place), "status").status == ExitStatus.UNFINISHED
    assert place.run("status").status == ExitStatus.UNFINISHED, "the same cluster"
    assert place.run("rollback").status == ExitStatus.OK
    killed.is_undone()


def test_journals_of_two_addresses_come_together(place: Site, killed: Plan) -> None:
    home = place.runs / "a"
    (folder,) = (home / "journal").iterdir()
    other = folder.with_name(folder.name.replace("127.0.0.1", "localhost"))
    other.mkdir()
    for path in [*folder.glob("*.jsonl"), folder / "fence"]:
        path.rename(other / path.name)
    assert at(place, other_name(place), "status").status == ExitStatus.UNFINISHED
    assert not list(other.glob("*.jsonl"))
    assert place.run("resume").status == ExitStatus.OK
    killed.is_done()


@pytest.mark.parametrize(("answer", "status"), [("same", 11), ("new", 6)])
def test_another_ca_is_reported_and_not_guessed(
    place: Site, killed: Plan, answer: str, status: int
) -> None:
    ca, node = place.world.folder / "pve-root-ca.pem", next(place.world.folder.rglob("pve-ssl.pem"))
    before = ca.read_bytes()
    ca.write_bytes(node.read_bytes())
    try:
        for command in (["status"], ["apply", "--yes"], ["resume"], ["drift"], ["plan"]):
            asked = place.run(*command)
            assert asked.status == ExitStatus.UNREACHABLE, (command, asked)
            assert "presents a different CA than the cluster" in asked.err
            assert "pvectl status --cluster-is same" in asked.err
        assert place.run("status", "--cluster-is", answer).status == status
        assert place.run("status").status == status
        assert place.run("status", "--cluster-is", "other").status == ExitStatus.USAGE
    finally:
        ca.write_bytes(before)
    del killed


def test_copies_of_one_installation_are_told_apart_by_their_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path))
    folders = {
        identity.folder_of(
            Identity("AB:CD", frozenset({node})), f"https://{node}", [f"https://{node}"], keep=True
        )
        for node in ("pve01", "lab01")
    }
    assert len(folders) == 2
    grown = Identity("AB:CD", frozenset({"pve01", "pve02"}))
    assert identity.folder_of(grown, "https://pve02", ["https://pve02"], keep=False) in folders
    assert identity.folder_offline(["https://gone", "https://pve02"]) in folders
