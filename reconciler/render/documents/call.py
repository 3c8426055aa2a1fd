"""Whether a principal may make an API call: the answer, each rule, and grants that help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.access.explain.call import CallAnswer, JudgedRule
from reconciler.access.explain.remediation import Remediation
from reconciler.access.explain.snippets import login_command, pveum, toml
from reconciler.access.login import Login
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Fact, Section, Style, TextLine, copied
from reconciler.render.documents.acl_entries import login_text
from reconciler.render.json import document
from reconciler.render.view import View

FORMAT = 1


@dataclass(frozen=True, slots=True)
class ExplainedCall:
    """`title` is the call as it was asked for, `asked` where the answer comes from; `ways` are the
    grants that would help, in the order to make them."""

    who: str
    title: str
    answer: CallAnswer
    login: Login
    asked: str
    ways: tuple[Remediation, ...] = ()

    @property
    def allowed(self) -> bool | None:
        return self.answer.allowed if self.login is Login.ACTIVE else False


def sentence(told: ExplainedCall) -> str:
    """The result."""
    who, call, answer = told.who, told.title, told.answer
    if told.login is not Login.ACTIVE:
        return f"No: {who} {login_text(told.login, who)}."
    if answer.ticket:
        return f"No: tokens cannot {call}; a user who logged in can."
    if answer.refused:
        return f"No: {call} is refused to {who}: {answer.refused.text} is missing."
    if answer.refused_in_task:
        lacks = answer.refused_in_task.text
        return f"No: {call} answers 200, and its task fails for {who}: {lacks} is missing."
    if answer.allowed is None:
        waits = [name for one in (*answer.rules, *answer.task) for name in one.waits]
        return f"That depends: nothing known is missing for {who}; add {_given(waits)}."
    filtered = answer.call.filtered
    return f"Yes: {who} may {call}" + (f"; the answer shows {filtered}." if filtered else ".")


def _given(names: Iterable[str]) -> str:
    return " ".join(f"{name}=..." for name in dict.fromkeys(names))


def outline(told: ExplainedCall) -> Document:
    return Document(
        title=sentence(told),
        facts=(Fact("asked", told.asked),),
        sections=tuple(_sections(told)),
        tone=Style.GOOD if told.allowed else Style.ERROR,
    )


def _sections(told: ExplainedCall) -> Iterator[Section]:
    rules = told.answer.rules
    nothing = ((TextLine("nothing but a login", Style.PLAIN, 4),),)
    yield Section("Checked by the call itself", tuple(map(_line, rules)) or nothing, "rule")
    if told.answer.task:
        yield Section("Checked by its task only", tuple(map(_line, told.answer.task)), "rule")
    command = login_command(told.who, told.login)
    if command:
        yield Section("To let it log in", (copied([command], 2),))
    if told.ways:
        states = [line for way in told.ways for line in (*toml(way).splitlines(), "")][:-1]
        yield Section("Recommended, in a state file", (copied(states, 2),))
        lines = [line for way in told.ways for line in pveum(way)]
        yield Section("The same in a shell on a node", (copied(lines, 2),))


def _line(rule: JudgedRule) -> Block:
    if rule.held:
        return (TextLine(rule.text, Style.GOOD, 2, "+"),)
    if rule.held is None:
        return (TextLine(f"{rule.text}: add {_given(rule.waits)}", Style.WARNING, 2, "?"),)
    return (TextLine(f"{rule.text}: missing", Style.ERROR, 2, "-"),)


def text(told: ExplainedCall, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(told), color=view.color, width=view.width)


def markdown(told: ExplainedCall, view: View) -> str:
    """For a ticket or a comment."""
    del view
    return comment.render(outline(told))


def json(told: ExplainedCall, view: View) -> str:
    """For programs; `allowed` is null where that depends on a parameter."""
    del view
    content: dict[str, Any] = {
        "principal": told.who,
        "call": told.title,
        "params": dict(told.answer.params),
        "allowed": told.allowed,
        "answer": sentence(told),
        "asked": told.asked,
        "login": str(told.login),
        "rules": [_rule_json(one) for one in told.answer.rules],
        "task": [_rule_json(one) for one in told.answer.task],
        "pveum": [line for way in told.ways for line in pveum(way)],
        "toml": [toml(way) for way in told.ways],
    }
    return document("call", FORMAT, content)


def _rule_json(rule: JudgedRule) -> dict[str, Any]:
    return {"rule": rule.text, "held": rule.held, "waits": list(rule.waits)}
