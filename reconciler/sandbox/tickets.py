"""Tickets and CSRF tokens (PVE::Ticket): returned by a login, and sent with later requests."""

from __future__ import annotations

import base64
import binascii
import hmac
import re

from reconciler.sandbox import keys
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError

LIFETIME = 2 * 3600
"""Seconds."""
_GRACE = 300
"""Seconds that the clock of another node may be ahead."""

_TICKET = re.compile(r"(PVE:(\S+):([0-9A-F]{8}))::(\S+)")
_CSRF = re.compile(r"([0-9A-F]{8}):(\S+)")


def new_ticket(ctx: Context, user: str) -> str:
    """`PVE:USER:HEXTIME::SIGNATURE`."""
    text = f"PVE:{user}:{ctx.now:08X}"
    return f"{text}::{base64.b64encode(keys.sign(ctx.store, text)).decode()}"


def ticket_user(ctx: Context, ticket: str) -> str | None:
    """The user of a ticket; None if it is forged, too old or not a ticket."""
    found = _TICKET.fullmatch(ticket)
    if found is None or not _fresh(ctx, found[3]):
        return None
    try:
        signature = base64.b64decode(found[4], validate=True)
    except binascii.Error:
        return None
    return found[2] if keys.verify(ctx.store, found[1], signature) else None


def new_csrf_token(ctx: Context, user: str) -> str:
    """`HEXTIME:HMAC`, required for every write with a ticket."""
    return _csrf(ctx, f"{ctx.now:08X}", user)


def check_csrf_token(ctx: Context, user: str, token: str) -> None:
    """Raises a 401 for a token that is missing, expired, or belongs to another user."""
    found = _CSRF.fullmatch(token)
    if found is None or not _fresh(ctx, found[1]):
        raise ApiError("Permission denied - invalid csrf token\n", 401)
    if not hmac.compare_digest(_csrf(ctx, found[1], user).encode(), token.encode()):
        raise ApiError("Permission denied - invalid csrf token\n", 401)


def _csrf(ctx: Context, stamp: str, user: str) -> str:
    secret = keys.auth_secret(ctx.store)
    digest = hmac.digest(secret, f"{stamp}:{user}".encode(), "sha256")
    return f"{stamp}:{base64.b64encode(digest).decode().rstrip('=')}"


def _fresh(ctx: Context, stamp: str) -> bool:
    return -_GRACE < ctx.now - int(stamp, 16) < LIFETIME
