"""Sentences of a review, shared by all formats for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from reconciler.access.contents import ROOT, TOKEN, USER
from reconciler.access.review.accounts import Account, Age, Mark, Risk
from reconciler.access.review.comparison import Changed, ReviewComparison, RightsChange
from reconciler.access.review.privilege_catalog import privilege_in_words
from reconciler.access.review.review import Ending, Review
from reconciler.access.trace import TracedEntry
from reconciler.model.declared import Waiver
from reconciler.model.recoverability import GuestBackups
from reconciler.render.document import Fact, Style
from reconciler.render.review.labels import Places, shortened
from reconciler.text.humanize import count, duration, moment

DIGEST = 16
"""Number of hexadecimal digits of the digest shown."""

SHOWN = 4
"""Number of gained or lost privileges above which they are summarized."""


class ReviewPoint(NamedTuple):
    """A decision to make. `names`: whom it concerns; `mark`: the code of a mark or risk."""

    tone: Style
    text: str
    names: tuple[str, ...]
    mark: str


def facts(review: Review) -> Iterator[Fact]:
    """The head of every format."""
    about = review.about
    yield Fact("cluster", about.cluster or "(state files alone)")
    if review.release:
        yield Fact("Proxmox VE", review.release)
    yield Fact("taken", moment(about.taken) if about.taken else "unknown")
    if about.health:
        yield Fact("health", about.health)
    yield Fact("seen by", about.actor or "(state files alone)")
    if review.due:
        yield Fact("next review due", moment(review.due))
    if about.source:
        yield Fact("source", about.source)
    if review.since is not None:
        other = review.since.cluster != about.cluster
        of = f" of {review.since.cluster or 'state files'}" if other else ""
        yield Fact("review before", moment(review.since.taken) + of)
    yield Fact("content", f"SHA-256 {review.digest[:DIGEST]}…")


def behind(account: Account, entries: Iterable[TracedEntry]) -> list[str]:
    """`PVEVMUser on /pool/Dev by group ops`: what gives an account a right."""
    return [
        f"{one.role} on {one.path}"
        + ("" if one.principal == account.principal else f" by {one.kind} {one.principal}")
        for one in entries
    ] or ([f"{ROOT} itself"] if ROOT in {account.principal, account.owner} else [])


def waived(review: Review, waiver: Waiver) -> str:
    """`2 findings`: the effect of a waiver."""
    return count(sum(by == waiver for _, by in review.waived), "finding")


def title(review: Review) -> str:
    """`Access review: 5 users, 3 tokens`."""
    users = sum(one.kind == USER for one in review.accounts)
    return f"Access review: {count(users, 'user')}, {count(len(review.accounts) - users, 'token')}"


_RISKS: tuple[tuple[Risk, Style, str], ...] = (
    (Risk.ROOT, Style.ERROR, "with every privilege"),
    (Risk.WAY, Style.ERROR, "able to become root"),
)
_MARKS: tuple[tuple[Mark, str, Style, str], ...] = (
    (
        Mark.NODE,
        "",
        Style.WARNING,
        "possibly able to become root through a node's system",
    ),
    (
        Mark.NO_PRIVSEP,
        TOKEN,
        Style.WARNING,
        "without privilege separation",
    ),
    (Mark.NO_EXPIRY, TOKEN, Style.WARNING, "without expiry"),
    (Mark.NO_SECOND_FACTOR, USER, Style.WARNING, "without a second factor"),
    (Mark.EXPIRED, "", Style.WARNING, "expired but not removed"),
    (Mark.DISABLED, "", Style.WARNING, "disabled but not removed"),
    (Mark.OWNERLESS, TOKEN, Style.WARNING, "of users that do not exist"),
    (
        Mark.GHOST,
        USER,
        Style.WARNING,
        "named but nonexistent: grants take effect once the name is created",
    ),
    (Mark.SOON, "", Style.PLAIN, "expiring before the next review"),
    (Mark.TWIN, USER, Style.PLAIN, "with the same name in another realm"),
    (Mark.UNDECLARED, "", Style.WARNING, "not declared"),
)


def points(review: Review) -> Iterator[ReviewPoint]:
    """Decisions to make, the worst first."""
    for risk, tone, text in _RISKS:
        found = [one for one in review.accounts if one.risk is risk]
        if found:
            yield ReviewPoint(tone, f"{_number(found)} {text}", _names(found), risk.name.lower())
    for mark, kind, tone, text in _MARKS:
        found = [one for one in review.accounts if mark in one.marks]
        if found:
            who = _number(found) if not kind else count(len(found), kind)
            yield ReviewPoint(tone, f"{who} {text}", _names(found), mark.name.lower())
    yield from _other_points(review)


def _number(found: Sequence[Account]) -> str:
    return count(len(found), "account")


def _names(found: Sequence[Account]) -> tuple[str, ...]:
    return tuple(one.principal for one in found)


def _other_points(review: Review) -> Iterator[ReviewPoint]:
    past = [one.subject for one in review.endings if one.kind == "grant" and one.past]
    if past:
        yield _point(past, "grant", "expired but still effective")
    outside = [one.role for one in review.roles if one.outside]
    if outside:
        yield _point(outside, "role", "used outside the allowed paths")
    own = [one for one in review.roles if not one.built_in]
    nameless = [one.role for one in own if not (one.purpose and one.owner)]
    if nameless:
        yield _point(nameless, "role", "without purpose or owner")
    unused = [one.role for one in own if not one.paths]
    if unused:
        yield _point(unused, "role", "used nowhere")
    empty = [one.group for one in review.groups if not one.members]
    if empty:
        yield _point(empty, "group", "without members")


def _point(names: Sequence[str], noun: str, text: str) -> ReviewPoint:
    return ReviewPoint(Style.WARNING, f"{count(len(names), noun)} {text}", tuple(names), "")


def age(account: Account, now: int) -> str:
    """The age of a token's secret."""
    return _age(account.age, now) if account.kind == TOKEN else ""


