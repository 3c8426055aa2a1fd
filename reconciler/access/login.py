"""Whether a principal can log in, regardless of its grants."""

from __future__ import annotations

from enum import StrEnum

from reconciler.access.contents import ROOT, Principal, split_token
from reconciler.access.table import AccessTable


class Login(StrEnum):
    """`ACTIVE`, or the first reason why a principal cannot log in."""

    ACTIVE = "active"
    ABSENT = "does not exist"
    DISABLED = "disabled"
    EXPIRED = "expired"
    OWNER_ABSENT = "its user does not exist"
    OWNER_DISABLED = "its user is disabled"
    OWNER_EXPIRED = "its user has expired"


_OWNERS = {
    Login.ABSENT: Login.OWNER_ABSENT,
    Login.DISABLED: Login.OWNER_DISABLED,
    Login.EXPIRED: Login.OWNER_EXPIRED,
}


def login(table: AccessTable, principal: str, now: int = 0) -> Login:
    """`now` in Unix seconds; with 0 nothing counts as expired.

    A token is also refused when its user is (AccessControl.pm, `verify_token`). root@pam exists
    even where a table does not list it.
    """
    split = split_token(principal)
    if split is None:
        return _user(table, principal, now)
    token = table.tokens.get(principal)
    if token is None:
        return Login.ABSENT
    owner = _user(table, split[0], now)
    if owner is not Login.ACTIVE:
        return _OWNERS[owner]
    return Login.EXPIRED if _past(token.expires, now) else Login.ACTIVE


def active(table: AccessTable, principal: str, now: int = 0) -> bool:
    """Whether it can log in."""
    return login(table, principal, now) is Login.ACTIVE


def all_active(table: AccessTable) -> AccessTable:
    """A copy in which every existing principal can log in."""
    copy = table.copy()
    copy.users = {user: Principal() for user in sorted({ROOT, *table.users})}
    copy.tokens = {token: Principal(privsep=its.privsep) for token, its in table.tokens.items()}
    return copy


def _user(table: AccessTable, user: str, now: int) -> Login:
    found = table.users.get(user)
    if found is None:
        return Login.ACTIVE if user == ROOT else Login.ABSENT
    if not found.enabled:
        return Login.DISABLED
    return Login.EXPIRED if _past(found.expires, now) else Login.ACTIVE


def _past(expires: int, now: int) -> bool:
    return bool(expires and now and expires <= now)
