"""The page of a code: what it means and what to do."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Document, Section, TextLine, labelled
from reconciler.render.json import document
from reconciler.render.view import View

FORMAT = 1


class Page(NamedTuple):
    """`kind`: what the code names, such as a finding. `rows`: an optional table."""

    code: str
    kind: str
    meaning: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    closing: str = ""


def outline(page: Page) -> Document:
    """Meaning, then what to do."""
    parts = [
        Section(
            title, tuple((TextLine(text, indent=2),) for text in texts), "paragraph", spaced=True
        )
        for title, texts in (("What it means", page.meaning), ("What to do", page.action))
        if texts
    ]
    if page.rows:
        table = labelled(page.rows, 2)
        parts.append(Section("Overview", tuple((line,) for line in table), "row"))
    return Document(
        title=f"{page.code}: {page.kind}",
        sections=tuple(parts),
        closing=(TextLine(page.closing),) if page.closing else (),
    )


def text(page: Page, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(page), color=view.color, width=view.width)


def markdown(page: Page, view: View) -> str:
    """For a wiki."""
    del view
    return comment.render(outline(page))


def json(page: Page, view: View) -> str:
    """For programs."""
    del view
    return document("page", FORMAT, page._asdict())
