"""Privileges held, or missing, only while a plan is being applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reconciler.access.analysis.affected import Affected
from reconciler.access.analysis.effects import AccessDifference, AccessEffect, collect, names
from reconciler.access.analysis.equivalence import EquivalenceClass, equivalence_classes, held
from reconciler.access.analysis.impact import known_paths
from reconciler.access.analysis.path_partition import PathPartition
from reconciler.access.path_index import PathIndex
from reconciler.access.table import AccessTable
from reconciler.pve.acl_paths import path_in_words
from reconciler.text.humanize import in_prose


class ExposureWindow(NamedTuple):
    """`gained` of an effect: held only in between; `lost`: missing only in between."""

    effects: tuple[AccessEffect, ...]

    def __str__(self) -> str:
        """The first effect in words, and whether there are more."""
        first = self.effects[0]
        what = [
            f"{verb} {in_prose(privileges)}"
            for verb, privileges in (("would hold", first.gained), ("would lack", first.lost))
            if privileges
        ]
        paths = [path_in_words(path) for path in first.paths]
        text = f"{in_prose(first.principals)} {' and '.join(what)} on {in_prose(paths)}"
        return f"{text}, and more" if len(self.effects) > 1 else text


def exposure_window(
    before: AccessTable,
    after: AccessTable,
    now: AccessTable,
    touched: Affected,
    paths: PathIndex | None = None,
    ground: PathPartition | None = None,
    time: int = 0,
) -> ExposureWindow | None:
    """The window open in `now`, a table between `before` and `after`; None if there is none.

    Only what is `touched` is evaluated, so asking after each step is cheap. `paths`: those of
    `known_paths`, computed once for repeated calls; so is `ground`, the partition of the three
    tables, which is valid until the members of a pool change. `time` in Unix seconds: principals
    expired by then hold nothing; with 0 nothing counts as expired.
    """
    where = paths if paths is not None else known_paths((before, after))
    alike = equivalence_classes((before, after, now), touched, where, time, ground)
    found = [one for cell in alike for one in _open(cell)]
    return ExposureWindow(collect(found, where)) if found else None


def _open(cell: EquivalenceClass) -> Iterator[AccessDifference]:
    before, after, now = (flags.keys() for flags in cell.held)
    extra, missing = now - before - after, (before & after) - now
    if extra or missing:
        yield AccessDifference(cell, names(extra), names(missing))


def still_exposed(
    before: AccessTable,
    after: AccessTable,
    now: AccessTable,
    principal: str,
    path: str,
    time: int = 0,
) -> bool:
    """Whether a window is open for one principal on one path."""
    old, new, current = (
        held(table, principal, path, time).keys() for table in (before, after, now)
    )
    return bool(current - old - new or (old & new) - current)
