"""The record of past runs: who did what, and whether the record is what was written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site

RUNS = 3


@pytest.fixture
def journals(site: Site) -> list[Path]:
    """Three runs, oldest first."""
    for number in range(RUNS):
        site.write("a.toml", "".join(f"[group.g{n}]\n" for n in range(number + 1)))
        ended = site.run("apply", "--yes", env={"PVECTL_RUN_URL": f"https://ci.example/{number}"})
        assert ended.status == ExitStatus.OK, ended
    found = sorted((site.home / "journal").glob("*/*.jsonl"))
    assert len(found) == RUNS
    return found


def log(site: Site, *words: str) -> tuple[int, dict]:
    ended = site.run("log", "--format", "json", *words)
    return ended.status, json.loads(ended.out)


def test_runs_are_listed_without_a_network(site: Site, journals: list[Path]) -> None:
    ended = site.run("log", env={"PVECTL_TOKEN_SECRET": ""})
    assert ended.status == ExitStatus.OK, ended
    assert "3 runs on https://" in ended.out
    assert "the chain of journals is intact" in ended.out
    assert ended.out.index("https://ci.example/2") < ended.out.index("https://ci.example/0")
    assert all(path.name in ended.out for path in journals)
    status, found = log(site)
    assert (status, found["holds"]) == (ExitStatus.OK, True)
    assert [run["outcome"] for run in found["runs"]] == ["done"] * RUNS
    assert {run["actor"] for run in found["runs"]} == {"root@pam!bootstrap"}
    assert [run["changes"] for run in found["runs"]] == [1, 1, 1]


def test_nothing_recorded(site: Site) -> None:
    ended = site.run("log")
    assert (ended.status, "No run on https://" in ended.out) == (ExitStatus.OK, True)


def test_runs_on_a_sandbox_are_found_under_any_spelling_of_its_folder(site: Site) -> None:
    site.write("a.toml", "[group.g]\n")
    (site.folder / "cluster").symlink_to(site.cluster.folder)
    sandbox = ("--on", "sandbox:state/../cluster")
    assert site.run("apply", "--yes", *sandbox).status == ExitStatus.OK
    ended = site.run("log", *sandbox)
    assert (ended.status, "1 run on sandbox:" in ended.out) == (ExitStatus.OK, True), ended


def test_a_failed_and_an_unfinished_run_are_reported(site: Site, journals: list[Path]) -> None:
    last = journals[-1]
    lines = last.read_bytes().splitlines(keepends=True)
    last.write_bytes(b"".join(lines[:-1]))
    status, found = log(site)
    assert (status, found["runs"][-1]["outcome"]) == (ExitStatus.OK, "unfinished")


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("how", ["changed", "cut", "removed", "rewritten"])
def test_tampering_is_noticed(how: str, where: int, site: Site, journals: list[Path]) -> None:
    before = log(site)[1]["head"]
    path = journals[where]
    lines = path.read_bytes().splitlines(keepends=True)
    if how == "changed":
        path.write_bytes(path.read_bytes().replace(b"root@pam!bootstrap", b"other@pam!bootstrap"))
    elif how == "cut":
        path.write_bytes(b"".join(lines[:-1]))
    elif how == "removed":
        path.unlink()
    else:  # another run's lines, which hold among themselves
        path.write_bytes(journals[where - 1].read_bytes())
    newest = where == RUNS - 1
    status, found = log(site)
    if newest and how in {"cut", "removed"}:  # nothing followed that would tell
        assert (status, found["holds"]) == (ExitStatus.OK, True)
    elif where == 0 and how == "removed":
        assert "is missing" in found["runs"][0]["trouble"]
        assert status == ExitStatus.NOT_RESTORED
    else:
        assert status == ExitStatus.NOT_RESTORED
        assert not found["holds"]
        assert any(run["trouble"] for run in found["runs"])
    status, found = log(site, "--head", before[:16])
    assert status == ExitStatus.NOT_RESTORED, (how, where)
    text = site.run("log", "--head", before[:16])
    assert "is not intact" in text.out or "none of them holds" in text.out


def test_a_noted_head_is_held_by_later_runs(site: Site, journals: list[Path]) -> None:
    head = log(site)[1]["head"]
    site.write("b.toml", "[group.later]\n")
    assert site.run("apply", "--yes").status == ExitStatus.OK
    status, found = log(site, "--head", head)
    assert (status, len(found["runs"])) == (ExitStatus.OK, len(journals) + 1)
    assert found["head"] != head


def test_journals_of_a_release_that_did_not_chain_them_are_not_tampering(
    site: Site, journals: list[Path]
) -> None:
    from reconciler.execution.journal.journal import START, read_journal
    from reconciler.model.spec import canonical

    for path in journals:  # as they were written then
        lines, before = [], START
        for number, event in enumerate(read_journal(path)):
            data = {key: value for key, value in event.data.items() if key != "follows"}
            body = {"n": number, "event": event.name, "data": data}
            hashed = hashlib.sha256(before.encode() + canonical(body)).hexdigest()
            lines.append(canonical({**body, "before": before, "hash": hashed}) + b"\n")
            before = hashed
        path.write_bytes(b"".join(lines))
    site.write("b.toml", "[group.later]\n")
    assert site.run("apply", "--yes").status == ExitStatus.OK
    status, found = log(site)
    assert (status, found["holds"], len(found["runs"])) == (ExitStatus.OK, True, RUNS + 1), found


def test_a_journal_that_is_put_between_is_noticed(site: Site, journals: list[Path]) -> None:
    copy = journals[1].with_name(journals[1].name.replace("Z-", "Z-9"))
    copy.write_bytes(journals[1].read_bytes())
    status, found = log(site)
    assert status == ExitStatus.NOT_RESTORED
    assert [run["trouble"] for run in found["runs"] if run["trouble"]] == [
        f"it follows {journals[0].name}, which another journal follows already"
    ]


@pytest.mark.parametrize("head", ["a", "xyz", "g" * 16, "a" * 65])
def test_what_is_not_a_hash_proves_nothing(head: str, site: Site, journals: list[Path]) -> None:
    del journals
    ended = site.run("log", "--head", head)
    assert (ended.status, "not a hash of a journal" in ended.err) == (ExitStatus.USAGE, True)
