"""The access review for a spreadsheet: one row per account, sort of place and privileges."""

from __future__ import annotations

import csv as table
import io
from collections.abc import Iterator

from reconciler.access.contents import GROUP, TOKEN, USER
from reconciler.access.review.accounts import Account
from reconciler.access.review.privilege_catalog import privilege_in_words
from reconciler.access.review.review import Review
from reconciler.model.acl_entry import AclEntry
from reconciler.render.review.labels import TITLES, Places
from reconciler.render.review.statements import age, expiry
from reconciler.render.view import View
from reconciler.text.sanitize import clean

HEAD = (
    "account",
    "kind",
    "realm",
    "name",
    "login",
    "expires",
    "second factor",
    "privilege separation",
    "age of the secret",
    "groups",
    "risk",
    "to look at",
    "declared",
    "findings",
    "entries",
    "area",
    "level",
    "where",
    "in words",
    "privileges",
)

_ACTIVE = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet treat a cell as a formula."""


def csv(review: Review, view: View) -> str:
    """Lists in a cell are separated by semicolons. Accounts without privileges get a row, too."""
    del view
    places = Places(review.guests, review.holdings.pools)
    out = io.StringIO()
    writer = table.writer(out, quoting=table.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(HEAD)
    codes = _codes(review)
    for account in review.accounts:
        said = "; ".join(codes.get(account.principal, ()))
        behind = "; ".join(_entries(account, review))
        who = tuple(map(plain, (*_who(account, review.about.taken), said, behind)))
        writer.writerows((*who, *what) for what in _what(account, review, places))
    return out.getvalue()


def _entries(account: Account, review: Review) -> Iterator[str]:
    """What is behind its rights: its own entries, those of its groups, those of its user."""
    holders = {(account.kind, account.principal), *((GROUP, name) for name in account.groups)}
    if account.kind == TOKEN:
        holders.add((USER, account.owner))
    for one in review.grants:
        if (one.kind, one.principal) in holders:
            own = one.principal == account.principal
            yield f"{one.role} on {one.path}" + ("" if own else f" by {one.kind} {one.principal}")


def _codes(review: Review) -> dict[str, list[str]]:
    """User or token -> the codes of findings about it or its own entries, each once."""
    found: dict[str, dict[str, None]] = {}
    for finding in review.findings:
        address = finding.address
        if address is not None and address.kind in {USER, TOKEN, "acl"}:
            who = AclEntry.parse(address.id).principal if address.kind == "acl" else address.id
            found.setdefault(who, {})[finding.code] = None
    return {who: list(codes) for who, codes in found.items()}


def plain(text: str) -> str:
    """A cell that no spreadsheet treats as a formula."""
    text = clean(text)
    return f"'{text}" if text.lstrip().startswith(_ACTIVE) else text


def _who(account: Account, now: int) -> tuple[str, ...]:
    is_token = account.kind == TOKEN
    return (
        account.principal,
        account.kind,
        account.realm,
        account.name,
        str(account.login),
        expiry(account.expires),
        "" if is_token else str(account.second_factor),
        ("yes" if account.privsep else "no") if is_token else "",
        age(account, now),
        "; ".join(account.groups),
        account.risk.value,
        "; ".join(mark.value for mark in account.marks),
        "" if account.declared is None else "yes" if account.declared else "no",
    )


def _what(account: Account, review: Review, places: Places) -> Iterator[tuple[str, ...]]:
    profile = review.holdings.profiles[account.profile]
    for one in profile:
        cells = (
            TITLES[one.sort],
            one.level.word,
            "; ".join(places.where(one, profile) or one.places),
            privilege_in_words(one.privileges),
            "; ".join(one.privileges),
        )
        yield tuple(map(plain, cells))
    if not profile:
        yield ("", "None", "", "nothing", "")
