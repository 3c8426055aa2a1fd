"""The differences of a drift in words, seen from the files: missing, extra or changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.model.change import Change
from reconciler.model.drift import Drift, DriftItem, Undeclared
from reconciler.model.field_diff import FieldDifference, differences, fields
from reconciler.text.humanize import in_prose, listed

NAMED = 20
"""Number of missing or extra list items, and of principals, that are named."""

_BEFORE = "before"
_NOT_DECLARED = (
    "not declared; it changes access, is a new storage or backup job, or its kind is watched"
)
LEFT_FILES = "no longer declared; still as the last apply left it"


def why_undeclared(one: Undeclared) -> str:
    """Of an undeclared object that is drift."""
    return LEFT_FILES if one.left_files else _NOT_DECLARED


def reason(one: DriftItem) -> str:
    """Where the object is declared, or why nothing declares it."""
    text = one.change.reason.text
    return f"{text}, which does not give {in_prose(one.left)}" if one.left else text


def details(change: Change, left: Sequence[str] = ()) -> Sequence[tuple[str, str]]:
    """The fields of a missing or extra object, or how those that differ are in the cluster.

    `left`: fields that no file gives; they are compared with what they were before.
    """
    if change.before is None or change.after is None:
        spec = change.before or change.after
        return [] if spec is None else list(fields(spec))
    return [
        (one.name, _told(one, _BEFORE if one.name in left else "as declared"))
        for one in differences(change.before, change.after)
    ]


def in_one_line(one: DriftItem) -> str:
    """`comment: mine in the cluster, yours as declared; groups: missing ops`."""
    return "; ".join(f"{name}: {text}" for name, text in details(one.change, one.by_hand))


def ways_to_root(drift: Drift) -> Iterable[str]:
    """Who has become root, or can become it, and how."""
    for way in drift.roots:
        who = listed(way.principals, NAMED)
        if not way.steps:
            has = "has" if len(way.principals) == 1 else "have"
            yield f"{who} {has} become root, with every privilege on /"
            continue
        certain = "can become root" if way.sure else "may be able to become root"
        yield f"{who} {certain}: {', then '.join(way.steps)}"


def _told(one: FieldDifference, then: str) -> str:
    """`one` leads from the cluster to the files, or to what it was: `then`."""
    if not (one.added or one.removed):
        return f"{one.before} in the cluster, {one.after} {then}"
    words = ("gone", "new") if then == _BEFORE else ("missing", "extra")
    parts = [
        f"{word} {listed(items, NAMED)}"
        for word, items in zip(words, (one.added, one.removed), strict=True)
        if items
    ]
    return "; ".join(parts)
