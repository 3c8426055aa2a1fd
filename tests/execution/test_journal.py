"""Journals: what may be missing at their end, what may not, and what a broken disk leads to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.errors import JournalBroken, JournalUnfinished
from reconciler.execution.journal import store
from reconciler.execution.journal.journal import Journal, read_journal
from reconciler.model.run import Event
from reconciler.model.spec import State
from tests.execution import disk
from tests.execution.pair import FIRST, SECOND
from tests.execution.size import on_pairs, some
from tests.execution.worlds import bench, world


def few(points: Sequence[int]) -> Sequence[int]:
    return some(points, 5)


@on_pairs(3, 15)
def test_no_request_is_sent_without_its_record(first: State, second: State) -> None:
    with world() as cluster:
        disk.nothing_without_its_record(bench(cluster, first, second), second, few)


def test_a_full_disk_is_rolled_back_with_what_was_kept_free() -> None:
    with world() as cluster:
        disk.a_full_disk_is_rolled_back(bench(cluster, FIRST, SECOND))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A journal of three events."""
    with Journal.create(tmp_path / "j.jsonl") as journal:
        for number in range(3):
            journal.write("intent", step=number, direction="forward", time=1.0)
        return journal.path


def test_each_event_is_one_line_and_reads_back(written: Path) -> None:
    assert len(written.read_bytes().splitlines()) == 3
    assert read_journal(written)[2] == Event(
        "intent", {"step": 2, "direction": "forward", "time": 1.0}
    )


def test_a_journal_is_readable_by_its_owner_only(written: Path) -> None:
    assert written.stat().st_mode & 0o777 == 0o600


def test_a_torn_last_line_is_dropped_and_the_journal_continues(written: Path) -> None:
    whole = written.read_bytes()
    last = whole.rstrip(b"\n").rpartition(b"\n")[2] + b"\n"
    for length in range(len(last)):
        written.write_bytes(whole.removesuffix(last) + last[:length])
        assert len(read_journal(written)) == 2
        with Journal.open(written) as journal:
            journal.write("done", step=1, direction="forward")
        assert [event.name for event in read_journal(written)] == ["intent", "intent", "done"]


def test_a_last_line_of_zeros_is_what_a_crash_leaves(written: Path) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole + b"\0" * 100 + b"\n")
    assert len(read_journal(written)) == 3


def test_a_changed_byte_anywhere_is_noticed(written: Path) -> None:
    whole = bytearray(written.read_bytes())
    for place in range(len(whole)):
        changed = whole.copy()
        changed[place] ^= 0x01
        written.write_bytes(bytes(changed))
        try:
            events = read_journal(written)
        except JournalBroken:
            continue
        assert len(events) == 2, place  # the last line lost its newline: torn


def test_a_line_that_is_missing_or_moved_is_noticed(written: Path) -> None:
    one, two, three = written.read_bytes().splitlines(keepends=True)
    for lines in ((two, three), (one, three), (one, three, two), (one, two, two, three)):
        written.write_bytes(b"".join(lines))
        with pytest.raises(JournalBroken):
            read_journal(written)


def test_an_unfinished_journal_is_named_with_what_to_type(written: Path) -> None:
    with pytest.raises(JournalUnfinished) as caught:
        store.refuse_unfinished(written.parent)
    assert caught.value.exit_status == 11
    assert "pvectl resume" in caught.value.hint
    assert "pvectl rollback" in caught.value.hint
    with Journal.open(written) as journal:
        journal.write("end", outcome="done", objects={})
    store.refuse_unfinished(written.parent)


def test_room_is_kept_while_a_run_lasts_and_given_back_at_its_end(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j.jsonl", 100_000) as journal:
        kept = tmp_path / "j.reserve"
        assert kept.stat().st_size == 100_000
        assert len(set(kept.read_bytes())) > 200
        journal.write("end", outcome="done", objects={})
    assert [path.name for path in tmp_path.iterdir()] == ["j.jsonl"]


def test_what_a_disk_did_not_keep_is_written_once_more(tmp_path: Path) -> None:
    faults = disk.Disk(disk.unsynced(3, tmp_path))
    with disk.journals_on(faults), Journal.create(tmp_path / "j.jsonl") as journal:
        for step in range(3):
            journal.write("intent", step=step, direction="forward", time=1.0)
            journal.write("done", step=step, direction="forward")
    assert faults.failed == 1
    assert [event.step for event in read_journal(journal.path)] == [0, 0, 1, 1, 2, 2]


def test_an_outcome_goes_to_the_disk_with_the_next_announcement(tmp_path: Path) -> None:
    synced: list[int] = []

    def note(what: str, number: int) -> int:
        synced.extend([number] if what == "fsync" else [])
        return 0

    faults = disk.Disk(note)
    with disk.journals_on(faults), Journal.create(tmp_path / "j.jsonl") as journal:
        synced.clear()
        journal.write("intent", step=0, direction="forward", time=1.0)
        journal.write("done", step=0, direction="forward")
        assert len(read_journal(journal.path)) == 2
        journal.write("intent", step=1, direction="forward", time=1.0)
    assert synced == [1, 3]
