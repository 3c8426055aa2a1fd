"""HTTPS connections to one endpoint, kept alive and used again.

On the standard library's own client: each request costs half of what it costs with more layers on
top, and a run of many small requests is as fast as its client. Neither redirects nor cookies are
followed, and nothing is taken from the environment.
"""

from __future__ import annotations

import base64
import select
import zlib
from collections import deque
from collections.abc import Mapping
from http.client import HTTPException, HTTPSConnection, IncompleteRead
from threading import Semaphore
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from reconciler.live.http.head import QuickResponse
from reconciler.live.http.network_errors import ProxyUnreachable, TooLarge
from reconciler.live.http.response import Answer
from reconciler.live.http.tls import TrustContext

LARGEST = 64 * 1024 * 1024
"""Bytes of an answer, unpacked: many times the answer of the largest clusters."""

NETWORK_ERRORS = (HTTPException, OSError, zlib.error)

_PIECE = 64 * 1024
_PORT = 443
_GZIP = 31
"""Window bits of zlib for the format of gzip."""


class Outgoing(NamedTuple):
    """A request as it is sent; `body` is a form."""

    method: str
    target: str
    body: str | None
    headers: Mapping[str, str]


class Connections:
    """The connections to `endpoint` (https://host:port), through `proxy` (http://host:port) if
    there is one; for several threads, of which `most` have a request under way.
    """

    def __init__(
        self, endpoint: str, proxy: str | None, context: TrustContext, most: int = 1
    ) -> None:
        place = urlsplit(endpoint)
        self._host, self._port = place.hostname or "", place.port or _PORT
        self._proxy = urlsplit(proxy) if proxy is not None else None
        self._context = context
        self._idle: deque[_Connection] = deque()
        self._free = Semaphore(most)
        self._late = object()
        """Another one after each request that had no answer in time."""

    def exchange(self, outgoing: Outgoing, timeout: tuple[float, float]) -> Answer:
        """Send one request and read its answer; `timeout`: seconds to connect, and to wait for
        data.

        Raises `NETWORK_ERRORS`, and TooLarge before an answer fills the memory, which takes a
        thousandth of it packed. A request that waits for others is not sent if one of them had no
        answer in time: the server would let each of them wait as long.
        """
        before = self._late
        with self._free:
            if self._late is not before:
                raise TimeoutError
            try:
                return self._exchange(outgoing, timeout)
            except TimeoutError:
                self._late = object()
                raise

    def _exchange(self, outgoing: Outgoing, timeout: tuple[float, float]) -> Answer:
        connection = self._take() or self._open(timeout[0])
        try:
            connection.sock.settimeout(timeout[1])
            connection.request(*outgoing)
            answer = _read(cast("QuickResponse", connection.getresponse()))
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close those that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> _Connection | None:
        """The one that was used last, unless the server has closed it meanwhile."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was faster
                return None
            if not _is_readable(connection):
                return connection
            connection.close()
        return None

    def _open(self, timeout: float) -> _Connection:
        host, port = self._host, self._port
        if self._proxy is not None:
            host, port = self._proxy.hostname or "", self._proxy.port or _PORT
        connection = _Connection(host, port, timeout=timeout, context=self._context)
        if self._proxy is not None:
            inside = f"[{self._host}]" if ":" in self._host else self._host
            connection.set_tunnel(inside, self._port, self._proxy_headers())
        try:
            connection.connect()
        except BaseException as error:
            unconnected = connection.sock is None
            connection.close()
            if self._proxy is not None and unconnected and isinstance(error, OSError):
                raise ProxyUnreachable from error
            raise
        return connection

    def _proxy_headers(self) -> dict[str, str]:
        user, password = (unquote(part or "") for part in self._credentials())
        if not user:
            return {}
        packed = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {packed}"}

    def _credentials(self) -> tuple[str | None, str | None]:
        return (self._proxy.username, self._proxy.password) if self._proxy else (None, None)


class _Connection(HTTPSConnection):
    """Sends head and body of a request in one piece, so that the server wakes up once."""

    response_class = QuickResponse

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pieces: list[bytes] | None = None

    def send(self, data: Any) -> None:
        if self._pieces is None:
            super().send(data)
        else:
            self._pieces.append(data)

    def request(self, *args: Any, **kwargs: Any) -> None:
        pieces: list[bytes] = []
        self._pieces = pieces
        try:
            super().request(*args, **kwargs)
        finally:
            self._pieces = None
        super().send(b"".join(pieces))


def _is_readable(connection: _Connection) -> bool:
    """Whether something unexpected arrived: usually the end of the connection; or the rest of what
    the server sent after the last answer, which would pass for the next one.
    """
    if connection.sock.pending():  # decrypted already, so poll does not see it
        return True
    waiting = select.poll()
    waiting.register(connection.sock, select.POLLIN)
    return bool(waiting.poll(0))


def _read(response: QuickResponse) -> Answer:
    packed = response.fields.get("content-encoding") == "gzip"
    unpack = zlib.decompressobj(_GZIP) if packed else None
    body = bytearray()
    while piece := response.read(_PIECE):
        while piece:
            body += unpack.decompress(piece, _PIECE) if unpack else piece
            piece = unpack.unconsumed_tail if unpack else b""
            if len(body) > LARGEST:
                raise TooLarge
    if response.length:  # it ended before all of it was there
        raise IncompleteRead(b"", response.length)
    date = response.fields.get("date", "")
    return Answer(response.status, response.reason, bytes(body), date)
