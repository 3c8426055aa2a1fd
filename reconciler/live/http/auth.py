"""Authenticate: the login with a password, its ticket, and hints for a refused login."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from reconciler.errors import AuthenticationFailed
from reconciler.text.shell import shell

RENEWED_AFTER = 3600
"""Seconds; Proxmox VE takes a ticket for two hours."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Ticket:
    """The ticket of a user who logged in with a password.

    `login` sends the form to `/access/ticket` and returns the `data` of the answer. It uses the
    same connection as other requests, so that the certificate is checked before the password is
    sent.
    """

    def __init__(self, username: str, password: str, clock: Callable[[], float]) -> None:
        self._username = username
        self._password = password
        self._clock = clock
        self._lock = threading.Lock()
        self._ticket = ""
        self._csrf = ""
        self._since = 0.0

    def renew(self, login: Callable[[Mapping[str, str]], Any]) -> None:
        """Log in when there is no ticket or it is an hour old; one thread at a time."""
        with self._lock:
            age = self._clock() - self._since
            if self._ticket and 0 <= age < RENEWED_AFTER:
                return
            answer = login({"username": self._username, "password": self._password})
            if not isinstance(answer, dict) or not answer.get("ticket"):
                raise AuthenticationFailed(f"the login of {self._username} returned no ticket")
            ticket = str(answer["ticket"])
            if answer.get("NeedTFA") or ticket.startswith("PVE:!tfa!"):
                raise AuthenticationFailed(
                    f"{self._username} needs a second factor to log in",
                    hint="use an API token: set `token_id` in [target] instead of `username`",
                )
            csrf = str(answer.get("CSRFPreventionToken", ""))
            if not re.fullmatch(r"[!-~]*", csrf):
                raise AuthenticationFailed(
                    f"the login of {self._username} returned an impossible CSRFPreventionToken",
                    hint="check that the endpoint is a Proxmox VE",
                )
            self._ticket, self._csrf = ticket, csrf
            self._since = self._clock()

    def headers(self, method: str) -> dict[str, str]:
        """What a request carries; nothing before the login."""
        if not self._ticket:
            return {}
        cookie = {"Cookie": "PVEAuthCookie=" + quote(self._ticket, safe="")}
        return cookie if method == "GET" else {**cookie, "CSRFPreventionToken": self._csrf}


def clean_secret(actor: str, secret: str) -> str:
    """The secret without the newline of a file.

    Raises `AuthenticationFailed` for an impossible one, before a library shows it in an error.
    """
    secret = secret.rstrip("\r\n")
    if not secret:
        raise AuthenticationFailed(
            f"the {_kind(actor)} of {actor} is empty",
            hint="set PVECTL_TOKEN_SECRET, or `token_secret` in [target]",
        )
    if "!" in actor and not re.fullmatch(r"[!-~]+", secret):
        raise AuthenticationFailed(
            f"the token secret of {actor} contains whitespace or other invalid characters",
            hint="Proxmox VE's secrets look like 01234567-89ab-cdef-0123-456789abcdef",
        )
    return secret


def why_refused(actor: str, secret: str) -> str:
    """What to check after a 401; Proxmox VE does not distinguish a wrong token from an expired
    one.
    """
    user, _, token = actor.partition("!")
    if not token:
        return (
            "the password is wrong, or the user is unknown, disabled, expired or locked:"
            " `pveum user list` on a node shows it"
        )
    shape = ""
    if not _UUID.fullmatch(secret):
        shape = "the token secret is not a UUID, so it is probably mistyped; "
    tokens = shell("pveum", "user", "token", "list", user)
    renewed = shell("pveum", "user", "token", "modify", user, token, "--regenerate", "1")
    return (
        f"{shape}either the secret is wrong, or the token or its user is unknown, disabled or"
        f" expired, which Proxmox VE does not tell apart: `{tokens}` and `pveum"
        f" user list` on a node show the expiry dates; `{renewed}` creates a new secret"
    )


def _kind(actor: str) -> str:
    return "token secret" if "!" in actor else "password"
