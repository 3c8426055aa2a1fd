"""A listener in front of a TCP server, which keeps every byte that goes either way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Tap:
    """`port` leads to the server; `heard` is what was sent to it, and what it answered."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._lock = threading.Lock()
        self._heard = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def heard(self) -> bytes:
        with self._lock:
            return bytes(self._heard)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(here,), daemon=True).start()

    def _connect(self, here: socket.socket) -> None:
        with here, socket.create_connection(self._to) as there:
            back = threading.Thread(target=self._copy, args=(there, here), daemon=True)
            back.start()
            self._copy(here, there)
            back.join()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                with self._lock:
                    self._heard += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def tapped(host: str, port: int) -> Iterator[Tap]:
    """A tap, closed at the end."""
    tap = Tap(host, port)
    try:
        yield tap
    finally:
        tap.close()
