"""What the HTML pages have in common: templates, style, and the policy that confines them.

A page loads nothing and sends nothing: its policy allows only its own style and script, by their
hash, so that no string from a cluster can run in it.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from reconciler.access.review.privilege_catalog import Level, privilege_in_words
from reconciler.render.document import Style
from reconciler.text.humanize import count, hint_lines, listed, moment
from reconciler.text.sanitize import clean

if TYPE_CHECKING:
    from jinja2 import Environment

TONES = {Style.ERROR: "bad", Style.WARNING: "warn", Style.PLAIN: "note"}
"""Tones of lines -> classes of base.css."""
LEVELS = (
    (Level.VIEW, "see it"),
    (Level.USE, "use it"),
    (Level.MANAGE, "change it"),
    (Level.CONTROL, "create, destroy, delegate"),
)


@cache
def environment() -> Environment:
    """Every value is sanitized, then escaped; an unknown name is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    found = Environment(
        autoescape=True,
        finalize=_shown,
        keep_trailing_newline=True,
        loader=FunctionLoader(resource),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    found.filters |= {
        "count": count,
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


def trusted(text: str) -> object:
    """Our own markup, which a template prints as it is."""
    from markupsafe import Markup  # comes with Jinja

    return Markup(text)  # noqa: S704 - our own files, and pictures whose names are escaped


@cache
def resource(name: str) -> str:
    """A file of this package, such as `page/base.css`."""
    return (files("reconciler.render") / name).read_text(encoding="utf-8").strip()


def policy(style: str, script: str = "") -> str:
    """The content security policy of a page with this style and this script."""
    scripts = f"script-src '{_hash(script)}'; " if script else ""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; {scripts}"
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
