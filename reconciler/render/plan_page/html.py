"""A plan as one self-contained HTML page: who holds what before and after, and everything else that
the plan says. It loads nothing, sends nothing and runs no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reconciler.access.login import Login
from reconciler.access.review.before_after import AccountRow, BeforeAfter, of_sort
from reconciler.access.review.privilege_catalog import Level, ResourceType
from reconciler.access.review.profiles import Profile
from reconciler.access.review.saved_access import MOST
from reconciler.model.change import Action
from reconciler.model.plan import Plan
from reconciler.render.documents.plan import outline
from reconciler.render.page import LEVELS, TONES, environment, policy, resource, trusted
from reconciler.render.picture import picture, told
from reconciler.render.review.labels import TITLES, CellLine, Places
from reconciler.render.view import View
from reconciler.text.humanize import count, noun

NAMES = 6
"""Accounts of a row that are named."""
PRIVILEGES = 4
"""Privileges of a cell that are named."""
ROWS = 300
"""Rows of a table; further ones are counted."""


class Cell(NamedTuple):
    """`mark`: `+` gained, `-` lost, `~` both or elsewhere, "" unchanged. `level`: the highest of
    what is shown. `was`: what was held, where that differs."""

    title: str
    mark: str
    level: int
    parts: tuple[CellLine, ...]
    was: tuple[CellLine, ...] = ()
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class Line(NamedTuple):
    """One row of the matrix. `tags`: what becomes of the accounts themselves."""

    names: tuple[str, ...]
    tags: tuple[tuple[str, str], ...]
    cells: tuple[Cell, ...]


def html(plan: Plan, view: View) -> str:
    """The page, also complete on paper. All foreign strings are sanitized and escaped."""
    style = resource("page/base.css") + "\n" + resource("plan_page/page.css")
    access = view.access
    drawing = _drawing(access) if access and access.drawn else ""
    content = outline(plan, view)
    template = environment().get_template("plan_page/page.html")
    return template.render(
        policy=policy(style),
        style=trusted(style),
        plan=plan,
        outline=content,
        facts=[one for one in content.facts if one.name not in {"cluster", "compared with"}],
        skip_to="access",
        figures=list(_figures(plan, access)),
        access=access,
        changed=list(_lines(access, access.changed)) if access else [],
        same=list(_lines(access, access.same)) if access else [],
        drawing=trusted(drawing),
        edges=[(mark, told(edge, mark)) for edge, mark in access.drawn] if access else [],
        unchanged=sum(len(row.principals) for row in access.same) if access else 0,
        sorts=[TITLES[sort] for sort in ResourceType],
        levels=LEVELS,
        tones=TONES,
        kept=MOST,
        rows=ROWS,
        named=NAMES,
        shown=PRIVILEGES,
    )


def _figures(plan: Plan, access: BeforeAfter | None) -> Iterator[tuple[int, str, bool]]:
    yield plan.count(Action.CREATE), "to create", False
    yield plan.count(Action.UPDATE), "to change", False
    yield plan.count(Action.DELETE), "to delete", False
    if access is not None:
        number = sum(len(row.principals) for row in access.changed)
        yield number, f"{noun(number, 'account')} whose access changes", False
    errors = len(plan.refusals)
    yield errors, noun(errors, "error"), errors > 0


def _drawing(access: BeforeAfter) -> str:
    numbers = [
        (sum(one.mark == mark for one in access.drawn), word)
        for mark, word in (("+", "new"), ("-", "removed"), ("~", "changed"))
    ]
    told_in = ", ".join(f"{number:,} {word}" for number, word in numbers if number)
    return picture(access.drawn, f"Grants and memberships: {told_in}", inside=True)


def _lines(access: BeforeAfter, rows: Iterable[AccountRow]) -> Iterator[Line]:
    before = Places(access.guests, access.before.pools)
    after = Places(access.guests, access.after.pools)
    for row in rows:
        profiles = access.profiles(row)
        cells = tuple(_cell(TITLES[sort], (before, after), profiles, sort) for sort in ResourceType)
        yield Line(row.principals, tuple(_tags(row)), cells)


def _tags(row: AccountRow) -> Iterator[tuple[str, str]]:
    if len(row.principals) > 1:
        yield "", count(len(row.principals), "account")
    old, new = row.login_before, row.login_after
    if old is new:
        if new is not Login.ACTIVE:
            yield "", f"cannot log in: {new}"
    elif old is Login.ABSENT:
        yield "+", "new" if new is Login.ACTIVE else f"new, cannot log in: {new}"
    elif new is Login.ABSENT:
        yield "-", "deleted"
    else:
        yield "~", "can log in" if new is Login.ACTIVE else f"can no longer log in: {new}"


def _cell(
    title: str, places: tuple[Places, Places], profiles: tuple[Profile, Profile], sort: ResourceType
) -> Cell:
    old, new = (of_sort(one, sort) for one in profiles)
    parts = places[1].parts(profiles[1], sort)
    if old == new:
        return Cell(title, "", _level(parts), parts)
    was = places[0].parts(profiles[0], sort)
    held = [frozenset(name for one in side for name in one.privileges) for side in (old, new)]
    gained, lost = sorted(held[1] - held[0]), sorted(held[0] - held[1])
    mark = "+" if gained and not lost else "-" if lost and not gained else "~"
    was = was if was != parts else ()
    return Cell(title, mark, _level(parts), parts, was, tuple(gained), tuple(lost))


def _level(parts: Iterable[CellLine]) -> int:
    return int(max((part.level for part in parts), default=Level.NONE))
