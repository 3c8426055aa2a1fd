"""The sandbox's keys and certificates, in PVE's places; the only import of cryptography.

A CA in `pve-root-ca.pem`, the server's certificate in `nodes/NODE/pve-ssl.{pem,key}`, the key that
signs tickets in `priv/authkey.key`. All are generated when first needed.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.sandbox.config.store import Store

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_LIFETIME = timedelta(days=365)
_RENEWED_AFTER = timedelta(days=300)
_AUTHKEY = "priv/authkey.key"


def server_certificate(store: Store) -> tuple[Path, Path]:
    """Paths of certificate and private key; generated if missing or about to expire."""
    folder = f"nodes/{store.node}"
    certificate, key = store.folder / folder / "pve-ssl.pem", store.folder / folder / "pve-ssl.key"
    ca = store.folder / "pve-root-ca.pem"
    with store.lock("pve-ssl"):
        if not (key.exists() and ca.exists() and _recent(certificate)):
            _make_certificates(store, folder)
    return certificate, key


def fingerprint(certificate: Path) -> str:
    """SHA-256 of a PEM certificate: 32 upper-case bytes with colons between, as PVE shows it."""
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii"))
    return _colons(hashlib.sha256(der).hexdigest())


def sign(store: Store, text: str) -> bytes:
    """The ticket signature of a string."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    return _auth_key(store).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())


def verify(store: Store, text: str, signature: bytes) -> bool:
    """Whether this is `sign`'s signature of this text."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    key = _auth_key(store).public_key()
    try:
        key.verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def auth_secret(store: Store) -> bytes:
    """The keys of tickets and CSRF tokens; generated at the first login."""
    _auth_key(store)
    return store.read(_AUTHKEY)


def _colons(digits: str) -> str:
    text = digits.upper()
    return ":".join(text[place : place + 2] for place in range(0, len(text), 2))


def _recent(certificate: Path) -> bool:
    """Judged by the age of the file: reading the certificate would load cryptography each time."""
    if not certificate.exists():
        return False
    return time.time() - certificate.stat().st_mtime < _RENEWED_AFTER.total_seconds()


def _auth_key(store: Store) -> RSAPrivateKey:
    if not store.read(_AUTHKEY):
        with store.lock("authkey"):
            if not store.read(_AUTHKEY):
                _make_auth_key(store)
    return store.parsed(_AUTHKEY, _load_key)


def _load_key(raw: bytes) -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(raw, None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("the key that signs tickets is not an RSA key")
    return key


def _make_auth_key(store: Store) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    store.write("authkey.pub", public)
    store.write(_AUTHKEY, _pem(key))


def _pem(key: EllipticCurvePrivateKey | RSAPrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _make_certificates(store: Store, folder: str) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("pvectl sandbox CA", ca_key, None, ca_key, [])
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName(store.node)]
    names += [x509.IPAddress(IPv4Address("127.0.0.1")), x509.IPAddress(IPv6Address("::1"))]
    certificate = _certificate(store.node, key, ca, ca_key, names)
    encoding = serialization.Encoding.PEM
    store.write("pve-root-ca.pem", ca.public_bytes(encoding))
    store.write("priv/pve-root-ca.key", _pem(ca_key))
    store.write(f"{folder}/pve-ssl.key", _pem(key))
    store.write(f"{folder}/pve-ssl.pem", certificate.public_bytes(encoding))


def _certificate(
    name: str,
    key: EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: EllipticCurvePrivateKey,
    names: list[x509.GeneralName],
) -> x509.Certificate:
    """A certificate for `key`; without an issuer, a self-signed CA."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if issuer is None:
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
