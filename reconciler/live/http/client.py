"""Implement the `Api` protocol over the network: the only module that imports proxmoxer and
requests.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from proxmoxer import ProxmoxResource
from proxmoxer.backends.https import JsonSerializer, ProxmoxHTTPApiTokenAuth
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from reconciler import __version__
from reconciler.errors import (
    AuthenticationFailed,
    UsageError,
    WriteForbidden,
)
from reconciler.live.http.auth import Ticket, clean_secret, why_refused
from reconciler.live.http.encoding import parameters, quoted_path
from reconciler.live.http.failover import ClusterApi, RequestCounts
from reconciler.live.http.network_errors import TooLarge, connection_lost, explain
from reconciler.live.http.request_guard import refuse_traps
from reconciler.live.http.response import Answer, Asked, data_of, outcome_in_doubt
from reconciler.live.http.tls import TrustContext, trust_context
from reconciler.live.redact import Redactor
from reconciler.model.request import Request
from reconciler.model.target import Target
from reconciler.pve.secret_params import is_secret_param

CHATTY_LOGGERS = (
    "proxmoxer.core",
    "proxmoxer.backends.https",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.util.retry",
)
"""Loggers that may show requests and answers."""

PARALLEL_READS = 16
"""All that a plan reads before it knows any detail, in one round."""

LONGEST_READ = 300.0
"""Seconds after which an answer must have come to its end, however steadily it trickles."""

LONGEST_END = 10.0
"""Seconds that the answer to a write may take from its first byte; it is short."""

LARGEST = 64 * 1024 * 1024
"""Bytes of an answer, unpacked: many times the answer of the largest clusters."""

REUSED_WITHIN = 2.0
"""Seconds since its last answer in which a connection carries another write. PVE closes one that
is idle for 5 (PVE::APIServer::AnyEvent, `timeout`), and announces whenever it closes earlier."""

_PIECE = 64 * 1024

_NETWORK_ERRORS = (requests.RequestException, HTTPError, HTTPException, OSError)


def open_api(
    target: Target,
    secret: str,
    *,
    read_only: bool,
    redactor: Redactor | None = None,
    parallel: int = PARALLEL_READS,
    clock: Callable[[], float] = time.time,
) -> ClusterApi:
    """A connection to the cluster that `target` describes; nothing is sent before the first call.

    `secret` is the value of the API token or the user's password. A `read_only` connection sends
    nothing but GET (and the login, with a password). `redactor` is given every secret in use.
    """
    if target.sandbox_folder is not None:
        raise UsageError(f"{target.endpoints[0]} is a folder, not a server")
    # urllib3 does not know that a context of ours checks the pin, and would warn at each request
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    secret = clean_secret(target.actor, secret)
    redactor = redactor if redactor is not None else Redactor()
    redactor.add(secret)
    if target.proxy is not None and (password := urlsplit(target.proxy).password):
        redactor.add(unquote(password))
    caller = _Caller(target.actor, secret, clock)
    tally = RequestCounts()
    links = [
        _Link(target, endpoint, caller, tally, redactor, read_only=read_only)
        for endpoint in target.endpoints
    ]
    return ClusterApi(links, target.actor, tally, parallel=parallel)


class _Caller:
    """The authenticated principal, shared by all endpoints: a ticket of one node is valid on
    all.
    """

    def __init__(self, actor: str, secret: str, clock: Callable[[], float]) -> None:
        self.actor = actor
        self.clock = clock
        self.hint = why_refused(actor, secret)
        user, _, token = actor.partition("!")
        self.ticket = None if token else Ticket(user, secret, clock)
        self.auth = self.ticket or ProxmoxHTTPApiTokenAuth(user, token, secret)


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
    ) -> None:
        self.endpoint = endpoint
        self._target = target
        self._caller = caller
        self._tally = tally
        self._redactor = redactor
        self._read_only = read_only
        self._context = trust_context(target, endpoint)
        self._reads = _session(target, self._context)
        self._writes = _session(target, self._context)
        self._written = float("-inf")
        self._skew: float | None = None
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
        return self._skew

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
        content = {"data": data, "params": params, "auth": self._caller.auth}
        send = self._read if reads else self._write_once
        answer = send(asked, method, url, content)
        found = self._data_of(asked, answer)
        if not reads:
            self._redactor.add(*_secrets_in(found))
        return _Good(found, len(answer.body))

    def _log_in(self, form: Mapping[str, str]) -> Any:
        asked = Asked(self.endpoint, f"the login of {self._caller.actor}", reads=True)
        answer = self._read(asked, "POST", f"{self._base_url}/access/ticket", {"data": form})
        found = self._data_of(asked, answer)
        self._redactor.add(*_secrets_in(found))
        return found

    def _data_of(self, asked: Asked, answer: Answer) -> Any:
        sent = _sent_at(answer.date)
        if sent is not None:
            self._skew = sent - self._caller.clock()
        if answer.status >= 400:
            answer = answer.masked(self._redactor.redact_known)
        try:
            return data_of(asked, answer)
        except AuthenticationFailed as error:
            raise AuthenticationFailed(error.summary, hint=self._caller.hint) from None

    def _read(
        self,
        asked: Asked,
        method: str,
        url: str,
        content: Mapping[str, Any],
        *,
        again: bool = True,
    ) -> Answer:
        """Send a read, once more when the server had just closed the kept-alive connection."""
        timeout = (self._target.connect_timeout, self._target.read_timeout)
        self._tally.add(reads=1)
        try:
            self._context.allow(max(LONGEST_READ, sum(timeout)))
            return _exchange(self._reads, method, url, timeout, content)
        except _NETWORK_ERRORS as error:
            if not again or not connection_lost(error):
                raise _no_answer(asked, error) from None
        return self._read(asked, method, url, content, again=False)

    def _write_once(
        self, asked: Asked, method: str, url: str, content: Mapping[str, Any]
    ) -> Answer:
        timeout = (self._target.connect_timeout, self._target.write_timeout)
        kept = time.monotonic() - self._written < REUSED_WITHIN
        if not kept:
            self._writes.close()
        self._written = float("-inf")
        self._context.begin()
        try:
            self._context.allow(sum(timeout) + LONGEST_END)
            answer = _exchange(self._writes, method, url, timeout, content)
        except _NETWORK_ERRORS as error:
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


class _Adapter(HTTPAdapter):
    """A requests adapter whose connections verify certificates with our context only."""

    def __init__(self, context: TrustContext) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=PARALLEL_READS, max_retries=0)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing: requests would add its own bundle of CAs to the trusted ones here."""


def _session(target: Target, context: TrustContext) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.adapters.clear()
    session.mount("https://", _Adapter(context))
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers["Accept"] = JsonSerializer().get_accept_types()
    session.headers["User-Agent"] = f"pvectl/{__version__}"
    if target.proxy is not None:
        session.proxies["https"] = target.proxy
    return session


def _exchange(
    session: requests.Session,
    method: str,
    url: str,
    timeout: tuple[float, float],
    content: Mapping[str, Any],
) -> Answer:
    """Raises TooLarge before an answer fills the memory, which takes a thousandth of it packed."""
    prepared = requests.PreparedRequest()
    prepared.prepare(method=method, url=url, headers=session.headers, **content)
    adapter = session.get_adapter(url)  # neither redirects nor cookies, which the session adds
    with adapter.send(prepared, stream=True, timeout=timeout, proxies=session.proxies) as response:
        body = bytearray()
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > LARGEST:
                raise TooLarge
        date = response.headers.get("Date") or ""
        return Answer(response.status_code, response.reason or "", bytes(body), date)


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
