"""The access review as one self-contained HTML page: to search, print and sign.

`page.html` and `macros.html` are Jinja templates. The page loads nothing and sends nothing: its
policy allows only its own script and style, by their hash, so that no string from a cluster can
run in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.access.contents import TOKEN, USER
from reconciler.access.review.accounts import Mark, Risk
from reconciler.access.review.privilege_catalog import Level, privilege_in_words
from reconciler.access.review.review import Review
from reconciler.render.collapse import alike
from reconciler.render.document import Style
from reconciler.render.review.data import data, realms
from reconciler.render.review.labels import Places
from reconciler.render.review.statements import (
    changes,
    ending,
    facts,
    points,
    recoverability,
    waived,
)
from reconciler.render.view import View
from reconciler.text.humanize import count, hint_lines, listed, moment
from reconciler.text.sanitize import clean

if TYPE_CHECKING:
    from jinja2 import Environment

_TONES = {Style.ERROR: "bad", Style.WARNING: "warn", Style.PLAIN: "note"}
_MARKS = {"+": "came", "-": "went", "~": "other", "!": "alarm"}
"""Tones of points and marks of changes -> classes of page.css."""
_LEVELS = (
    (Level.VIEW, "see it"),
    (Level.USE, "use it"),
    (Level.MANAGE, "change it"),
    (Level.CONTROL, "create, destroy, delegate"),
)
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
    from markupsafe import Markup  # comes with Jinja

    style, script = _resource("page.css"), _resource("page.js")
    page = _environment().get_template("page.html")
    return page.render(
        policy=_policy(style, script),
        style=Markup(style),  # noqa: S704 - our own files, and JSON without markup
        script=Markup(script),  # noqa: S704
        data=Markup(_embedded(data(review))),  # noqa: S704
        **_content(review),
    )


def _content(review: Review) -> dict[str, Any]:
    """The values of the template."""
    marks = [(one.name.lower(), one.value) for one in Mark]
    return {
        "review": review,
        "heading": review.about.cluster or "state files",
        "day": moment(review.about.taken)[:10],
        "facts": [fact for fact in facts(review) if fact.name not in {"cluster", "content"}],
        "figures": list(_figures(review)),
        "points": list(points(review)),
        "backups": recoverability(review),
        "tones": _TONES,
        "risk_codes": {code for code, _ in _RISKS},
        "ways": [way for way in review.ways if way.steps],
        "changes": list(changes(review.since, Places(review))) if review.since else [],
        "marks": _MARKS,
        "levels": _LEVELS,
        "realms": list(realms(review)),
        "risk_options": _RISKS,
        "mark_options": [*marks, *([("changed", "changed since")] if review.since else [])],
        "findings": list(alike(review.findings)),
        "waived": waived,
    }


def _figures(review: Review) -> Iterator[Figure]:
    accounts = review.accounts
    for kind in (USER, TOKEN):
        yield Figure(f"{kind}s", sum(one.kind == kind for one in accounts), "kind", kind)
    for risk, label in ((Risk.ROOT, "are root"), (Risk.WAY, "can become root")):
        number = sum(one.risk is risk for one in accounts)
        yield Figure(label, number, "risk", risk.name.lower())
    for mark, label in (
        (Mark.NO_EXPIRY, "tokens without expiry"),
        (Mark.NO_SECOND_FACTOR, "without second factor"),
    ):
        number = sum(mark in one.marks for one in accounts)
        yield Figure(label, number, "mark", mark.name.lower())


@cache
def _environment() -> Environment:
    """Every value is sanitized, then escaped; an unknown name is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    found = Environment(
        autoescape=True,
        finalize=_shown,
        keep_trailing_newline=True,
        loader=FunctionLoader(_resource),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    found.filters |= {
        "count": count,
        "ending": ending,
        "hint_lines": hint_lines,
        "in_words": privilege_in_words,
        "listed": listed,
        "moment": moment,
        "number": lambda number: f"{number:,}",
    }
    return found


def _shown(value: object) -> object:
    """A value as the template prints it; markup stays as it is."""
    return value if hasattr(value, "__html__") else clean(str(value))


@cache
def _resource(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8").strip()


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _embedded(content: object) -> str:
    """JSON inside a script element; nothing in it can close the element."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
