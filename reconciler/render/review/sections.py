"""The parts of the page that stand in it as they are; only escaped text leaves this module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from reconciler.access.contents import TOKEN, USER
from reconciler.access.review.accounts import Mark, Risk
from reconciler.access.review.privilege_catalog import Level, privilege_in_words
from reconciler.access.review.review import Review
from reconciler.render.collapse import alike
from reconciler.render.document import Style
from reconciler.render.review.labels import Places
from reconciler.render.review.statements import changes, ending, facts, points, waived
from reconciler.text.humanize import count, hint_lines, listed, moment
from reconciler.text.sanitize import clean

NAMED = 8
"""Names of a point; the filter shows the others."""
MOST = 300
"""Lines of one list."""
OPEN = 3
"""So few ways to root are shown with their steps at once."""
LINES = 2
"""Signatures."""
_QUOTED = re.compile("`([^`]+)`")


def text(value: str) -> str:
    """Foreign text in which every character is seen."""
    return escape(clean(value))


def _said(value: str) -> str:
    """A sentence, with what stands between back quotes as code."""
    return _QUOTED.sub(r"<code>\1</code>", text(value))


def _code(value: str) -> str:
    return f"<code>{text(value)}</code>"


def _codes(values: Sequence[str], most: int) -> str:
    shown = ", ".join(map(_code, values[:most]))
    more = len(values) - most
    return f"{shown} <span class=more>and {more:,} more</span>" if more > 0 else shown


def meta(review: Review) -> str:
    """The line below the heading."""
    told = [fact for fact in facts(review) if fact.name not in {"cluster", "content"}]
    return " ".join(f"<span><b>{text(fact.name)}</b> {text(fact.value)}</span>" for fact in told)


def figures(review: Review) -> str:
    """Numbers that filter the table."""
    accounts = review.accounts
    numbers = [
        ("users", sum(one.kind == USER for one in accounts), "kind", "user"),
        ("tokens", sum(one.kind == TOKEN for one in accounts), "kind", "token"),
        *(
            (label, sum(one.risk is risk for one in accounts), "risk", risk.name.lower())
            for risk, label in ((Risk.ROOT, "are root"), (Risk.WAY, "can become root"))
        ),
        *(
            (label, sum(mark in one.marks for one in accounts), "mark", mark.name.lower())
            for mark, label in (
                (Mark.NO_EXPIRY, "tokens without expiry"),
                (Mark.NO_SECOND_FACTOR, "without second factor"),
            )
        ),
    ]
    return "".join(
        _filter(
            key,
            value,
            f"<b>{number:,}</b> {label}",
            f"figure{' bad' * (key == 'risk' and number > 0)}",
        )
        for label, number, key, value in numbers
    )


RISKS = frozenset(one.name.lower() for one in Risk)


def _filter(key: str, value: str, words: str, kind: str = "") -> str:
    """A button that filters the table of accounts; `words` are safe already."""
    named = f' class="{kind}"' if kind else ""
    return f'<button type=button{named} data-filter="{key}" data-value="{value}">{words}</button>'


_TONES = {Style.ERROR: "bad", Style.WARNING: "warn", Style.PLAIN: "note"}


def points_list(review: Review) -> str:
    """Boxes to tick on paper."""
    items = []
    for point in points(review):
        words = text(point.text)
        if point.mark:
            key = "risk" if point.mark in RISKS else "mark"
            words = _filter(key, point.mark, words)
        items.append(
            f"<li class={_TONES[point.tone]}><span class=box aria-hidden=true></span>"
            f"<div>{words}<p>{_codes(point.names, NAMED)}</p></div></li>"
        )
    return f"<ul class=points>{''.join(items)}</ul>" if items else "<p>Nothing.</p>"


def ways(review: Review) -> str:
    """Each with its steps."""
    items = []
    found = [way for way in review.ways if way.steps]
    opened = " open" if len(found) <= OPEN else ""
    for way in found:
        steps = "".join(f"<li>{text(str(step))}" for step in way.steps)
        sure = "" if way.sure else " <span class=more>perhaps</span>"
        items.append(
            f"<details{opened}><summary>{_codes(way.principals, NAMED)}{sure}</summary>"
            f"<ol>{steps}</ol></details>"
        )
    if not items:
        return "<p>Nobody who is not root already can become it.</p>"
    return _long("Ways to root", "".join(_cut(items, "way", "<p class=more>{}</p>")))


def _long(name: str, content: str) -> str:
    """Scrolls by itself where it is long, also from a keyboard."""
    return f'<div class=long tabindex=0 role=group aria-label="{name}">{content}</div>'


def _cut(items: Sequence[str], noun: str, last: str) -> Iterator[str]:
    yield from items[:MOST]
    more = len(items) - MOST
    if more > 0:
        yield last.format(f"and {count(more, f'more {noun}')}; the JSON document holds all")


def since(review: Review, places: Places) -> str:
    """What has changed; nothing without an earlier review."""
    if review.since is None:
        return ""
    body = []
    for head, lines in changes(review.since, places):
        items = [
            f"<li class={_MARKS[line[0]]}><span aria-hidden=true>{line[0]}</span> {text(line[2:])}"
            for line in lines
        ]
        shown = "".join(_cut(items, "line", "<li class=more>{}"))
        lists = _long(f"{head}, changed", f"<ul>{shown}</ul>")
        body.append(f"<h3>{head} <span class=more>{len(lines):,}</span></h3>{lists}")
    content = "".join(f"<div>{part}</div>" for part in body) or "<p>Nothing.</p>"
    when = moment(review.since.taken)
    return (
        "<section aria-labelledby=h-since class=since>"
        f"<h2 id=h-since>Changed since {when}</h2>"
        f"<div class=columns>{content}</div></section>"
    )


_MARKS = {"+": "came", "-": "went", "~": "other", "!": "alarm"}


def legend() -> str:
    """What the levels mean."""
    words = {
        Level.VIEW: "see it",
        Level.USE: "work with it",
        Level.MANAGE: "change it",
        Level.CONTROL: "make, destroy, pass on",
    }
    return "".join(
        f'<span><i class="swatch l{int(one)}"></i><b>{one.word}</b> {said}</span>'
        for one, said in words.items()
    )


def options(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f'<option value="{text(key)}">{text(said)}</option>' for key, said in pairs)


def _table(name: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    heads = "".join(f"<th scope=col>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f"<div class=scroll><table class=list aria-label={name}><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _section(name: str, head: str, body: str) -> str:
    return (
        f"<section aria-labelledby=h-{name} class={name}>"
        f"<h2 id=h-{name}>{head}</h2>{body}</section>"
    )


def rest(review: Review) -> str:
    """Roles, groups, findings and waivers, without those that are empty."""
    return "".join(_rest(review))


def _rest(review: Review) -> Iterator[str]:
    if review.roles:
        head = ("Role", "Purpose and owner", "Allows", "Used on", "Held by")
        yield _section("roles", "Roles", _table("Roles", head, _roles(review)))
    if review.groups:
        columns = ("Group", "Comment", "Members")
        yield _section("groups", "Groups", _table("Groups", columns, _groups(review)))
    if review.findings:
        columns = ("Rule", "Finding", "Where")
        yield _section("findings", "Findings", _table("Findings", columns, _findings(review)))
    if review.waivers:
        rows = (
            (
                _code(one.code),
                _code(one.address),
                waived(review, one),
                text(one.reason),
                moment(one.expires),
            )
            for one in review.waivers
        )
        table = _table("Waivers", ("Rule", "Object", "Sets aside", "Reason", "Until"), rows)
        yield _section("waivers", "Waivers", table)


def _findings(review: Review) -> Iterator[tuple[str, ...]]:
    for one in alike(review.findings):
        for finding in one.shown:
            hint = f"<span class=more>{_said(' '.join(hint_lines(finding.hint)))}</span>"
            yield (
                f"{_code(finding.code)}<br><span class=more>{finding.severity}</span>",
                f"{text(finding.message)}<br>{hint}",
                _code(str(finding.source or finding.address or "")),
            )
        if one.more:
            yield "", f"<span class=more>{text(str(one))}</span>", ""


def endings(review: Review) -> str:
    """What has expired, or will; nothing where nothing does."""
    if not review.endings:
        return ""
    items = [f"<li{' class=bad' if one.past else ''}>{text(ending(one))}" for one in review.endings]
    shown = "".join(_cut(items, "line", "<li class=more>{}"))
    name = "Expired, or expiring before the next review"
    return _section("endings", name, _long(name, f"<ul>{shown}</ul>"))


def _groups(review: Review) -> Iterator[tuple[str, ...]]:
    for one in review.groups:
        members = f"{count(len(one.members), 'member')}<br>{_codes(one.members, 12)}"
        yield _code(one.group), text(one.comment), members


def _roles(review: Review) -> Iterator[tuple[str, ...]]:
    for one in review.roles:
        if one.built_in:
            said = "<span class=more>built in</span>"
        else:
            owner = text(one.owner) or "nobody"
            said = f"{text(one.purpose) or 'no purpose given'}<br><span class=more>{owner}</span>"
        outside = ""
        if one.outside:
            outside = f"<br><span class=bad>not allowed: {_codes(one.outside, 12)}</span>"
        yield (
            _code(one.role),
            said,
            f"{text(privilege_in_words(one.privileges))}"
            f"<span class=privs>{text(', '.join(one.privileges))}</span>",
            (_codes(one.paths, 12) or "nowhere") + outside,
            text(listed(one.holders, 12)) or "nobody",
        )


def signatures() -> str:
    fields = "".join(f"<span>{name}</span>" for name in ("Name", "Date", "Signature"))
    return f"<div>{fields}</div>" * LINES
