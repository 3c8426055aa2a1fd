"""Interpret an HTTP answer: data, a refusal, a failed login, or nothing reliable."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

from reconciler.errors import (
    AuthenticationFailed,
    PvectlError,
    RequestRefused,
    UnknownOutcome,
    Unreachable,
)
from reconciler.model.api import refusal_hint

PROXY_HINT = (
    "another server, such as a proxy, answers instead of Proxmox VE: check `endpoint` (port 8006, "
    "no path) and `proxy` in [target]"
)
SETTLE_HINT = (
    "Proxmox VE may or may not have applied it: read the object before doing anything else"
)
FORBIDDEN_HINT = "the answer names path and privilege that the caller lacks there"
TICKET_HINT = "Proxmox VE refuses API tokens here: set `username` in [target] instead"

_FROM_A_PROXY = frozenset({502, 503, 504})
_BETWEEN_NODES = range(595, 600)


class Asked(NamedTuple):
    """The request that an answer belongs to.

    `what` describes it, without parameters. `reads`: it changes nothing, so losing it is harmless.
    """

    endpoint: str
    what: str
    reads: bool


class Answer(NamedTuple):
    """An answer as received; `reason` as decoded by http.client (ISO 8859-1); `date`: when the
    server says it was sent.
    """

    status: int
    reason: str
    body: bytes
    date: str = ""

    def masked(self, mask: Callable[[str], str]) -> Answer:
        """The answer without secrets: Proxmox VE may quote a parameter that it refuses."""
        body = mask(self.body.decode("utf-8", "replace")).encode()
        return Answer(self.status, mask(self.reason), body)


def outcome_in_doubt(asked: Asked, why: str, *, hint: str) -> PvectlError:
    """The error for a request without a reliable answer: harmless for a read, an unknown outcome
    for a write.
    """
    if asked.reads:
        return Unreachable(f"{asked.endpoint} did not answer {asked.what}: {why}", hint=hint)
    return UnknownOutcome(
        f"the outcome of {asked.what} at {asked.endpoint} is unknown: {why}",
        hint=f"{SETTLE_HINT}; {hint}",
    )


def data_of(asked: Asked, answer: Answer) -> Any:
    """The `data` of a good answer.

    Raises `AuthenticationFailed` (401), `RequestRefused` (what Proxmox VE itself refused), and for
    everything else `Unreachable` or, when the request was a write, `UnknownOutcome`: a proxy's own
    pages, redirects, 595 to 599 (one node could not reach another), and broken JSON.
    """
    body = _json_object(answer.body)
    reason = _text(answer.reason)
    if answer.status in _BETWEEN_NODES:
        why = f"{answer.status} {reason}".strip()
        raise outcome_in_doubt(
            asked, why, hint="the node asked could not reach the node concerned in time"
        )
    if answer.status == HTTPStatus.UNAUTHORIZED and (body is not None or not answer.body):
        raise AuthenticationFailed(f"{asked.endpoint} answered {asked.what} with 401 {reason}")
    if 200 <= answer.status < 300 and body is not None and "data" in body:
        return body["data"]
    if answer.status >= 400 and _refused_by_pve(answer, body):
        raise _refusal(answer.status, reason, body or {}, asked)
    raise outcome_in_doubt(asked, _description(answer, reason), hint=PROXY_HINT)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):  # a list in a list in a list, a hundred thousand times
        return None
    return parsed if isinstance(parsed, dict) else None


def _refused_by_pve(answer: Answer, body: dict[str, Any] | None) -> bool:
    """Proxmox VE's own refusal: its errors are JSON, empty, or in very few cases plain text."""
    if body is not None:
        return "data" in body or "errors" in body or "message" in body
    if answer.status in _FROM_A_PROXY or answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return False
    return b"<" not in answer.body[:200]


def _refusal(status: int, reason: str, body: dict[str, Any], asked: Asked) -> RequestRefused:
    message = str(body.get("message") or "")
    errors = body.get("errors")
    fields = (
        {str(key): str(value) for key, value in errors.items()}
        if isinstance(errors, dict)
        else _fields_in(message)
    )
    hint = refusal_hint(reason or message, asked.what)
    if "need proper ticket" in reason:
        hint = TICKET_HINT
    elif "Permission check failed" in reason:
        hint = FORBIDDEN_HINT
    refused = RequestRefused(status, reason or message.partition("\n")[0], fields, hint=hint)
    refused.asked = f"{asked.what} at {asked.endpoint}"
    return refused


def _fields_in(message: str) -> dict[str, str]:
    """The fields of a 400 that was raised under a lock and so became text: `...failed.` and then
    `name: what`.
    """
    first, _, rest = message.partition("\n")
    if not first.endswith("400 Parameter verification failed."):
        return {}
    return dict(re.findall(r"^([\w.-]+): (.+)$", rest, re.MULTILINE))


def _description(answer: Answer, reason: str) -> str:
    status = f"{answer.status} {reason}".strip()
    if 300 <= answer.status < 400:
        return f"{status}, a redirect, which Proxmox VE never sends"
    start = answer.body[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<")):
        return f"{status} with an HTML page instead of JSON"
    if not answer.body:
        return f"{status} with an empty body"
    return f"{status} without the JSON that Proxmox VE sends"


def _text(reason: str) -> str:
    """Decode a reason: PVE writes UTF-8 into the status line, which HTTP libraries read as ISO
    8859-1.
    """
    try:
        return reason.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return reason
