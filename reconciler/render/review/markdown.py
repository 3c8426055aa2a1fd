"""The access review as a Markdown document, to be kept with the state files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.access.contents import ROOT, TOKEN
from reconciler.access.review.accounts import Account, Risk
from reconciler.access.review.privilege_catalog import ResourceType, privilege_in_words
from reconciler.access.review.profiles import Holding, Profile
from reconciler.access.review.review import Review
from reconciler.render.markdown import cells, code, fence, finding_rows, prose
from reconciler.render.review.labels import SIGNERS, TITLES, Places, shortened
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
from reconciler.text.humanize import moment

MOST = 50
"""Accounts with the same privileges whose entries are looked at."""

_DIFF = {"~": "!"}
"""Marks that a `diff` block colours only under another character."""


def markdown(review: Review, view: View) -> str:
    """The whole document; nothing that it quotes is read as Markdown."""
    del view
    places = Places(review.guests, review.holdings.pools)
    parts = (
        [f"# {prose(title(review))}", "", *_rows(("", ""), _facts(review))],
        _section("To decide", _points(review)),
        *_since(review, places),
        _section("Ways to root", _ways(review)),
        _section("Who can do what", _matrix(review, places)),
        _section("Privileges in detail", _details(review, places)),
        _section("Tokens", _tokens(review)),
        _section("Users", _users(review)),
        _section("Groups", _groups(review)),
        _section("Roles", _roles(review)),
        _section("Entries", _entries(review)),
        _section("Findings", finding_rows(review.findings)),
        _section("Waivers", _waivers(review)),
        _section(
            "Expired or expiring before the next review",
            [f"- {prose(ending(one))}" for one in review.endings],
        ),
        _section(
            "Recoverability",
            [
                f"- {'**' if one.bad else ''}{prose(one.text)}{'**' if one.bad else ''}"
                for one in recoverability(review)
            ],
        ),
        _section("Sign-off", _sign_off()),
    )
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _section(head: str, lines: Iterable[str]) -> list[str]:
    content = list(lines)
    return [f"## {head}", "", *content] if content else []


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table; its cells are already escaped. Nothing without rows."""
    for number, row in enumerate(rows):
        if not number:
            yield cells(*head)
            yield cells(*("---" for _ in head))
        yield cells(*row)


def _facts(review: Review) -> Iterator[tuple[str, str]]:
    for fact in facts(review):
        yield prose(fact.name), code(fact.value)


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(map(code, texts))


def _points(review: Review) -> Iterator[str]:
    for point in points(review):
        yield f"- [ ] {prose(point.text)}: {_codes(point.names)}"


def _since(review: Review, places: Places) -> Iterator[list[str]]:
    if review.since is None:
        return
    head = f"Changed since {moment(review.since.taken)}"
    parts: list[str] = []
    for name, lines in changes(review.since, places):
        painted = [str(line._replace(mark=_DIFF.get(line.mark, line.mark))) for line in lines]
        parts += [f"### {prose(name)}", "", *fence(painted, "diff"), ""]
    yield _section(head, parts[:-1] or ["Nothing."])


def _ways(review: Review) -> Iterator[str]:
    if not any(way.steps for way in review.ways):
        yield "No principal that is not root can become root."
    for way in review.ways:
        if way.steps:
            yield f"- {_codes(way.principals)}{'' if way.sure else ' (possibly)'}"
            yield from (
                f"  {number}. {prose(str(step))}" for number, step in enumerate(way.steps, 1)
            )


def _matrix(review: Review, places: Places) -> Iterator[str]:
    head = ("Account", "Risk", *(TITLES[sort] for sort in ResourceType))
    yield from _rows(head, _matrix_rows(review, places))
    nothing = [one.principal for one in review.accounts if one.risk is Risk.NOTHING]
    if nothing:
        yield ""
        yield f"No privileges: {_codes(nothing)}."


def _matrix_rows(review: Review, places: Places) -> Iterator[tuple[str, ...]]:
    for one in review.accounts:
        if one.risk is not Risk.NOTHING:
            profile = review.holdings.profiles[one.profile]
            cells_ = (_cell(places, profile, sort) for sort in ResourceType)
            yield (code(one.principal), prose(one.risk.value), *cells_)


def _cell(places: Places, profile: Profile, sort: ResourceType) -> str:
    parts = places.parts(profile, sort)
    return "<br>".join(f"{part.level.word} {prose(part.where)}".rstrip() for part in parts)


