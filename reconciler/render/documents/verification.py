"""Results of expectations as verified on the cluster, and the tokens they were tried with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from reconciler.access.expectations.call import CallOutcome
from reconciler.access.expectations.verify import Checkpoint, Disagreement, VerificationOutcome
from reconciler.model.declared import CallExpectation, Expectation
from reconciler.pve.acl_paths import UNNAMED
from reconciler.render import junit as ci
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Fact, Section, Style, TextLine
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import count, listed
from reconciler.text.shell import shell

FORMAT = 1
_MOST = 4
"""Number of names in one line."""


class ProbeResult(NamedTuple):
    """A token tried with its secret; `refused`: why it could not be, "" if it was."""

    token: str
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """`unknown`: names in expectations without principal. `untried`: tokens of unknown secret."""

    asked: str
    outcomes: tuple[VerificationOutcome, ...]
    disagreements: tuple[Disagreement, ...] = ()
    unknown: tuple[tuple[Expectation | CallExpectation, str], ...] = ()
    probes: tuple[ProbeResult, ...] = ()
    untried: tuple[str, ...] = ()
    calls: tuple[CallOutcome, ...] = ()

    def holds(self, one: VerificationOutcome) -> bool:
        """An expectation about a principal that does not exist does not hold."""
        return not one.failed and not self.is_about_nobody(one)

    def is_about_nobody(self, one: VerificationOutcome) -> bool:
        """Whether it was not tested, since all that its expectation names is `unknown`."""
        return not one.checked and any(one.expectation == other for other, _ in self.unknown)

    @property
    def failed(self) -> int:
        """Number of failures."""
        return (
            sum(bool(one.failed) for one in self.outcomes)
            + sum(one.named for one in self.disagreements)
            + len(self.unknown)
            + sum(bool(probe.refused) for probe in self.probes)
            + sum(not call.ok for call in self.calls)
        )


def outline(done: Verification) -> Document:
    """Failures first, then every expectation with its result."""
    sections = []
    if done.failed:
        sections.append(Section("Not as expected", tuple(_failures(done)), "failure", spaced=True))
    others = [one for one in done.disagreements if not one.named]
    if others:
        blocks = tuple((_disagreement(one, Style.WARNING),) for one in others)
        sections.append(Section("Cluster disagrees with the computed privileges", blocks, "answer"))
    if done.outcomes:
        sections.append(Section("Expectations", tuple(_all(done)), "expectation", spaced=True))
    if done.calls:
        sections.append(Section("Calls", tuple(_calls(done.calls)), "call", spaced=True))
    return Document(
        title=_title(done),
        facts=tuple(_facts(done)),
        sections=tuple(sections),
        tone=Style.ERROR if done.failed else Style.GOOD,
    )


def _title(done: Verification) -> str:
    if not done.outcomes and not done.calls and not done.failed:
        return "Nothing to verify: the state files have no [[expect]]."
    number = sum(1 for _ in _cases(done))
    if done.failed:
        return f"Not verified: {count(done.failed, 'failure')} in {count(number, 'check')}."
    return f"Verified: {count(number, 'check')} hold{'s' if number == 1 else ''}."


def _facts(done: Verification) -> Iterable[Fact]:
    yield Fact("asked", done.asked)
    tried = [probe.token for probe in done.probes if not probe.refused]
    if tried:
        yield Fact("tried as", listed(tried, _MOST))
    if done.untried:
        yield Fact("not tried", f"{listed(done.untried, _MOST)}: the secret is not available here")


def _failures(done: Verification) -> Iterator[Block]:
    alike: dict[tuple[object, ...], list[VerificationOutcome]] = {}
    for one in done.outcomes:
        if one.failed:
            key = (one.expectation, one.wanted, one.probe, one.failed, one.why)
            alike.setdefault(key, []).append(one)
    for same in alike.values():
        first = same[0]
        yield (
            TextLine(_failure(*same), Style.ERROR, 2, label=f"{first.expectation.source}  "),
            TextLine(_next(first.failed[0], first.privilege), Style.FAINT, 6, whole=True),
        )
    yield from (_failed_call(call) for call in done.calls if not call.ok)
    for expectation, name in done.unknown:
        text = f"{name} is not an existing user, token or group"
        yield (TextLine(text, Style.ERROR, 2, label=f"{expectation.source}  "),)
    for probe in done.probes:
        if probe.refused:
            yield (TextLine(f"{probe.token} cannot be tried: {probe.refused}", Style.ERROR, 2),)
    for other in done.disagreements:
        if other.named:
            yield (_disagreement(other, Style.ERROR),)


def _failed_call(call: CallOutcome) -> Block:
    again = shell("pvectl", "explain", call.expectation.title, "--who", call.who)
    return (
        TextLine(_call_failure(call), Style.ERROR, 2, label=f"{call.expectation.source}  "),
        TextLine(again, Style.FAINT, 6, whole=True),
    )


def _call_failure(call: CallOutcome) -> str:
    one = call.expectation
    said = f"answered {call.said}" if call.sent else call.said
    text = f"{call.who}, {one.title}: {said}, but should answer {_expected(one)}"
    return f"{text}: {one.reason}" if one.reason else text


def _expected(one: CallExpectation) -> str:
    return f"{one.status} with task {one.task}" if one.task else str(one.status)


def _calls(calls: Iterable[CallOutcome]) -> Iterator[Block]:
    for who, made in _by_caller(calls).items():
        lines = [TextLine(who, Style.STRONG, 2)]
        for call in made:
            tone, mark = (Style.CREATE, "+") if call.ok else (Style.DELETE, "-")
            how = call.said if call.sent else f"not tried: {call.said}"
            lines.append(TextLine(f"{call.expectation.title}  ({how})", tone, 4, mark))
        yield tuple(lines)


def _by_caller(calls: Iterable[CallOutcome]) -> dict[str, list[CallOutcome]]:
    found: dict[str, list[CallOutcome]] = {}
    for call in calls:
        found.setdefault(call.who, []).append(call)
    return found


def _next(spot: Checkpoint, privilege: str) -> str:
    return shell("pvectl", "explain", spot.principal, spot.path, privilege.partition(" and ")[0])


def _subject(expectation: Expectation) -> str:
    but = f" but {listed(expectation.but, _MOST)}" if expectation.but else ""
    return f"{listed(expectation.who, _MOST)}{but} on {listed(expectation.paths, _MOST)}"


def _wish(outcome: VerificationOutcome) -> str:
    return f"{'can' if outcome.wanted else 'cannot'} {outcome.privilege}"


def _failure(*outcomes: VerificationOutcome) -> str:
    """`alice@pve cannot VM.Audit on /vms/100, but should be able to`, for equal failures."""
    first = outcomes[0]
    who = list(dict.fromkeys(spot.principal for spot in first.failed))
    paths = list(dict.fromkeys(_place(spot.path) for spot in first.failed))
    verb, but = ("cannot", "should be") if first.wanted else ("can", "should not be")
    names = ", ".join(one.privilege for one in outcomes)
    text = f"{listed(who, _MOST)} {verb} {names} on {listed(paths, _MOST)}, but {but} able to"
    if first.why:
        text += f" ({first.why})"
    if first.probe:
        text += ", tried with its secret"
    reason = first.expectation.reason
    return f"{text}: {reason}" if reason else text


def _place(path: str) -> str:
    return f"anything else below {path.rpartition('/')[0]}" if path in UNNAMED else path


def _disagreement(one: Disagreement, tone: Style) -> TextLine:
    return TextLine(_differs(one), tone, 2)


def _differs(one: Disagreement) -> str:
    parts = [
        f"{words} {listed(names, _MOST)}"
        for words, names in (("also grants", one.more), ("does not grant", one.less))
        if names
    ]
    return (
        f"{one.spot.principal} on {_place(one.spot.path)}: the cluster {' and '.join(parts)}, "
        "unlike pvectl computes (`pvectl explain DISAGREES`)"
    )


def _all(done: Verification) -> Iterator[Block]:
    nobody = dict(done.unknown)
    by_expectation: dict[Expectation, list[VerificationOutcome]] = {}
    for one in done.outcomes:
        by_expectation.setdefault(one.expectation, []).append(one)
    for expectation, outcomes in by_expectation.items():
        lines = [
            TextLine(_subject(expectation), Style.STRONG, 2, label=f"{expectation.source}  "),
        ]
        rows: dict[tuple[bool, bool], dict[str, list[VerificationOutcome]]] = {}
        for one in outcomes:
            row = rows.setdefault((not one.wanted, not done.holds(one)), {})
            row.setdefault(one.privilege, []).append(one)
        for (denied, failed), found in rows.items():
            text = f"{'cannot' if denied else 'can'} {', '.join(found)}"
            tone, mark = (Style.DELETE, "-") if failed else (Style.CREATE, "+")
            how = _how(found.values(), nobody.get(expectation, ""))
            lines.append(TextLine(f"{text}{how}", tone, 4, mark))
        yield tuple(lines)


def _how(found: Iterable[list[VerificationOutcome]], nobody: str) -> str:
    outcomes = [one for several in found for one in several]
    number = max(one.checked for one in outcomes)
    if not number:
        return f"  (there is no {nobody})" if nobody else "  (matches no principal: not tested)"
    parts = [f"{number:,} times"] if number > 1 else []
    if any(one.probe for one in outcomes):
        parts.append("tried" if all(one.probe for one in outcomes) else "asked and tried")
    return f"  ({', '.join(parts)})" if parts else ""


def text(done: Verification, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(done), color=view.color, width=view.width)


def markdown(done: Verification, view: View) -> str:
    """For a comment on a pull request."""
    del view
    return comment.render(outline(done))


def junit(done: Verification, view: View) -> str:
    """One test per check: a privilege of an expectation and a way of asking it, a call, a login."""
    return ci.cases("verify", _cases(done), view)


def _cases(done: Verification) -> Iterator[ci.Case]:
    """Every check; an unknown name is one, in the place of what its expectation would test."""
    for one in done.outcomes:
        if done.is_about_nobody(one):
            continue
        group = "pvectl.verify.tried" if one.probe else "pvectl.verify.asked"
        name = f"{_subject(one.expectation)}: {_wish(one)}"
        if one.probe:
            name = f"as {one.probe}: {name}"
        failure = _failure(one) if one.failed else ""
        note = _next(one.failed[0], one.privilege) if one.failed else one.expectation.reason
        yield ci.Case(name, group, failure, note, one.expectation.source)
    for call in done.calls:
        group = "pvectl.verify.called" if call.sent else "pvectl.verify.asked"
        failure = "" if call.ok else _call_failure(call)
        note = "" if call.ok else call.expectation.reason
        title = f"as {call.who}: {call.expectation.title}"
        yield ci.Case(title, group, failure, note, call.expectation.source)
    for expectation, name in done.unknown:
        text = f"{name} is not an existing user, token or group"
        yield ci.Case(name, "pvectl.verify.names", text, source=expectation.source)
    for probe in done.probes:
        yield ci.Case(f"{probe.token} logs in", "pvectl.verify.tried", probe.refused)
    for other in done.disagreements:
        name = f"{other.spot.principal} on {other.spot.path} matches the computed privileges"
        said = _differs(other)
        group = "pvectl.verify.computed"
        yield ci.Case(name, group, said if other.named else "", "" if other.named else said)


def json(done: Verification, view: View) -> str:
    """For programs."""
    del view
    content = {
        "asked": done.asked,
        "failed": done.failed,
        "checks": [_outcome_json(one, ok=done.holds(one)) for one in done.outcomes],
        "calls": [
            {
                "source": str(call.expectation.source),
                "who": call.who,
                "call": call.expectation.title,
                "status": call.expectation.status,
                "task": call.expectation.task,
                "ok": call.ok,
                "said": call.said,
                "sent": call.sent,
            }
            for call in done.calls
        ],
        "disagreements": [
            {**one.spot._asdict(), "more": list(one.more), "less": list(one.less)}
            for one in done.disagreements
        ],
        "unknown": [name for _, name in done.unknown],
        "probes": [probe._asdict() for probe in done.probes],
        "untried": list(done.untried),
    }
    return document("verification", FORMAT, content)


def _outcome_json(one: VerificationOutcome, *, ok: bool) -> dict[str, Any]:
    return {
        "source": str(one.expectation.source),
        "who": list(one.expectation.who),
        "but": list(one.expectation.but),
        "paths": list(one.expectation.paths),
        "privilege": one.privilege,
        "expected": "can" if one.wanted else "cannot",
        "probe": one.probe or None,
        "checked": one.checked,
        "ok": ok,
        "failed": [spot._asdict() for spot in one.failed],
        "why": one.why,
    }
