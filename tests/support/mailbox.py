"""A mail server and a web hook on loopback that keep what they get."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, StreamRequestHandler, ThreadingTCPServer
from typing import Any


class Mailbox:
    """`url`: as apprise knows it; `messages`: what has arrived."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        box = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                self._say("220 ready")
                while line := self.rfile.readline():
                    verb = line[:4].upper()
                    if verb == b"DATA":
                        self._say("354 go on")
                        box.take(b"".join(iter(self.rfile.readline, b".\r\n")))
                    self._say("221 bye" if verb == b"QUIT" else "250 ok")
                    if verb == b"QUIT":
                        return

            def _say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self.server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        port = self.server.server_address[1]
        self.url = f"mailto://127.0.0.1:{port}?from=pvectl@example.com&to=ops@example.com"

    def take(self, content: bytes) -> None:
        found = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        self.messages.append(found)

    @property
    def texts(self) -> list[str]:
        """Subject and body of each message."""
        return [f"{one['subject']}\n{_body(one)}" for one in self.messages]


def _body(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


class Hook:
    """`url`: as apprise knows it, with `secret` in it; `calls`: what has arrived. While `broken`
    it answers 500."""

    def __init__(self, secret: str) -> None:
        self.calls: list[dict[str, Any]] = []
        self.broken = False
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if not hook.broken:
                    hook.calls.append(json.loads(content))
                self.send_response(500 if hook.broken else 200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://u:{secret}@127.0.0.1:{self.server.server_port}/"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server."""
    made = Mailbox()
    with _served(made.server):
        yield made


@contextmanager
def hook(secret: str) -> Iterator[Hook]:
    """A web hook."""
    made = Hook(secret)
    with _served(made.server):
        yield made


@contextmanager
def _served(server: BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