def _details(review: Review, places: Places) -> Iterator[str]:
    """Grouped by privileges, since many principals hold the same."""
    holders: dict[int, list[Account]] = {}
    for one in review.accounts:
        holders.setdefault(one.profile, []).append(one)
    for number, who in holders.items():
        profile = review.holdings.profiles[number]
        if not profile:
            continue
        yield f"### {_codes(one.principal for one in who)}"
        yield ""
        if who[0].risk is Risk.ROOT:
            through = shortened(_through(review, who, profile[0]))
            yield f"Every privilege everywhere: {prose(through)}."
        else:
            yield from _rows(
                ("Area", "Level", "Where", "In words", "Through"),
                (
                    (
                        TITLES[one.sort],
                        one.level.word,
                        prose(shortened(places.where(one, profile) or one.places)),
                        prose(privilege_in_words(one.privileges)),
                        prose(shortened(_through(review, who, one))),
                    )
                    for one in profile
                ),
            )
        yield ""


def _through(review: Review, who: Sequence[Account], held: Holding) -> list[str]:
    """The entries behind a right of accounts that hold the same, each with whom it names."""
    found = {
        f"{entry.role} on {entry.path} by {entry.kind} {entry.principal}"
        for one in who[:MOST]
        for entry in review.behind.of(one.principal, held)
    }
    own = [f"{ROOT} itself"] if any(ROOT in {one.principal, one.owner} for one in who) else []
    return [*own, *sorted(found)]


def _marks(account: Account) -> str:
    return prose(", ".join(mark.value for mark in account.marks))


def _tokens(review: Review) -> Iterator[str]:
    now = review.about.taken
    yield from _rows(
        ("Token", "Privilege separation", "Expires", "Age", "Comment", "To review"),
        (
            (
                code(one.principal),
                "yes" if one.privsep else "**no**",
                expiry(one.expires),
                age(one, now),
                prose(one.comment),
                _marks(one),
            )
            for one in review.accounts
            if one.kind == TOKEN
        ),
    )


def _users(review: Review) -> Iterator[str]:
    yield from _rows(
        ("User", "Name", "Groups", "Login", "Expires", "Second factor", "Comment", "To review"),
        (
            (
                code(one.principal),
                prose(one.name),
                _codes(one.groups),
                str(one.login),
                expiry(one.expires),
                str(one.second_factor),
                prose(one.comment),
                _marks(one),
            )
            for one in review.accounts
            if one.kind != TOKEN
        ),
    )


def _groups(review: Review) -> Iterator[str]:
    rows = ((code(g.group), prose(g.comment), _codes(g.members) or "none") for g in review.groups)
    yield from _rows(("Group", "Comment", "Members"), rows)


def _entries(review: Review) -> Iterator[str]:
    """What is behind each right."""
    yield from _rows(
        ("Path", "Role", "Granted to", "And below", "Until", "Reason", "Declared"),
        (
            (
                code(one.path),
                code(one.role),
                f"{one.kind} {code(one.principal)}",
                "yes" if one.propagate else "no",
                expiry(one.expires) if one.expires else "",
                prose(one.reason),
                {None: "", True: "yes", False: "**no**"}[one.declared],
            )
            for one in review.grants
        ),
    )


def _roles(review: Review) -> Iterator[str]:
    yield from _rows(
        ("Role", "Purpose", "Owner", "Allows", "Used on", "Held by"),
        (
            (
                code(one.role),
                "built in" if one.built_in else prose(one.purpose) or "no purpose",
                "" if one.built_in else prose(one.owner) or "no owner",
                prose(privilege_in_words(one.privileges)),
                _codes(one.paths) or "nowhere",
                _codes(one.holders) or "none",
            )
            for one in review.roles
        ),
    )


def _waivers(review: Review) -> Iterator[str]:
    yield from _rows(
        ("Rule", "Object", "Suppresses", "Reason", "Until"),
        (
            (
                code(one.code),
                code(one.address),
                waived(review, one),
                prose(one.reason),
                moment(one.expires),
            )
            for one in review.waivers
        ),
    )


def _sign_off() -> Iterator[str]:
    rows = [(signer, "<br>", "", "") for signer in SIGNERS]
    yield from _rows(("", "Name", "Date", "Signature"), rows)
