"""Going from one table to another in place, and finding what is alike, give exact answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.access.analysis.affected import affected_principals, all_principals
from reconciler.access.analysis.equivalence import equivalence_classes, held
from reconciler.access.delta import apply_delta, difference
from reconciler.access.evaluate import effective, index_of
from reconciler.access.path_index import PathIndex
from reconciler.access.table import AccessTable
from tests.support.random_tables import PATHS, TOKENS, USERS, facts, tables

_EVERYONE = (*USERS, *TOKENS, "ghost@pve", "ann@pve!none")


@given(tables(), tables())
def test_a_table_with_its_delta_applied_answers_like_the_other_one(
    before: AccessTable, after: AccessTable
) -> None:
    table = before.copy()
    index_of(table)
    delta = difference(before, after)
    apply_delta(table, delta)
    assert facts(table) == facts(after)
    for who in _EVERYONE:
        assert effective(table, who) == effective(after, who)
    apply_delta(table, delta.inverse())
    assert facts(table) == facts(before)
    for who in _EVERYONE:
        assert effective(table, who) == effective(before, who)
    assert not difference(table, before)


@given(tables(), tables(), st.sampled_from((0, 100)))
def test_cells_hold_every_touched_pair_once_and_all_of_a_cell_is_alike(
    before: AccessTable, after: AccessTable, now: int
) -> None:
    paths = PathIndex((*PATHS, "/vms/102", "/pool/prod/new"))
    seen: set[tuple[str, str]] = set()
    for cell in equivalence_classes((before, after), all_principals(before, after), paths, now):
        for who in cell.principals:
            for path in cell.paths:
                assert (who, path) not in seen
                seen.add((who, path))
                for table, flags in zip((before, after), cell.held, strict=True):
                    assert held(table, who, path, now).keys() == flags.keys()
    for who in _EVERYONE:
        for path in paths.paths:
            if (who, path) not in seen:
                assert not held(before, who, path, now)
                assert not held(after, who, path, now)


@given(tables(), tables())
def test_whatever_differs_for_anybody_was_touched(before: AccessTable, after: AccessTable) -> None:
    """Also where several deltas are needed: a little of the way, seen from both ends."""
    delta = difference(before, after)
    reach = affected_principals(delta, before, after)
    seen = {
        (who, path)
        for cell in equivalence_classes((before, after), reach, PathIndex(PATHS))
        for who in cell.principals
        for path in cell.paths
    }
    for who in _EVERYONE:
        for path in PATHS:
            if held(before, who, path).keys() != held(after, who, path).keys():
                assert (who, path) in seen
