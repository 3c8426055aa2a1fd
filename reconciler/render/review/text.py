"""The access review for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.access.contents import TOKEN
from reconciler.access.login import Login
from reconciler.access.review.accounts import Account, Risk
from reconciler.access.review.privilege_catalog import privilege_in_words
from reconciler.access.review.profiles import Holding
from reconciler.access.review.review import Review
from reconciler.render import terminal
from reconciler.render.collapse import alike
from reconciler.render.document import (
    Block,
    Document,
    Section,
    Style,
    TextLine,
    labelled,
    marked_line,
    section,
)
from reconciler.render.review.labels import TITLES, Places, shortened
from reconciler.render.review.statements import (
    age,
    changes,
    ending,
    expiry,
    facts,
    points,
    recoverability,
    title,
    waived,
)
from reconciler.render.view import View
from reconciler.text.humanize import listed, moment

NAMED = 6
"""Number of principals that a point names; the other formats name all."""


def text(review: Review, view: View) -> str:
    """Everything but the raw privileges; accounts without privileges are only named."""
    return terminal.render(outline(review), color=view.color, width=view.width)


def outline(review: Review) -> Document:
    """The sections in reading order."""
    places = Places(review.guests, review.holdings.pools)
    return Document(
        title=title(review),
        facts=tuple(facts(review)),
        sections=tuple(part for part in _sections(review, places) if part.blocks),
        closing=(TextLine("--format html=FILE creates a page to search, print and sign."),),
    )


def _sections(review: Review, places: Places) -> Iterator[Section]:
    yield Section("To decide", tuple(_points(review)))
    if review.since is not None:
        before = moment(review.since.taken)
        if review.since.is_empty:
            yield section(f"Nothing has changed since the review of {before}", ("no difference",))
        for head, lines in changes(review.since, places):
            marked = tuple((marked_line(line.mark, line.text),) for line in lines)
            yield Section(f"{head}: what has changed since {before}", marked)
    yield Section("Ways to root", tuple(_ways(review)), spaced=True)
    holding = [one for one in review.accounts if one.risk is not Risk.NOTHING]
    blocks = tuple(_account(one, review, places) for one in holding)
    yield Section("Users and tokens", blocks, spaced=True)
    nothing = [one.principal for one in review.accounts if one.risk is Risk.NOTHING]
    if nothing:
        yield section("Accounts without privileges", (listed(nothing, 40),))
    yield Section("Roles", tuple(_roles(review)), spaced=True)
    yield Section("Findings", tuple(_findings(review)))
    yield section("Waivers", tuple(_waivers(review)))
    yield section("Expired or expiring before the next review", tuple(map(ending, review.endings)))
    guests = tuple(
        (TextLine(one.text, Style.ERROR if one.bad else Style.PLAIN, 2),)
        for one in recoverability(review)
    )
    yield Section("Recoverability", guests, "guest")


def _points(review: Review) -> Iterator[Block]:
    for point in points(review):
        yield (
            TextLine(point.text, point.tone, 2, "!" if point.tone is not Style.PLAIN else " "),
            TextLine(listed(point.names, NAMED), Style.FAINT, 6),
        )


def _ways(review: Review) -> Iterator[Block]:
    for way in review.ways:
        if way.steps:
            sure = "" if way.sure else " (possibly)"
            head = TextLine(f"{listed(way.principals, NAMED)}{sure}", Style.ERROR, 2)
            steps = (
                TextLine(str(step), Style.PLAIN, 4, label=f"{number}. ")
                for number, step in enumerate(way.steps, 1)
            )
            yield (head, *steps)


def _account(account: Account, review: Review, places: Places) -> Block:
    risky = account.risk in {Risk.ROOT, Risk.WAY}
    notes = [account.risk.value, *(mark.value for mark in account.marks)]
    head = TextLine(account.principal, Style.ERROR if risky else Style.STRONG, 2)
    lines = [
        head,
        TextLine(", ".join(notes), Style.FAINT, 4),
        *_identity(account, review.about.taken),
    ]
    if account.risk is Risk.ROOT:
        return (*lines, TextLine("every privilege everywhere", Style.PLAIN, 4))
    profile = review.holdings.profiles[account.profile]
    rows = [
        (TITLES[one.sort].lower(), _holding(one, places.where(one, profile)))
        for one in profile
        if places.where(one, profile)
    ]
    return (*lines, *labelled(rows, 4))


def _holding(one: Holding, where: Sequence[str]) -> str:
    if not one.privileges:
        return f"nothing on {shortened(where)}"
    return f"{one.level.word.lower()} {shortened(where)}: {privilege_in_words(one.privileges)}"


def _identity(account: Account, now: int) -> Iterator[TextLine]:
    parts = [account.name, account.email, account.comment]
    if account.login is not Login.ACTIVE:
        parts.append(f"cannot log in: {account.login}")
    parts.append(f"expires: {expiry(account.expires)}")
    if account.kind == TOKEN:
        parts.append(f"age: {age(account, now)}")
    elif account.groups:
        parts.append(f"groups: {', '.join(account.groups)}")
    yield TextLine("; ".join(filter(None, parts)), Style.FAINT, 4)


def _roles(review: Review) -> Iterator[Block]:
    for role in review.roles:
        if role.built_in:
            continue
        said = [role.purpose or "no purpose", f"owner {role.owner}" if role.owner else "no owner"]
        lines = [
            TextLine(role.role, Style.STRONG, 2),
            TextLine("; ".join(said), Style.FAINT, 4),
            TextLine(privilege_in_words(role.privileges), Style.PLAIN, 4),
            TextLine(
                f"used on {listed(role.paths, 12)}" if role.paths else "used nowhere", indent=4
            ),
        ]
        if role.outside:
            where = f"outside the allowed paths: {listed(role.outside, 12)}"
            lines.append(TextLine(where, Style.WARNING, 4, "!"))
        yield tuple(lines)


def _findings(review: Review) -> Iterator[Block]:
    for one in alike(review.findings):
        for finding in one.shown:
            yield tuple(terminal.finding_lines(finding))
        if one.more:
            yield (TextLine(str(one), Style.FAINT, 2),)


def _waivers(review: Review) -> Iterator[str | tuple[str, str]]:
    for one in review.waivers:
        past = review.about.taken and one.expires <= review.about.taken
        until = f"{'expired on' if past else 'until'} {moment(one.expires)}"
        what = f"{one.code} {one.address}, {waived(review, one)}"
        text = f"{what}: {one.reason}, {until}"
        yield ("!", text) if past else text
