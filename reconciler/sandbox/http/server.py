"""HTTPS on loopback; the only import of cheroot."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any

from cheroot.server import Gateway, HTTPServer
from cheroot.ssl.builtin import BuiltinSSLAdapter

from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.http.wire import BODY_LIMIT, Answer, Request, respond
from reconciler.sandbox.keys import fingerprint, server_certificate
from reconciler.sandbox.settings import Settings

ADDRESS = "127.0.0.1"
_THREADS = 16
"""Worker threads: more than a client has connections, since some may be delaying an answer."""
_WAITING = 128
"""Connections waiting to be accepted; any more would be retried after a second."""
_DRAINED = 16 * BODY_LIMIT
"""Bytes of a rejected body that are still read, so that the client sees the answer."""


class Sandbox:
    """A server bound to a port of the loopback interface; `serve` answers until `stop`."""

    def __init__(
        self, folder: Path, port: int = 0, settings: Settings | None = None, version: str = ""
    ) -> None:
        self.settings = settings if settings is not None else Settings()
        self.store = Store(folder, self.settings.lock_wait, self.settings.task_time, version)
        certificate, key = server_certificate(self.store)
        self.fingerprint = fingerprint(certificate)
        self.ca_file = self.store.folder / "pve-root-ca.pem"
        self._server = _Server((ADDRESS, port), gateway=_Gateway, minthreads=_THREADS)
        self._server.timeout = 30
        self._server.sandbox = self
        self._server.ssl_adapter = BuiltinSSLAdapter(str(certificate), str(key))
        self._server.prepare()
        self._one_write = threading.Lock()

    @property
    def port(self) -> int:
        number: int = self._server.bind_addr[1]
        return number

    @property
    def url(self) -> str:
        return f"https://{ADDRESS}:{self.port}"

    def serve(self) -> None:
        """Until `stop`, or a KeyboardInterrupt, which is passed on to the caller."""
        self._server.serve()

    def stop(self) -> None:
        self._server.stop()

    def answer(self, request: Request) -> Answer:
        """Delay the answer, if the settings set a minimum time."""
        if not (self.settings.request_time or self.settings.entry_time):
            return self._respond(request)
        with nullcontext() if request.method == "GET" else self._one_write:
            begin = time.monotonic()
            takes = self.settings.request_time + self.settings.entry_time * self._entries()
            answer = self._respond(request)
            time.sleep(max(0.0, begin + takes - time.monotonic()))
        return answer

    def _respond(self, request: Request) -> Answer:
        return respond(request, lambda actor: Context(self.store, actor, self.now))

    def now(self) -> float:
        """Unix seconds, by the clock of the nodes."""
        return time.time() + self.settings.clock_ahead

    def _entries(self) -> int:
        nodes = self.store.users().acl.values()
        return sum(len(r) for node in nodes for _, held in node.kinds() for r in held.values())


@contextmanager
def running(folder: Path, port: int = 0, settings: Settings | None = None) -> Iterator[Sandbox]:
    """A sandbox served by a thread of this process; stopped at the end."""
    sandbox = Sandbox(folder, port, settings)
    thread = threading.Thread(target=sandbox.serve, name="sandbox", daemon=True)
    thread.start()
    try:
        yield sandbox
    finally:
        sandbox.stop()
        thread.join()


class _Server(HTTPServer):
    sandbox: Sandbox
    request_queue_size = _WAITING

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:  # noqa: FBT001, FBT002 - cheroot's
        """Logs nothing: clients that hang up or do not speak TLS are not worth a line."""


class _Gateway(Gateway):
    """Writes the whole answer itself: PVE's reason phrases, and no Content-Length where PVE sends
    none."""

    def respond(self) -> None:
        request = self.req
        sandbox = request.server.sandbox
        answer = sandbox.answer(_request(request))
        if answer.denied:
            time.sleep(sandbox.settings.auth_delay)
        if answer.status >= 400:
            request.close_connection = True
            _drain(request)
        head = _head(answer, sandbox.now(), close=request.close_connection)
        request.sent_headers = True
        request.chunked_write = False
        request.conn.wfile.write(head + answer.body)


def _request(request: Any) -> Request:
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in request.inheaders.items()
    }
    length = headers.get("content-length", "")

    def body() -> bytes:
        data: bytes = request.rfile.read()
        return data

    return Request(
        method=request.method.decode("latin-1"),
        target=request.uri.decode("latin-1"),
        headers=headers,
        length=int(length) if length.isdigit() else 0,
        body=body,
    )


def _drain(request: Any) -> None:
    """Read what the client is still sending, unless that is too much."""
    remaining = getattr(request.rfile, "remaining", _DRAINED if request.chunked_read else 0)
    if 0 < remaining <= _DRAINED:
        with suppress(ValueError, OSError):  # a body that breaks off or is badly chunked
            request.rfile.read(remaining)


def _head(answer: Answer, now: float, *, close: bool) -> bytes:
    date = formatdate(now, usegmt=True)
    lines = [
        f"HTTP/1.1 {answer.status} {answer.reason}",
        "Cache-Control: max-age=0",
        f"Connection: {'close' if close else 'Keep-Alive'}",
        f"Date: {date}",
        "Pragma: no-cache",
        "Server: pve-api-daemon/3.0",
        f"Expires: {date}",
    ]
    if answer.body:
        lines.insert(5, f"Content-Length: {len(answer.body)}")
        lines.insert(6, "Content-Type: application/json;charset=UTF-8")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
