"""One-time codes of a second factor (RFC 6238), from a Base32 key or its otpauth URI."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

_NOT_A_URI = "not an otpauth URI of a one-time password by time"
_ALGORITHMS = ("sha1", "sha256", "sha512")


class Totp(NamedTuple):
    """`step` in seconds; the defaults are those of every authenticator and of Proxmox VE."""

    key: bytes
    digits: int = 6
    step: int = 30
    algorithm: str = "sha1"

    def __repr__(self) -> str:
        return "Totp(...)"

    def counter(self, at: float) -> int:
        """The number of the period that a time in Unix seconds is in."""
        return int(at) // self.step

    def code(self, counter: int) -> str:
        """The code of one period (RFC 4226, 5.3)."""
        digest = hmac.digest(self.key, counter.to_bytes(8, "big"), self.algorithm)
        start = digest[-1] & 15
        number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
        return f"{number % 10**self.digits:0{self.digits}}"


def parse_totp(text: str) -> Totp:
    """A key in Base32, ignoring spaces and case, or `otpauth://totp/...?secret=KEY`.

    Raises ValueError, without the text, for anything else.
    """
    text = text.strip()
    if not text.lower().startswith("otpauth:"):
        return Totp(_key(text))
    try:
        uri = urlsplit(text)
    except ValueError:
        raise ValueError(_NOT_A_URI) from None
    given = {name.lower(): values[-1] for name, values in parse_qs(uri.query).items()}
    algorithm = given.get("algorithm", "sha1").lower()
    digits, step = given.get("digits", "6"), given.get("period", given.get("step", "30"))
    known = algorithm in _ALGORITHMS and digits in ("6", "7", "8")
    if uri.netloc.lower() != "totp" or not known or not re.fullmatch(r"[1-9][0-9]{0,3}", step):
        raise ValueError(_NOT_A_URI)
    return Totp(_key(given.get("secret", "")), int(digits), int(step), algorithm)


def _key(text: str) -> bytes:
    plain = re.sub(r"[\s-]", "", text).rstrip("=").upper()
    try:
        found = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except (binascii.Error, ValueError):
        found = b""
    if not found:
        raise ValueError("not a key in Base32")
    return found