def _age(found: Age | None, now: int) -> str:
    if found is None:
        return "unknown"
    days = count(max(now - found.since, 0) // 86400, "day")
    return days if found.exact else f"at least {days}"


def expiry(expires: int) -> str:
    """A date, or `never`."""
    return moment(expires) if expires else "never"


def ending(one: Ending) -> str:
    """`user bob@pve: expired on 2026-01-01`."""
    verb = "expired" if one.past else "expires"
    return f"{one.kind} {one.subject}: {verb} on {moment(one.expires)}"


class Recoverable(NamedTuple):
    """One guest of the section "Recoverability". `bad`: its backups fall short."""

    text: str
    bad: bool


def recoverability(review: Review) -> list[Recoverable]:
    """Every guest, those first whose backups are stale or not proven in time."""
    guests = review.backups.guests if review.backups is not None else ()
    found = [
        Recoverable(_recoverable(one, review.about.taken), one.state.alarms or one.overdue)
        for one in guests
    ]
    return sorted(found, key=lambda one: not one.bad)


def _recoverable(one: GuestBackups, taken: int) -> str:
    """`guest 101 (db): fresh, backed up 8 h ago on nas; restored 3 d ago, in 1 min 52 s`."""
    name = f" ({one.name})" if one.name else ""
    saved = ""
    if one.newest:
        storage, archive = one.newest[0]
        saved = f", backed up {duration(max(0, taken - archive.made))} ago on {storage}"
    drill = "never drilled"
    if one.drilled is not None:
        last, good = one.drilled
        ago = duration(max(0, taken - last.began))
        drill = f"restored {ago} ago, in {duration(round(last.total))}"
        if not last.verdict.good:
            drill = f"drill failed {ago} ago{'' if good else ', never a good one'}"
    late = " (overdue)" if one.overdue else ""
    keys = ", ".join(disk.key for disk in one.left_out)
    disks = f"; in no backup: {keys}" if keys else ""
    return f"guest {one.guest}{name}: {one.state}{saved}; {drill}{late}{disks}"


_FIELDS: dict[str, tuple[str, Callable[[str], str]]] = {
    "login": ("login", str),
    "expires": ("expiry", lambda text: expiry(int(text))),
    "groups": ("groups", lambda text: text or "none"),
    "privsep": ("privilege separation", str),
    "second_factor": ("second factor", str),
}


class ChangeLine(NamedTuple):
    """A change. `mark`: `+` gained, `-` lost, `~` changed, `!` to review."""

    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark} {self.text}"


