"""Authenticate: the login with a password and a second factor, its ticket, and hints for a refused
login."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote

from reconciler.errors import AuthenticationFailed
from reconciler.pve.totp import Totp, parse_totp
from reconciler.text.humanize import in_prose
from reconciler.text.shell import shell

RENEWED_AFTER = 3600
"""Seconds; Proxmox VE takes a ticket for two hours."""

_CHALLENGE = "PVE:!tfa!"
_OTHERS = ("recovery", "u2f", "webauthn", "yubico")
"""Kinds of second factors that need a person; a server that names others is not quoted."""
_NO = (None, False)
_Login = Callable[[Mapping[str, str]], Any]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Ticket:
    """The ticket of a user who logged in with a password.

    `login` sends the form to `/access/ticket` and returns the `data` of the answer. It uses the
    same connection as other requests, so that the certificate is checked before the password is
    sent.
    """

    def __init__(
        self,
        username: str,
        password: str,
        clock: Callable[[], float],
        totp: Totp | None = None,
    ) -> None:
        self._username = username
        self._password = password
        self._clock = clock
        self._totp = totp
        self._lock = threading.Lock()
        self._ticket = ""
        self._csrf = ""
        self._since = 0.0

    def renew(self, login: _Login) -> None:
        """Log in when there is no ticket or it is an hour old; one thread at a time."""
        with self._lock:
            age = self._clock() - self._since
            if self._ticket and 0 <= age < RENEWED_AFTER:
                return
            answer = self._answer(login, self._password)
            if _asks_more(answer):
                answer = self._second_factor(login, str(answer["ticket"]))
            csrf = str(answer.get("CSRFPreventionToken", ""))
            if not re.fullmatch(r"[!-~]*", csrf):
                raise AuthenticationFailed(
                    f"the login of {self._username} returned an impossible CSRFPreventionToken",
                    hint="check that the endpoint is a Proxmox VE",
                )
            self._ticket, self._csrf = str(answer["ticket"]), csrf
            self._since = self._clock()

    def _answer(self, login: _Login, secret: str, **more: str) -> Mapping[str, Any]:
        answer = login({"username": self._username, "password": secret, **more})
        if not isinstance(answer, dict) or not answer.get("ticket"):
            raise AuthenticationFailed(f"the login of {self._username} returned no ticket")
        return answer

    def _second_factor(self, login: _Login, challenge: str) -> Mapping[str, Any]:
        """Answer the challenge with a one-time code.

        Proxmox VE takes each code once, and also those of the periods before and after the current
        one (`verify_totp` of proxmox-tfa): if another login has used the current code, the next one
        is good.
        """
        if self._totp is None:
            raise AuthenticationFailed(
                f"{self._username} needs a second factor to log in",
                hint="use an API token: set `token_id` in [target] instead of `username`; or set "
                "`totp_secret` there",
            )
        asked = _asked(challenge)
        if asked and not asked.get("totp"):
            kinds = in_prose(
                [one for one in _OTHERS if asked.get(one) not in _NO] or ["another kind"]
            )
            raise AuthenticationFailed(
                f"{self._username} needs a second factor to log in, and has no one-time password, "
                f"but {kinds}",
                hint="use an API token: set `token_id` in [target] instead of `username`",
            )
        now = self._totp.counter(self._clock())
        for counter in (now, now + 1):
            try:
                code = f"totp:{self._totp.code(counter)}"
                answer = self._answer(login, code, **{"tfa-challenge": challenge})
            except AuthenticationFailed:
                continue
            if not _asks_more(answer):
                return answer
        raise AuthenticationFailed(
            f"the second factor of {self._username} was refused",
            hint="Proxmox VE takes each one-time code once: try again in 30 seconds; if it is "
            "refused again, `totp_secret` in [target] is of another factor, the clocks of this "
            "machine and of the node differ, or the user is locked after too many wrong codes",
        )

    def headers(self, method: str) -> dict[str, str]:
        """What a request carries; nothing before the login."""
        if not self._ticket:
            return {}
        cookie = {"Cookie": "PVEAuthCookie=" + quote(self._ticket, safe="")}
        return cookie if method == "GET" else {**cookie, "CSRFPreventionToken": self._csrf}


def _asks_more(answer: Mapping[str, Any]) -> bool:
    return bool(answer.get("NeedTFA")) or str(answer["ticket"]).startswith(_CHALLENGE)


def _asked(challenge: str) -> Mapping[str, Any]:
    """The factors that are asked for, in JSON inside the ticket; empty where that is not read."""
    try:
        found = json.loads(unquote(challenge.removeprefix(_CHALLENGE).partition(":")[0]))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def totp_of(username: str, text: str) -> Totp:
    """The second factor of a user; raises AuthenticationFailed for an impossible one."""
    try:
        return parse_totp(text)
    except ValueError as error:
        raise AuthenticationFailed(
            f"the TOTP secret of {username} is {error}",
            hint="`totp_secret` in [target] names what an authenticator app is given: the key in "
            "Base32, or the otpauth URI",
        ) from None


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
