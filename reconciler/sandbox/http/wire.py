"""HTTP as PVE speaks it: from a request's headers and body to status, reason and body.

PVE source: PVE::APIServer::AnyEvent, and Formatter and Formatter::Standard beside it. Nothing here
opens a socket.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from reconciler.pve.schema import ParameterValue
from reconciler.sandbox.auth.accounts import check_enabled, check_token
from reconciler.sandbox.auth.tickets import check_csrf_token, ticket_user
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError
from reconciler.sandbox.http.dispatch import UNREACHABLE, call
from reconciler.sandbox.http.routes import Page

BODY_LIMIT = 512 * 1024
"""Bytes."""

_METHODS = ("GET", "POST", "PUT", "DELETE")
_URI = re.compile(r"/api2/+([a-z][a-z0-9]+)(/.*)?", re.DOTALL)
_OPEN = {
    ("GET", "/access/domains"),
    ("GET", "/access/ticket"),
    ("POST", "/access/ticket"),
    ("POST", "/access/vncticket"),
    ("POST", "/access/openid/login"),
    ("POST", "/access/openid/auth-url"),
}
"""Calls that need no login."""

_EXTJS = "extjs"
"""The format of the web interface: the status is in the body, and always 200 outside."""


@dataclass(frozen=True, slots=True)
class Request:
    """`target` is the raw request target; header names are lower case.

    `length` is the Content-Length; `body` reads the body.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    length: int
    body: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """`reason` is one line. An empty body has no content type.

    `denied`: the login failed; the format extjs reports that in the body, with status 200.
    """

    status: int
    reason: str
    body: bytes = b""
    denied: bool = False


def respond(request: Request, context: Callable[[str], Context]) -> Answer:
    """Answer one request; `context` makes the context of a call from the actor's name."""
    try:
        place, kind = _place(request)
        ctx = _authenticated(request, place, context)
        _check_body(request)
        _check_format(place, kind)
        given = _parameters(request)
    except ApiError as error:
        return Answer(error.status, _first_line(error.message), denied=error.status == 401)
    try:
        data = call(ctx, request.method, place, given)
    except ApiError as error:
        return _error(error, kind)
    answer = {"data": data.rows, "total": data.total} if isinstance(data, Page) else {"data": data}
    if kind == _EXTJS:
        answer["success"] = 1
    return Answer(200, "OK", _json(answer))


def _place(request: Request) -> tuple[str, str]:
    """The decoded path below /api2/FORMAT, and the format."""
    if request.method not in _METHODS:
        raise ApiError(f"method '{request.method}' not available", 501)
    transfer = request.headers.get("transfer-encoding")
    if transfer:
        chunked = transfer.lower() == "chunked"
        unknown = f"Unknown transfer encoding '{transfer}'"
        raise ApiError("chunked transfer encoding not supported" if chunked else unknown, 501)
    path = unquote(request.target.partition("?")[0])
    if not path.startswith("/api2"):
        raise ApiError(f"no such file '{path}'", 501)
    uri = _URI.fullmatch(path)
    if uri is None:
        raise ApiError("no such uri", 501)
    return uri[2] or "/", uri[1]


def _authenticated(request: Request, place: str, context: Callable[[str], Context]) -> Context:
    """The context of the caller; raises a 401 without a valid ticket or token."""
    ticket = _credential(request.headers.get("cookie", ""), "PVEAuthCookie")
    authorization = request.headers.get("authorization", "")
    ticket = ticket or _credential(authorization, "PVEAuthCookie")
    token = "" if ticket else _credential(authorization, "PVEAPIToken")
    ctx = context("")
    if (request.method, place) in _OPEN:
        ctx.with_token = bool(token)
        return ctx
    if token:
        try:
            return context(check_token(ctx, token))
        except ApiError as error:
            raise ApiError("Authentication failed!\n", 401) from error
    if not ticket:
        raise ApiError("No ticket\n", 401)
    user = ticket_user(ctx, ticket)
    if user is None:
        raise ApiError("Authentication failed!\n", 401)
    try:
        check_enabled(ctx, user)
    except ApiError as error:
        raise ApiError("Authentication failed!\n", 401) from error
    if request.method != "GET":
        check_csrf_token(ctx, user, request.headers.get("csrfpreventiontoken", ""))
    return context(user)


