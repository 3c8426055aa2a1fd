"""Explain why no answer came, from the nested errors of the network libraries."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead, RemoteDisconnected


class TooLate(TimeoutError):
    """An answer that arrived too slowly, with no end in sight."""


class ProxyUnreachable(OSError):
    """No connection to the proxy; nothing reached the node."""


class TooLarge(HTTPException):
    """An answer larger than any that Proxmox VE sends."""


_CLIENT = "check `client_cert` in [target]: the server must trust the CA that issued it"
_LOST = (RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
_TUNNEL = "Tunnel connection failed"

_TELLING: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str, str], ...] = (
    (
        socket.gaierror,
        "the host name cannot be resolved",
        "check the name in `endpoint` of [target]",
    ),
    (
        ConnectionRefusedError,
        "connection refused",
        "check host and port in `endpoint`; on the node, `systemctl status pveproxy`",
    ),
    (
        TooLate,
        "the answer did not complete in time",
        "check the connection, and `proxy` in [target]",
    ),
    (
        TooLarge,
        "the answer is larger than any that Proxmox VE sends",
        "check `endpoint` and `proxy` in [target]: another server may answer there",
    ),
    (
        TimeoutError,
        "no answer in time",
        "check that the node is up and that no firewall drops the connection",
    ),
    (
        _LOST,
        "the connection was closed",
        "check `systemctl status pveproxy` on the node; a reverse proxy may close it for want of a "
        "client certificate (`client_cert` in [target])",
    ),
    (
        IncompleteRead,
        "the answer ended before all of it was there",
        "check `systemctl status pveproxy` on the node, and `proxy` in [target]",
    ),
    (
        HTTPException,
        "not an HTTP response",
        "check that the port in `endpoint` is pveproxy's (8006)",
    ),
)
"""Errors that say enough by their type, in the order in which they are looked for."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it wraps, outermost first."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        nested = (*current.args, getattr(current, "reason", None))
        inner = (*nested, current.__cause__, current.__context__)
        waiting.extend(item for item in inner if isinstance(item, BaseException))


def connection_lost(error: BaseException) -> bool:
    """The server closed the connection, as it does with one that was idle for too long."""
    return any(isinstance(cause, _LOST) for cause in causes(error))


def explain(error: BaseException) -> tuple[str, str]:
    """What happened, and what to check. Never the text of a library, which may contain a secret."""
    chain = list(causes(error))
    for cause in chain:
        if isinstance(cause, OSError) and str(cause).startswith(_TUNNEL):
            return f"the proxy refused: {_status(str(cause))}", "check `proxy` in [target]"
    of_proxy = any(isinstance(cause, ProxyUnreachable) for cause in chain)
    for kinds, why, hint in _TELLING:
        if any(isinstance(cause, kinds) for cause in chain):
            if of_proxy:
                return f"the proxy cannot be reached: {why}", "check `proxy` in [target]"
            return why, hint
    for cause in chain:
        if isinstance(cause, ssl.SSLError):
            return _tls(cause)
        if isinstance(cause, OSError) and cause.errno is not None and cause.strerror:
            return cause.strerror.lower(), "check the network between here and the node"
    return type(chain[-1]).__name__, "check `endpoint` and `proxy` in [target]"


def _tls(error: ssl.SSLError) -> tuple[str, str]:
    reason = (error.reason or "handshake failed").replace("_", " ").lower()
    if "certificate required" in reason:
        hint = "set `client_cert` and `client_key` in [target]"
        return "the server asks for a client certificate", hint
    if "alert" in reason and re.search("unknown ca|certificate|decrypt error", reason):
        return f"the server refuses the client certificate: {reason}", _CLIENT
    return f"TLS: {reason}", "check that the port in `endpoint` speaks HTTPS (8006)"


def _status(refusal: str) -> str:
    """The status of a proxy's refusal in our own words: its text may repeat the request, including
    a password.
    """
    found = re.search(r"\b[1-5][0-9]{2}\b", refusal)
    if found is None:
        return "its answer is not HTTP"
    known = {status.value: status.phrase for status in HTTPStatus}
    return f"{found[0]} {known.get(int(found[0]), '')}".strip()
