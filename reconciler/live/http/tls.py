"""Decide which certificate is trusted, inside the handshake: before any byte of a request is
sent.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

from reconciler.errors import CertificateNotTrusted, FilesInvalid
from reconciler.live.http.network_errors import TooLate
from reconciler.model.target import Target

ON_THE_NODE = (
    "on the node itself, `openssl x509 -noout -fingerprint -sha256 -in /etc/pve/local/pve-ssl.pem`"
    " (or pveproxy-ssl.pem in that folder, where it exists) prints the expected one"
)
CA_ON_THE_NODE = "the cluster's own CA is /etc/pve/pve-root-ca.pem on any node"

_WRONG_NAME, _WRONG_ADDRESS = 62, 64
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


class _Bounded(ssl.SSLSocket):
    """A connection with a deadline for the whole answer: socket time-outs restart with every
    byte.
    """

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        context, patience = self.context, self.gettimeout()
        left = context.left() if isinstance(context, TrustContext) else float("inf")
        if left <= 0:
            raise TooLate
        if left < (float("inf") if patience is None else patience):
            self.settimeout(left)
        return super().recv_into(buffer, nbytes, flags)


class TrustContext(ssl.SSLContext):
    """A TLS context that refuses every certificate but the trusted ones, and explains why.

    With `pins` (SHA-256 of the leaf certificate) the pin alone decides, otherwise the loaded CAs
    and the host name. `trusted_here` tells whether a handshake succeeded in this thread since
    `begin`; without one, no part of a request can have been sent over a new connection.
    """

    sslsocket_class = _Bounded
    endpoint: str
    pins: frozenset[str]
    direct: bool
    progress: threading.local

    def begin(self) -> None:
        """Forget the earlier handshakes of this thread."""
        self.progress.trusted = False

    def allow(self, seconds: float) -> None:
        """Set this thread's deadline for what it receives from now on."""
        self.progress.until = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until that deadline."""
        return float(getattr(self.progress, "until", float("inf")) - time.monotonic())

    @property
    def trusted_here(self) -> bool:
        return bool(getattr(self.progress, "trusted", False))

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Do the handshake, then check the pin; raises `CertificateNotTrusted`."""
        peer = sock.getpeername()[:2]
        name = str(kwargs.get("server_hostname") or "").strip("[]") or None
        kwargs["server_hostname"] = name
        try:
            tls = super().wrap_socket(sock, *args, **kwargs)
        except ssl.SSLCertVerificationError as error:
            presented = presented_fingerprint(peer, name) if self.direct else None
            raise _not_verified(self.endpoint, error, presented) from None
        if self.pins:
            presented = fingerprint_of(tls.getpeercert(binary_form=True) or b"")
            if presented not in self.pins:
                tls.close()
                raise _not_pinned(self.endpoint, self.pins, presented)
        self.progress.trusted = True
        return tls

    def wrap_bio(self, *_args: Any, **_kwargs: Any) -> ssl.SSLObject:
        """Refuse TLS inside TLS, which would bypass the pin."""
        raise CertificateNotTrusted(
            f"{self.endpoint} cannot be reached through a TLS proxy",
            hint="set the proxy as http://host:port; the connection to the node is TLS either way",
        )


def trust_context(target: Target, endpoint: str) -> TrustContext:
    """The trust of `target` at `endpoint`; raises `FilesInvalid` for an unreadable CA file.

    The environment is ignored: SSL_CERT_FILE and SSL_CERT_DIR have no effect.
    """
    context = TrustContext(ssl.PROTOCOL_TLS_CLIENT)
    context.endpoint = endpoint
    context.pins = frozenset(target.fingerprint)
    context.direct = target.proxy is None
    context.progress = threading.local()
    if target.client_cert is not None:
        _show_certificate(context, target.client_cert, target.client_key)
    if context.pins:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif target.ca_file is not None:
        _load_ca_file(context, target.ca_file)
    else:
        _load_system_store(context)
    return context


def fingerprint_of(certificate: bytes) -> str:
    """SHA-256 of a DER certificate as `AB:CD:...`."""
    return ":".join(f"{byte:02X}" for byte in hashlib.sha256(certificate).digest())


def presented_fingerprint(peer: tuple[str, int], name: str | None) -> str | None:
    """The fingerprint that `peer` presents, from a handshake only; None where there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(peer, timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            return fingerprint_of(tls.getpeercert(binary_form=True) or b"")
    except OSError:
        return None


def _load_ca_file(context: TrustContext, ca_file: str) -> None:
    try:
        context.load_verify_locations(cadata=Path(ca_file).read_text(encoding="ascii"))
    except (OSError, UnicodeError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not PEM"
        raise FilesInvalid(
            f"ca_file {ca_file} cannot be used: {reason}",
            hint=f"it holds certificates in PEM form; {CA_ON_THE_NODE}",
        ) from None


def _show_certificate(context: TrustContext, certificate: str, key: str | None) -> None:
    """The certificate that the server is shown if it asks for one. An encrypted key is refused, for
    OpenSSL would ask for its password on the terminal."""
    files = f"client_cert {certificate}" + (f" and client_key {key}" if key else "")
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except OSError as error:
        reason = error.strerror or ""
        if isinstance(error, ssl.SSLError):
            mismatch = "MISMATCH" in (error.reason or "")
            unusable = "not PEM, or encrypted" if key else "not PEM, without a key, or encrypted"
            reason = "the key is not of this certificate" if mismatch else unusable
        raise FilesInvalid(
            f"{files} cannot be used: {reason}",
            hint="they hold the certificate, with those of intermediate CAs, and its private key "
            "without a password, in PEM form; both may be in one file",
        ) from None


def _load_system_store(context: TrustContext) -> None:
    if sys.platform == "win32":
        context.load_default_certs()
        return
    # load_default_certs() would follow SSL_CERT_FILE and SSL_CERT_DIR
    paths = ssl.get_default_verify_paths()
    cafile, capath = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    if cafile.is_file():
        context.load_verify_locations(cafile=str(cafile))
    if capath.is_dir():
        context.load_verify_locations(capath=str(capath))


def _not_pinned(endpoint: str, pins: frozenset[str], presented: str) -> CertificateNotTrusted:
    expected = " or ".join(sorted(pins))
    return CertificateNotTrusted(
        f"{endpoint} presents a certificate with the SHA-256 fingerprint {presented},"
        f" expected is {expected}; nothing was sent",
        hint=f"{ON_THE_NODE}: put it into `fingerprint` of [target] if the certificate was"
        " renewed; if it differs from the one presented, the connection is being intercepted",
    )


def _not_verified(
    endpoint: str, error: ssl.SSLCertVerificationError, presented: str | None
) -> CertificateNotTrusted:
    shown = f" (SHA-256 fingerprint {presented})" if presented else ""
    reason = error.verify_message.rstrip(".")
    if error.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
        hint = "use a host name in `endpoint` that the certificate contains, or set `fingerprint`"
    else:
        hint = f"set `ca_file` in [target]: {CA_ON_THE_NODE}; or set `fingerprint`"
    return CertificateNotTrusted(
        f"the certificate of {endpoint}{shown} is not trusted: {reason}; nothing was sent",
        hint=f"{hint}: {ON_THE_NODE}",
    )