def _credential(header: str, name: str) -> str:
    """Decoded; empty if there is none (`extract_auth_value`)."""
    found = re.search(rf"(?:^|\s){name}[= ]([^;]*)", header)
    return unquote(found[1].strip()) if found else ""


def _check_body(request: Request) -> None:
    if not request.length:
        return
    if request.method not in ("POST", "PUT"):
        raise ApiError(f"Unexpected content for method '{request.method}'", 501)
    if request.length > BODY_LIMIT:
        raise ApiError("for data too large", 501)
    if _content_type(request) not in ("", "application/x-www-form-urlencoded", "application/json"):
        given = request.headers.get("content-type", "")
        raise ApiError(f"upload 'Content-Type '{given}' not implemented", 506)


def _check_format(place: str, kind: str) -> None:
    if kind not in ("json", _EXTJS):
        raise ApiError(f"no formatter for uri {place}, {kind}", 501)


def _content_type(request: Request) -> str:
    return re.split(r"\s*[;,]\s*", request.headers.get("content-type", ""))[0]


def _parameters(request: Request) -> dict[str, ParameterValue | None]:
    """Of body and query; the query wins. Raises for invalid JSON."""
    given: dict[str, ParameterValue | None] = {}
    if request.method in ("POST", "PUT"):
        body = request.body() if request.length else b""
        as_json = _content_type(request) == "application/json"
        given = _json_parameters(body) if as_json else _decoded(body, bare="")
    given |= _decoded(request.target.partition("?")[2].encode("latin-1"), bare=None)
    given.pop("_dc", None)
    return given


def _error(error: ApiError, kind: str) -> Answer:
    if error.status == UNREACHABLE:
        return Answer(error.status, _first_line(error.message))
    body: dict[str, Any] = {"data": None, "message": error.message}
    if error.errors:
        body["errors"] = error.errors
    denied = error.status == 401
    if kind == _EXTJS:
        return Answer(200, "OK", _json({**body, "success": 0, "status": error.status}), denied)
    return Answer(error.status, _first_line(error.message), _json(body), denied)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _first_line(text: str) -> str:
    """A reason phrase on one line, in the only encoding that HTTP allows for it."""
    return text.partition("\n")[0].encode("utf-8", "replace").decode("latin-1")


def _decoded(raw: bytes, *, bare: str | None) -> dict[str, ParameterValue | None]:
    """Forms and queries as PVE parses them: `;` separates too, `a=b=c` means `b`.

    A name given twice is a list; invalid UTF-8 becomes U+FFFD. `bare` is the value of a name
    without `=`; with None it is absent, and so are earlier values.
    """
    found: dict[str, ParameterValue | None] = {}
    # Perl's split gives nothing for empty pairs at the end.
    filled = re.sub(rb"[&;]+$", b"", raw)
    for pair in re.split(rb"[&;]", filled) if filled else ():
        name, *values = map(_unescaped, pair.split(b"="))
        value = values[0] if values else bare
        known = found.get(name)
        if known is None or value is None:
            found[name] = value
        else:
            found[name] = [*known, value] if isinstance(known, list) else [known, value]
    return found


def _unescaped(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8", "replace")


def _json_parameters(body: bytes) -> dict[str, ParameterValue | None]:
    """Numbers become text, as Perl writes them."""
    try:
        value = json.loads(body, parse_int=str, parse_float=_number, parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"malformed JSON string: {error}") from error
    if not isinstance(value, dict):
        raise ApiError("Not a HASH reference")
    return value


def _number(text: str) -> str:
    return f"{float(text):.15g}"


def _not_a_number(text: str) -> str:
    """NaN and Infinity, which Python reads and JSON does not know."""
    raise ValueError(f"unexpected {text}")
