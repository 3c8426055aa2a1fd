"""Text as PVE's Perl code handles it: what counts as empty, and its encoding in files."""

from __future__ import annotations

import re
from typing import TypeGuard
from urllib.parse import unquote_to_bytes

_ESCAPED = re.compile(rb"[^\x20-\x24\x26-\x39\x3b-\x7e]")


def true(value: str | None) -> TypeGuard[str]:
    """Perl's truth of a string: absent, empty and `0` are false."""
    return value is not None and value not in ("", "0")


def encode_text(text: str) -> str:
    """Percent-encode the UTF-8 bytes of everything but 0x20-0x7e, and `%` and `:`."""
    raw = text.encode("utf-8", "replace")
    return _ESCAPED.sub(lambda found: b"%%%02X" % ord(found[0]), raw).decode("ascii")


def decode_text(text: str) -> str:
    """The inverse; invalid UTF-8 becomes U+FFFD."""
    return unquote_to_bytes(text).decode("utf-8", "replace")


def file_text(raw: bytes) -> str:
    """The text of a file. One that is not UTF-8 is read as Latin-1, so that nothing is lost."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def file_bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def number_text(value: int | None) -> str:
    """An integer as Perl prints it: None as 0, more than 64 bits with an exponent."""
    if value is None:
        return "0"
    return str(value) if value < 2**64 else f"{float(value):.15g}"
