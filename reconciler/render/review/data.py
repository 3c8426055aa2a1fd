"""The data of a review page, as compact as possible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.access.contents import TOKEN
from reconciler.access.review.accounts import Account, Mark, Risk
from reconciler.access.review.privilege_catalog import Level, ResourceType, privilege_in_words
from reconciler.access.review.review import Review
from reconciler.render.review.labels import TITLES, Places, shortened
from reconciler.render.review.statements import account_changes, age, expiry
from reconciler.text.sanitize import clean

SHOWN = 24
"""Number of places named per holding; the CSV and the JSON document name all."""


class _Texts:
    """A string table: each string once, referred to by number."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.number.setdefault(clean(text), len(self.number))


def data(review: Review) -> dict[str, Any]:
    """`texts` are referred to by number; so are `profiles`, `risks`, `marks` and `levels`.

    A profile is its cells, for each sort pairs of level and place, and its rows: sort, level,
    places, words, privileges.
    """
    texts, places = _Texts(), Places(review.guests, review.holdings.pools)
    marks = {mark: number for number, mark in enumerate(Mark)}
    risks = {risk: number for number, risk in enumerate(Risk)}
    changed = account_changes(review, places)
    content = {
        "levels": [one.word for one in Level],
        "sorts": [TITLES[one] for one in ResourceType],
        "risks": [one.value for one in Risk],
        "marks": [one.value for one in Mark],
        "codes": [one.name.lower() for one in (*Risk, *Mark)],
        "profiles": [_profile(review, number, places, texts) for number in _numbers(review)],
        "accounts": [
            {
                **_account(one, review.about.taken),
                "risk": risks[one.risk],
                "marks": [marks[mark] for mark in one.marks],
                **(
                    {"changed": [str(line) for line in changed[one.principal]]}
                    if one.principal in changed
                    else {}
                ),
            }
            for one in review.accounts
        ],
        "grants": _grants(review, texts),
        "ways": _ways(review, texts),
        "since": review.since is not None,
    }
    return {**content, "texts": list(texts.number)}


def _numbers(review: Review) -> range:
    return range(len(review.holdings.profiles))


def _profile(review: Review, number: int, places: Places, texts: _Texts) -> list[Any]:
    profile = review.holdings.profiles[number]
    sorts = list(ResourceType)
    cells = [
        [[int(part.level), texts(part.where)] for part in places.parts(profile, sort)]
        for sort in ResourceType
    ]
    rows = [
        [
            sorts.index(one.sort),
            int(one.level),
            texts(shortened(places.where(one, profile) or one.places, SHOWN)),
            texts(privilege_in_words(one.privileges)),
            texts(", ".join(one.privileges)),
        ]
        for one in profile
    ]
    return [cells, rows]


def _account(one: Account, now: int) -> dict[str, Any]:
    """Empty values are left out."""
    told = {
        "id": clean(one.principal),
        "realm": clean(one.realm),
        "profile": one.profile,
        "login": str(one.login),
        "expires": expiry(one.expires),
        "ends": one.expires,
        "name": clean(one.name),
        "email": clean(one.email),
        "comment": clean(one.comment),
        "groups": [clean(group) for group in one.groups],
        "declared": {None: "", True: "yes", False: "no"}[one.declared],
    }
    if one.kind == TOKEN:
        told |= {
            "token": 1,
            "owner": clean(one.owner),
            "privsep": "yes" if one.privsep else "no",
            "age": age(one, now),
        }
    else:
        told |= {
            "factor": str(one.second_factor),
            "twins": [clean(twin) for twin in one.twins],
        }
    return {key: value for key, value in told.items() if value not in ("", [], None)}


def _grants(review: Review, texts: _Texts) -> dict[str, list[list[Any]]]:
    """`KIND:NAME` -> path, role, propagate flag, reason, expiry."""
    found: dict[str, list[list[Any]]] = {}
    for one in review.grants:
        key = f"{one.kind}:{clean(one.principal)}"
        ends = expiry(one.expires) if one.expires else ""
        row = [texts(one.path), texts(one.role), int(one.propagate), texts(one.reason), texts(ends)]
        found.setdefault(key, []).append(row)
    return found


def _ways(review: Review, texts: _Texts) -> dict[str, list[list[int]]]:
    """Account -> its ways to root, each as its steps."""
    found: dict[str, list[list[int]]] = {}
    for way in review.ways:
        if way.steps:
            steps = [texts(str(step)) for step in way.steps]
            for who in way.principals:
                found.setdefault(clean(who), []).append(steps)
    return found


def realms(review: Review) -> Iterator[str]:
    """The realms of all accounts, in text order."""
    yield from sorted({clean(one.realm) for one in review.accounts})
