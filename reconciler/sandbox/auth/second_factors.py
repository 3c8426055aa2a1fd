"""Second factors of logins, as priv/tfa.cfg holds them: one-time passwords by time.

PVE source: `authenticate_2nd_new_do` of PVE::AccessControl and the crate proxmox-tfa, which reads
and writes the file. There are no security keys and no recovery codes here.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote

from reconciler.pve.formats import split_list
from reconciler.pve.totp import Totp, parse_totp
from reconciler.sandbox.auth.tickets import challenge_of, new_challenge
from reconciler.sandbox.config.realmcfg import realms
from reconciler.sandbox.config.store import Store, locked
from reconciler.sandbox.config.usercfg import User
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, died

FILE = "priv/tfa.cfg"
ELSEWHERE = "x"
"""`keys` of a user whose factors are in this file."""

TOTP = "totp"

Factors = dict[str, list[dict[str, Any]]]
"""Type -> entries, each with `info` and `entry`."""


def factors(store: Store) -> dict[str, Factors]:
    """User -> factors; for reading only."""
    return store.parsed(FILE, _parse)


def listed(found: Factors) -> list[dict[str, Any]]:
    """The entries as the API shows them, never their keys."""
    return [{"type": kind, **one["info"]} for kind, entries in found.items() for one in entries]


@contextmanager
def editing(store: Store, user: str) -> Iterator[Factors]:
    """The factors of one user, to be changed; without any, the user leaves the file."""
    with locked(store, FILE):
        every = _parse(store.read(FILE))
        mine = every.setdefault(user, {})
        yield mine
        if not any(mine.values()):
            del every[user]
        store.write(FILE, json.dumps({"users": every}).encode())


def forget(store: Store, user: str) -> None:
    """What deleting a user does (`user_remove_tfa`)."""
    if user in factors(store):
        with editing(store, user) as mine:
            mine.clear()


def entry_of(found: Factors, id_: str) -> dict[str, Any] | None:
    """The entry of this id."""
    entries = (one for entries in found.values() for one in entries)
    return next((one for one in entries if one["info"]["id"] == id_), None)


def new_entry(description: str, uri: str, now: int) -> dict[str, Any]:
    """An entry with an id of its own."""
    info = {"id": str(uuid.uuid4()), "description": description, "created": now}
    return {"info": info, "entry": uri}


def is_code(totp: Totp, code: str, now: float) -> int | None:
    """The period that the code is of: this one or one next to it; None for another code."""
    here = totp.counter(now)
    for counter in (here - 1, here, here + 1):
        if secrets.compare_digest(totp.code(counter).encode(), code.encode()):
            return counter
    return None


def challenge(ctx: Context, user: str) -> str | None:
    """The ticket that asks for the second factor; None for a user without one."""
    if _enabled(ctx, user):
        return new_challenge(ctx, user, quote(json.dumps({"totp": True}, separators=(",", ":"))))
    if "tfa" in realms(ctx.store)[user.rpartition("@")[2]].values:
        raise died("missing required 2nd keys")
    return None


def answer(ctx: Context, user: str, ticket: str, response: str) -> None:
    """Raises unless the response answers the challenge; a code is good for one login."""
    asked = challenge_of(ctx, user, ticket)
    if asked is None:
        raise ApiError("permission denied - invalid PVE ticket\n", 401)
    kind, colon, code = response.partition(":")
    if not colon or kind != TOTP or not json.loads(unquote(asked)).get(TOTP):
        raise died("failed 2nd factor")
    with editing(ctx.store, user) as mine:
        for entry in (*mine.get(TOTP, ()), *_old(ctx, user)):
            counter = is_code(_totp(entry), code, ctx.clock())
            if entry["info"].get("enable", True) and counter is not None:
                if counter <= entry.get("last-count", -1):
                    raise died("rejecting reused TOTP value")
                entry["last-count"] = counter
                return
    raise died("failed 2nd factor")


def _enabled(ctx: Context, user: str) -> list[dict[str, Any]]:
    mine = (*factors(ctx.store).get(user, {}).get(TOTP, ()), *_old(ctx, user))
    return [entry for entry in mine if entry["info"].get("enable", True)]


def _old(ctx: Context, user: str) -> list[dict[str, Any]]:
    """Keys stored in user.cfg, whose meaning the realm defines (`user_get_tfa`)."""
    keys = ctx.cfg.users.get(user, User()).keys or ""
    realm = realms(ctx.store).get(user.rpartition("@")[2])
    if keys in {"", ELSEWHERE} or realm is None or "oath" not in str(realm.values.get("tfa", "")):
        return []
    return [{"info": {"id": ""}, "entry": key} for key in split_list(keys)]


def _totp(entry: dict[str, Any]) -> Totp:
    try:
        return parse_totp(str(entry["entry"]))
    except ValueError:
        raise died("failed 2nd factor") from None


def _parse(raw: bytes) -> dict[str, Factors]:
    users = json.loads(raw).get("users", {}) if raw.strip() else {}
    return {name: dict(mine) for name, mine in sorted(users.items())}