def changes(
    since: ReviewComparison, places: Places
) -> Iterator[tuple[str, tuple[ChangeLine, ...]]]:
    """The changes: headings with their lines; headings without lines are left out."""
    parts = (
        ("Ways to root", tuple(_ways(since))),
        ("Users and tokens", tuple(_accounts(since))),
        ("Rights", tuple(_rights(since, places))),
        ("Roles", tuple(_roles(since))),
        ("Grants", tuple(_came_and_went(since.grants_new, since.grants_gone))),
    )
    yield from ((head, lines) for head, lines in parts if lines)


def _came_and_went(new: Sequence[str], gone: Sequence[str]) -> Iterator[ChangeLine]:
    yield from (ChangeLine("+", text) for text in new)
    yield from (ChangeLine("-", text) for text in gone)


def _ways(since: ReviewComparison) -> Iterator[ChangeLine]:
    """A way without a first step means being root."""
    for who, step in since.ways_new:
        yield ChangeLine(
            "!", f"{who} can become root now: {step}" if step else f"{who} is root now"
        )
    for who, step in since.ways_gone:
        closed = f"can no longer become root this way: {step}" if step else "is no longer root"
        yield ChangeLine("-", f"{who} {closed}")


def _accounts(since: ReviewComparison) -> Iterator[ChangeLine]:
    yield from _came_and_went(since.accounts_new, since.accounts_gone)
    yield from (ChangeLine("~", f"{one.principal}: {_fact(one)}") for one in since.changed)


def _fact(one: Changed) -> str:
    name, say = _FIELDS[one.field]
    before, after = (say(text) if text or one.field == "groups" else "unknown" for text in one[2:])
    return f"{name} {before} → {after}"


def _rights(since: ReviewComparison, places: Places) -> Iterator[ChangeLine]:
    for one in since.rights:
        text = f"{shortened(one.principals, 4)}: {_right(one, places)}"
        yield ChangeLine(_mark(one), text)


def _mark(one: RightsChange) -> str:
    if not one.lost:
        return "+"
    return "~" if one.gained else "-"


def _right(one: RightsChange, places: Places) -> str:
    gains = f"gained {_privileges(one.gained)}" if one.gained else ""
    loses = f"lost {_privileges(one.lost)}" if one.lost else ""
    what = " and ".join(filter(None, (gains, loses)))
    return f"{what} on {shortened(places.places(one.places) or one.places)}"


def _privileges(names: Sequence[str]) -> str:
    """By name if they are few."""
    return ", ".join(names) if len(names) <= SHOWN else f"“{privilege_in_words(names)}”"


def _roles(since: ReviewComparison) -> Iterator[ChangeLine]:
    marks = {"new": "+", "gone": "-", "changed": "~"}
    for one in since.roles:
        privileges = [*(f"+{name}" for name in one.gained), *(f"-{name}" for name in one.lost)]
        which = f": {' '.join(privileges)}" if privileges else ""
        yield ChangeLine(marks[one.what], f"{one.role} {one.what}{which}")


def account_changes(review: Review, places: Places) -> dict[str, list[ChangeLine]]:
    """Account -> its changes since the previous review."""
    found: dict[str, list[ChangeLine]] = {}
    if review.since is not None:
        for who in review.since.accounts_new:
            found[who] = [ChangeLine("+", "new")]
        for fact in review.since.changed:
            found.setdefault(fact.principal, []).append(ChangeLine("~", _fact(fact)))
        for right in review.since.rights:
            line = ChangeLine(_mark(right), _right(right, places))
            for who in right.principals:
                found.setdefault(who, []).append(line)
    return found
