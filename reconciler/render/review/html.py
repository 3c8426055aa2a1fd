"""The access review as one self-contained HTML page: to search, print and sign."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from reconciler.access.contents import TOKEN, USER
from reconciler.access.review.accounts import Mark, Risk
from reconciler.access.review.before_after import MOST_NODES
from reconciler.access.review.review import Review
from reconciler.render.collapse import alike
from reconciler.render.page import LEVELS, TONES, environment, policy, resource, trusted
from reconciler.render.picture import picture, told
from reconciler.render.review.data import data, realms
from reconciler.render.review.labels import SIGNERS, Places
from reconciler.render.review.statements import (
    changes,
    ending,
    facts,
    points,
    recoverability,
    waived,
)
from reconciler.render.view import View
from reconciler.text.humanize import moment, noun

_MARKS = {"+": "came", "-": "went", "~": "other", "!": "alarm"}
"""Marks of changes -> classes of page.css."""
_RISKS = tuple((one.name.lower(), one.value) for one in Risk)


class Figure(NamedTuple):
    """A number that filters the table of accounts by `key` and `value`."""

    label: str
    number: int
    key: str
    value: str

    @property
    def alarming(self) -> bool:
        return self.key == "risk" and self.number > 0


def html(review: Review, view: View) -> str:
    """The page, also complete on paper. All foreign strings are sanitized and escaped."""
    del view
    style = f"{resource('page/base.css')}\n{resource('review/page.css')}"
    script = resource("review/page.js")
    page = environment().get_template("review/page.html")
    return page.render(
        policy=policy(style, script),
        style=trusted(style),
        script=trusted(script),
        data=trusted(_embedded(data(review))),
        **_content(review),
    )


def _content(review: Review) -> dict[str, Any]:
    """The values of the template."""
    marks = [(one.name.lower(), one.value) for one in Mark]
    places = Places(review.guests, review.holdings.pools)
    return {
        "review": review,
        "skip_to": "accounts",
        "heading": review.about.cluster or "state files",
        "day": moment(review.about.taken)[:10],
        "facts": [fact for fact in facts(review) if fact.name not in {"cluster", "content"}],
        "figures": list(_figures(review)),
        "points": list(points(review)),
        "backups": recoverability(review),
        "tones": TONES,
        "risk_codes": {code for code, _ in _RISKS},
        "ways": [way for way in review.ways if way.steps],
        "changes": list(changes(review.since, places)) if review.since else [],
        "marks": _MARKS,
        "levels": LEVELS,
        "realms": list(realms(review)),
        "risk_options": _RISKS,
        "mark_options": [*marks, *([("changed", "changed since")] if review.since else [])],
        "findings": list(alike(review.findings)),
        "waived": waived,
        "ending": ending,
        "signers": SIGNERS,
        **_picture(review),
    }


def _picture(review: Review) -> dict[str, Any]:
    """The graph, where a person can still read it, and its edges as text."""
    found = review.graph
    if found is None or not found.edges or len(found.nodes) > MOST_NODES:
        return {"drawing": "", "edges": []}
    drawing = picture([(edge, "") for edge in found.edges], "Who reaches what", inside=True)
    edges = [told(edge) for edge in found.edges]
    return {"drawing": trusted(drawing), "edges": edges}


def _figures(review: Review) -> Iterator[Figure]:
    accounts = review.accounts
    for kind in (USER, TOKEN):
        number = sum(one.kind == kind for one in accounts)
        yield Figure(noun(number, kind), number, "kind", kind)
    for risk, one_is, many_are in (
        (Risk.ROOT, "is root", "are root"),
        (Risk.WAY, "can become root", "can become root"),
    ):
        number = sum(one.risk is risk for one in accounts)
        yield Figure(noun(number, one_is, many_are), number, "risk", risk.name.lower())
    for mark, one_lacks, many_lack in (
        (Mark.NO_EXPIRY, "token without expiry", "tokens without expiry"),
        (Mark.NO_SECOND_FACTOR, "without second factor", "without second factor"),
    ):
        number = sum(mark in one.marks for one in accounts)
        yield Figure(noun(number, one_lacks, many_lack), number, "mark", mark.name.lower())


def _embedded(content: object) -> str:
    """JSON inside a script element; nothing in it can close the element."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
