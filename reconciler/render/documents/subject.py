"""A user, a token, a group or a role in a few lines."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.access.explain.subject import Subject
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Document, Fact, TextLine
from reconciler.render.json import document
from reconciler.render.view import View

FORMAT = 1


@dataclass(frozen=True, slots=True)
class ExplainedSubject:
    """`asked`: where the answer comes from; `next`: the command for more."""

    subject: Subject
    asked: str
    next: str


def outline(told: ExplainedSubject) -> Document:
    lines = (*told.subject.lines, ("asked", told.asked))
    return Document(
        title=told.subject.title,
        facts=tuple(Fact(label, text) for label, text in lines if text),
        closing=(TextLine(_lead(told.next), whole=True),),
    )


def _lead(text: str) -> str:
    """A command with what it is for."""
    return f"Why, for one privilege: {text}" if text.startswith("pvectl ") else text


def text(told: ExplainedSubject, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(told), color=view.color, width=view.width)


def markdown(told: ExplainedSubject, view: View) -> str:
    """For a ticket or a comment."""
    del view
    return comment.render(outline(told))


def json(told: ExplainedSubject, view: View) -> str:
    """For programs."""
    del view
    lines = {label: text for label, text in told.subject.lines if text}
    return document("subject", FORMAT, {"title": told.subject.title, "lines": lines})
