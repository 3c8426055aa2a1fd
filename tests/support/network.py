"""A small HTTPS server for tests: it records every byte of a request and answers as it is told."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Received(NamedTuple):
    """A request as it arrived; `target` is raw."""

    method: str
    target: str
    headers: dict[str, str]
    body: str


class Reset(NamedTuple):
    """Break the connection with a TCP reset instead of an answer."""


class Hang(NamedTuple):
    """Never answer."""


class Trickle(NamedTuple):
    """Send a few bytes at a time, `pause` seconds apart."""

    data: bytes
    pause: float


Reply = bytes | Reset | Hang | Trickle | None
Behaviour = Callable[[Received], Reply]


def answer(
    data: Any = None,
    status: int = 200,
    reason: str = "OK",
    *,
    errors: dict[str, str] | None = None,
    message: str | None = None,
) -> bytes:
    """An answer as Proxmox VE gives it: errors close the connection."""
    body: dict[str, Any] = {"data": data}
    if errors is not None:
        body["errors"] = errors
    if message is not None:
        body["message"] = message
    return raw_answer(status, reason, "application/json;charset=UTF-8", json.dumps(body).encode())


def raw_answer(status: int, reason: str, kind: str, body: bytes, *more: str) -> bytes:
    connection = "close" if status >= 400 else "Keep-Alive"
    head = [f"HTTP/1.1 {status} {reason}", f"Content-Type: {kind}", f"Connection: {connection}"]
    lines = [*head, f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


class Node:
    """An HTTPS server on loopback; `behave` decides the answer (None: close without one).

    `client_ca`: it asks for a certificate of this CA, as a reverse proxy may.
    """

    def __init__(
        self,
        certificate: Path,
        behave: Behaviour = lambda _: answer("hello"),
        client_ca: Path | None = None,
    ) -> None:
        self.behave = behave
        self.requests: list[Received] = []
        self.raw = b""
        self.connections = 0
        self._stopped = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        if client_ca is not None:
            self._context.load_verify_locations(client_ca)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def show(self, certificate: Path) -> None:
        """Show another certificate to connections from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._context = context

    def stop(self) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=[plain], daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as tls:
            tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with tls.makefile("rb") as incoming:
                while self._one_request(tls, incoming):
                    pass

    def _one_request(self, tls: ssl.SSLSocket, incoming: Any) -> bool:
        lines = []
        while (line := incoming.readline()).strip():
            self.raw += line
            lines.append(line.decode().strip())
        if not lines:
            return False
        headers = {}
        for text in lines[1:]:
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        body = incoming.read(int(headers.get("content-length", "0")))
        self.raw += body
        method, target, _ = lines[0].split(" ")
        received = Received(method, target, headers, body.decode())
        self.requests.append(received)
        return self._reply(tls, self.behave(received))

    def _reply(self, tls: ssl.SSLSocket, reply: Reply) -> bool:
        if reply is None:
            return False
        if isinstance(reply, Hang):
            self._stopped.wait(30)
            return False
        if isinstance(reply, Trickle):
            for start in range(0, len(reply.data), 10):
                tls.sendall(reply.data[start : start + 10])
                self._stopped.wait(reply.pause)
            return False
        if isinstance(reply, Reset):
            tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        tls.sendall(reply)
        return b"Connection: close" not in reply


class Proxy:
    """An HTTP proxy on loopback that tunnels, or refuses to; one that `echoes` repeats in its
    refusal what it was sent."""

    def __init__(self, *, refuses: bool = False, echoes: bool = False) -> None:
        self.asked: list[str] = []
        self._refuses = refuses or echoes
        self._echoes = echoes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as incoming:
            first = incoming.readline().decode().strip()
            headers = []
            while line := incoming.readline().strip():
                headers.append(line)
            self.asked.append(first)
            if self._refuses:
                why = b" ".join([b"Forbidden", *(headers if self._echoes else [])])
                client.sendall(b"HTTP/1.1 403 %s\r\nContent-Length: 0\r\n\r\n" % why)
                return
            host, _, port = first.split(" ")[1].rpartition(":")
            with socket.create_connection((host, int(port))) as upstream:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pump, args=[upstream, client], daemon=True)
                back.start()
                _pump(client, upstream)
                back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class Certificate(NamedTuple):
    """`pem` holds key and certificate for a server; `ca` what a client needs to trust it."""

    pem: Path
    ca: Path
    fingerprint: str


def make_certificate(folder: Path, host: str) -> Certificate:
    """A CA and a certificate that it signed for `host`, a name or an address."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])

    def builder(name: x509.Name, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    authority = builder(issuer, ca_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    try:
        name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        name = x509.DNSName(host)
    leaf = builder(subject, key.public_key()).add_extension(
        x509.SubjectAlternativeName([name]), critical=False
    )
    ca, signed = authority.sign(ca_key, hashes.SHA256()), leaf.sign(ca_key, hashes.SHA256())
    ca_file, pem_file = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    pem_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return Certificate(pem_file, ca_file, signed.fingerprint(hashes.SHA256()).hex(":").upper())


def unused_port() -> int:
    """A port on loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
