"""The access review for programs, and for `--since` of the next one."""

from __future__ import annotations

from reconciler.access.review.comparison import FORMAT
from reconciler.access.review.review import Review
from reconciler.render.json import document
from reconciler.render.view import View


def json(review: Review, view: View) -> str:
    """The complete review; its digest covers all other fields."""
    del view
    return document("review", FORMAT, {**review.to_json(), "digest": review.digest})
