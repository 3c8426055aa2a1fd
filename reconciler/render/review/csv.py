"""The access review for a spreadsheet: one row per account, sort of place and privileges, then one
per group and one per role."""

from __future__ import annotations

import csv as table
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from reconciler.access.contents import GROUP, TOKEN, USER
from reconciler.access.review.accounts import Account
from reconciler.access.review.privilege_catalog import privilege_in_words
from reconciler.access.review.profiles import Holding
from reconciler.access.review.review import GrantRow, Review
from reconciler.model.acl_entry import AclEntry
from reconciler.render.review.labels import TITLES, Places
from reconciler.render.review.statements import age, behind, expiry
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
    "area",
    "level",
    "where",
    "in words",
    "privileges",
    "entries",
    "owner",
    "members",
)

_ACTIVE = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet treat a cell as a formula."""


def csv(review: Review, view: View) -> str:
    """Lists in a cell are separated by semicolons. Accounts without privileges get a row, too."""
    del view
    out = io.StringIO()
    writer = table.writer(out, quoting=table.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(HEAD)
    codes, granted, rights = _codes(review), _granted(review), _rights(review)
    for account in review.accounts:
        said = "; ".join(codes.get(account.principal, ()))
        who = tuple(map(plain, (*_who(account, review.about.taken), said)))
        whole = list(_what(account, review, rights)) or [_idle(account, granted)]
        writer.writerows((*who, *what) for what in whole)
    for row in (*_groups(review, granted), *_roles(review)):
        writer.writerow([plain(row.get(name, "")) for name in HEAD])
    return out.getvalue()


_Granted = Mapping[tuple[str, str], Sequence[GrantRow]]
"""Kind and name of a principal -> its own entries."""


def _granted(review: Review) -> _Granted:
    found = defaultdict[tuple[str, str], list[GrantRow]](list)
    for grant in review.grants:
        found[grant.kind, grant.principal].append(grant)
    return found


def _groups(review: Review, granted: _Granted) -> Iterator[dict[str, str]]:
    """A row per group."""
    for one in review.groups:
        mine = granted.get((GROUP, one.group), ())
        yield {
            "account": one.group,
            "kind": GROUP,
            "name": one.comment,
            "members": "; ".join(one.members),
            "entries": "; ".join(f"{grant.role} on {grant.path}" for grant in mine),
        }


def _roles(review: Review) -> Iterator[dict[str, str]]:
    """A row per role, with its owner."""
    granted = defaultdict[str, list[GrantRow]](list)
    for grant in review.grants:
        granted[grant.role].append(grant)
    for one in review.roles:
        mine = granted.get(one.role, ())
        yield {
            "account": one.role,
            "kind": "role",
            "name": "built in" if one.built_in else one.purpose,
            "owner": one.owner,
            "members": "; ".join(one.holders),
            "entries": "; ".join(f"{g.path} by {g.kind} {g.principal}" for g in mine),
            "declared": {None: "", True: "yes", False: "no"}[one.declared],
            "in words": privilege_in_words(one.privileges),
            "privileges": "; ".join(one.privileges),
        }


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


def _what(account: Account, review: Review, rights: _Rights) -> Iterator[tuple[str, ...]]:
    """What an account holds, and the entries behind it."""
    for one, cells in rights[account.profile]:
        entries = ""
        if one.privileges:
            entries = "; ".join(behind(account, review.behind.of(account.principal, one)))
        yield (*cells, plain(entries), "", "")


def _idle(account: Account, granted: _Granted) -> tuple[str, ...]:
    """The entries of an account that give it nothing."""
    mine = granted.get((account.kind, account.principal), ())
    entries = "; ".join(f"{one.role} on {one.path}" for one in mine)
    return ("", "None", "", "nothing", "", plain(entries), "", "")


_Rights = Sequence[Sequence[tuple[Holding, tuple[str, ...]]]]
"""The profiles of a review: what each consists of, with its cells."""


def _rights(review: Review) -> _Rights:
    """Accounts share profiles, so that each is put into words once."""
    places = Places(review.guests, review.holdings.pools)
    return [
        [(one, _cells(one, profile, places)) for one in profile]
        for profile in review.holdings.profiles
    ]


def _cells(one: Holding, profile: tuple[Holding, ...], places: Places) -> tuple[str, ...]:
    where = places.where(one, profile) or one.places
    texts = (TITLES[one.sort], one.level.word, "; ".join(where))
    words = (privilege_in_words(one.privileges), "; ".join(one.privileges))
    return tuple(map(plain, (*texts, *words)))
