"""Implement the `Api` protocol over the network: the only module that imports proxmoxer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from proxmoxer.core import ProxmoxResource

from reconciler import __version__
from reconciler.errors import (
    AuthenticationFailed,
    UsageError,
    WriteForbidden,
)
from reconciler.live.http.auth import Ticket, clean_secret, totp_of, why_refused
from reconciler.live.http.connection import NETWORK_ERRORS, Connections, Outgoing
from reconciler.live.http.encoding import parameters, quoted_path
from reconciler.live.http.failover import ClusterApi, RequestCounts
from reconciler.live.http.network_errors import connection_lost, explain
from reconciler.live.http.request_guard import refuse_traps
from reconciler.live.http.response import Answer, Asked, data_of, outcome_in_doubt
from reconciler.live.http.tls import trust_context
from reconciler.live.redact import Redactor
from reconciler.model.request import Request
from reconciler.model.target import Target
from reconciler.pve.secret_params import is_secret_param

CHATTY_LOGGERS = ("proxmoxer.core",)
"""Loggers that may show requests and answers."""

PARALLEL_READS = 16
"""How many reads are under way at once: all that a plan reads before it knows any detail, in one
round, as each takes long where user.cfg is large."""

BESIDE_OTHERS = 4
"""The same where several clusters are read at once: each connection costs both ends a handshake,
and a node of Proxmox VE answers with three processes."""

LONGEST_READ = 300.0
"""Seconds within which an answer must be complete, however steadily it trickles."""

LONGEST_END = 10.0
"""Seconds that the answer to a write may take from its first byte; it is short."""

REUSED_WITHIN = 2.0
"""Seconds since its last answer in which a connection carries another write. PVE closes one that
is idle for 5 (PVE::APIServer::AnyEvent, `timeout`), and announces whenever it closes earlier."""

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"pvectl/{__version__}",
}


def open_api(
    target: Target,
    secret: str,
    *,
    read_only: bool,
    totp: str = "",
    redactor: Redactor | None = None,
    parallel: int = PARALLEL_READS,
    clock: Callable[[], float] = time.time,
) -> ClusterApi:
    """A connection to the cluster that `target` describes; nothing is sent before the first call.

    `secret` is the value of the API token or the user's password, `totp` the key of the user's
    one-time passwords. A `read_only` connection sends
    nothing but GET (and the login, with a password). `redactor` is given every secret in use.
    """
    if target.sandbox_folder is not None:
        raise UsageError(f"{target.endpoints[0]} is a folder, not a server")
    secret = clean_secret(target.actor, secret)
    redactor = redactor if redactor is not None else Redactor()
    redactor.add(secret)
    if target.proxy is not None and (password := urlsplit(target.proxy).password):
        redactor.add(unquote(password))
    redactor.add(*([totp.strip()] if totp.strip() else []))
    caller = _Caller(target.actor, secret, clock, totp)
    tally = RequestCounts()
    links = [
        _Link(target, endpoint, caller, tally, redactor, read_only=read_only, parallel=parallel)
        for endpoint in target.endpoints
    ]
    return ClusterApi(links, target.actor, tally, parallel=parallel)


class _Caller:
    """The authenticated principal, shared by all endpoints: a ticket of one node is valid on
    all.
    """

    def __init__(self, actor: str, secret: str, clock: Callable[[], float], totp: str) -> None:
        self.actor = actor
        self.clock = clock
        self.hint = why_refused(actor, secret)
        user, _, token = actor.partition("!")
        factor = totp_of(user, totp) if totp else None
        self.ticket = None if token else Ticket(user, secret, clock, factor)
        name = quote(actor, safe="@!")  # decoded by PVE::APIServer::Formatter::extract_auth_value
        self._token = {"Authorization": f"PVEAPIToken={name}={secret}"} if token else {}

    def headers(self, method: str) -> Mapping[str, str]:
        """What says who asks."""
        return self._token if self.ticket is None else self.ticket.headers(method)


class _Link:
    """One endpoint: kept-alive connections for reads, and a separate one for writes.

    A write over a connection that the server is just closing fails like one that arrived. The one
    for writes is therefore reused only within `REUSED_WITHIN` of the last answer; over a new one a
    request was certainly not sent if it fails before the end of the handshake.
    """

    def __init__(
        self,
        target: Target,
        endpoint: str,
        caller: _Caller,
        tally: RequestCounts,
        redactor: Redactor,
        *,
        read_only: bool,
        parallel: int,
    ) -> None:
        self.endpoint = endpoint
        self._target = target
        self._caller = caller
        self._tally = tally
        self._redactor = redactor
        self._read_only = read_only
        self._context = trust_context(target, endpoint)
        self._reads = Connections(endpoint, target.proxy, self._context, parallel)
        self._writes = Connections(endpoint, target.proxy, self._context)
        self._written = float("-inf")
        self._dated: tuple[str, float] | None = None
        """the Date header of the last answer, and when it came"""
        self._base_url = f"{endpoint}/api2/json"
        self._resource = ProxmoxResource(
            base_url=self._base_url, session=self, serializer=_AlreadyRead()
        )
        redactor.watch(CHATTY_LOGGERS)

    def read(self, request: Request) -> Any:
        return self._resource.get(*quoted_path(request), **parameters(request, {}))

    def write(self, request: Request, secrets: Mapping[str, str]) -> Any:
        refuse_traps(request)
        self._redactor.add(*secrets.values())
        calls = {
            "POST": self._resource.post,
            "PUT": self._resource.put,
            "DELETE": self._resource.delete,
        }
        return calls[request.method](*quoted_path(request), **parameters(request, secrets))

    @property
    def clock_skew(self) -> float | None:
        """Seconds by which the server's clock is ahead, by its last answer; None before that."""
        date, came = self._dated or ("", 0.0)
        sent = _sent_at(date)
        return None if sent is None else sent - came

    def close(self) -> None:
        self._reads.close()
        self._writes.close()
        self._redactor.release(CHATTY_LOGGERS)

    def request(
        self,
        method: str,
        url: str,
        data: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> _Good:
        """Called by proxmoxer to send. Raises pvectl's own errors, so that proxmoxer sees none."""
        reads = method == "GET"
        asked = Asked(self.endpoint, f"{method} {unquote(url.removeprefix(self._base_url))}", reads)
        if self._read_only and not reads:
            raise WriteForbidden(
                f"{asked.what} on a connection opened for reading only",
                hint="nothing was sent; this is a bug in pvectl, please report it",
            )
        if self._caller.ticket is not None:
            self._caller.ticket.renew(self._log_in)
        send = self._read if reads else self._write_once
        answer = send(asked, self._outgoing(method, url, data, params))
        found = self._data_of(asked, answer)
        if not reads:
            self._redactor.add(*_secrets_in(found))
        return _Good(found, len(answer.body))

    def _outgoing(
        self,
        method: str,
        url: str,
        data: Mapping[str, Any] | None,
        params: Mapping[str, Any] | None = None,
    ) -> Outgoing:
        target = url.removeprefix(self.endpoint)
        if params:
            target = f"{target}?{urlencode(params, doseq=True)}"
        body = None if data is None else urlencode(data, doseq=True)
        form = _FORM if body is not None else {}
        return Outgoing(method, target, body, {**_HEADERS, **form, **self._caller.headers(method)})

    def _log_in(self, form: Mapping[str, str]) -> Any:
        asked = Asked(self.endpoint, f"the login of {self._caller.actor}", reads=True)
        url = f"{self.endpoint}/api2/json/access/ticket"
        answer = self._read(asked, self._outgoing("POST", url, form))
        found = self._data_of(asked, answer)
        self._redactor.add(*_secrets_in(found))
        return found

    def _data_of(self, asked: Asked, answer: Answer) -> Any:
        if answer.date:
            self._dated = (answer.date, self._caller.clock())
        if answer.status >= 400:
            answer = answer.masked(self._redactor.redact_known)
        try:
            return data_of(asked, answer)
        except AuthenticationFailed as error:
            raise AuthenticationFailed(error.summary, hint=self._caller.hint) from None

    def _read(self, asked: Asked, outgoing: Outgoing, *, again: bool = True) -> Answer:
        """Send a read, once more when the server had just closed the kept-alive connection."""
        timeout = (self._target.connect_timeout, self._target.read_timeout)
        self._tally.add(reads=1)
        try:
            self._context.allow(max(LONGEST_READ, sum(timeout)))
            return self._reads.exchange(outgoing, timeout)
        except NETWORK_ERRORS as error:
            if not again or not connection_lost(error):
                raise _no_answer(asked, error) from None
        return self._read(asked, outgoing, again=False)

    def _write_once(self, asked: Asked, outgoing: Outgoing) -> Answer:
        timeout = (self._target.connect_timeout, self._target.write_timeout)
        kept = time.monotonic() - self._written < REUSED_WITHIN
        if not kept:
            self._writes.close()
        self._written = float("-inf")
        self._context.begin()
        try:
            self._context.allow(sum(timeout) + LONGEST_END)
            answer = self._writes.exchange(outgoing, timeout)
        except NETWORK_ERRORS as error:
            if not (kept or self._context.trusted_here):
                unsent = asked._replace(reads=True)
                raise _no_answer(unsent, error, "; nothing was sent") from None
            self._tally.add(writes=1)
            raise _no_answer(asked, error) from None
        self._tally.add(writes=1)
        self._written = time.monotonic()
        return answer


class _Good:
    """A good answer as proxmoxer sees it: `content`, which it logs, is only the length."""

    status_code = 200

    def __init__(self, data: Any, length: int) -> None:
        self.data = data
        self.content = f"{length} bytes"


class _AlreadyRead:
    """A proxmoxer serializer for answers that were already parsed."""

    def loads(self, good: _Good) -> Any:
        return good.data


@lru_cache(maxsize=16)
def _sent_at(date: str) -> float | None:
    """Unix seconds in the middle of the second that a Date header names."""
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5
    except ValueError:
        return None


def _no_answer(asked: Asked, error: BaseException, addition: str = "") -> Exception:
    why, hint = explain(error)
    return outcome_in_doubt(asked, why + addition, hint=hint)


def _secrets_in(data: Any) -> Iterator[str]:
    """The secrets in an answer, at any depth."""
    waiting = [data]
    while waiting:
        found = waiting.pop()
        for name, value in found.items() if isinstance(found, dict) else ():
            if isinstance(value, str) and is_secret_param(name):
                yield value
            else:
                waiting.append(value)
