"""The access review as one HTML page that needs nothing else: to search, print and sign.

The page loads nothing and sends nothing: its policy allows only its own script and style, by their
hash, so that nothing that a cluster holds can run in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files

from reconciler.access.review.accounts import Mark, Risk
from reconciler.access.review.review import Review
from reconciler.render.review import sections
from reconciler.render.review.data import data, realms
from reconciler.render.review.labels import Places
from reconciler.render.view import View
from reconciler.text.humanize import moment
from reconciler.text.sanitize import clean

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def html(review: Review, view: View) -> str:
    """The page, complete also on paper. Foreign text is escaped wherever it stands."""
    del view
    style, script = _part("page.css"), _part("page.js")
    about, places = review.about, Places(review)
    parts = {
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "data": _embedded(data(review)),
        "title": escape(f"Access review of {clean(_name(review))}, {_day(review)}"),
        "heading": escape(clean(_name(review))),
        "meta": sections.meta(review),
        "figures": sections.figures(review),
        "points": sections.points_list(review),
        "ways": sections.ways(review),
        "endings": sections.endings(review),
        "since": sections.since(review, places),
        "legend": sections.legend(),
        "realms": sections.options((name, name) for name in realms(review)),
        "risks": sections.options((one.name.lower(), one.value) for one in Risk),
        "marks": sections.options(
            [
                *((one.name.lower(), one.value) for one in Mark),
                *([("changed", "changed since")] if review.since else []),
            ]
        ),
        "sections": sections.rest(review),
        "signatures": sections.signatures(),
        "footer": escape(
            "Only privileges that count on a sort of place are shown. Accounts that cannot log in "
            "are shown with what they would hold. "
            f"Content SHA-256 {review.digest}, taken {moment(about.taken)}."
        ),
    }
    return _filled(_part("page.html"), parts)


def _name(review: Review) -> str:
    return review.about.cluster or "state files"


def _day(review: Review) -> str:
    return moment(review.about.taken)[:10]


@cache
def _part(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8").strip()


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _embedded(content: object) -> str:
    """JSON inside a script element, which nothing in it can end."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """What is filled in is not looked at again."""
    return _PLACE.sub(lambda found: parts[found[1]], template) + "\n"
