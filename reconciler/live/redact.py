"""Mask secrets in logs, errors, recordings and journals."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from collections.abc import Iterable

from reconciler.pve.secret_params import SECRET_PARAMS

MASK = "REDACTED"

SHORTEST = 4
"""A secret shorter than this is not masked by its value: it would blank out ordinary words."""

_NAMES = "|".join(sorted((re.escape(name) for name in SECRET_PARAMS), key=len, reverse=True))

_PATTERNS = (
    # -----BEGIN PRIVATE KEY-----
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.S), MASK),
    # PVEAPIToken=user@realm!token=SECRET
    (re.compile(r"(PVEAPIToken=[^\s=\"']+=)[^\s\"',]+"), rf"\1{MASK}"),
    # tickets, plain or percent-encoded: PVE:root@pam:6B0507D8::SIGNATURE
    (re.compile(r"PVE[A-Z]*(?::|%3A)[^\s\"']*?(?:::|%3A%3A)[A-Za-z0-9+/=%]{20,}", re.I), MASK),
    # CSRF prevention tokens: 6B0507D8:SIGNATURE
    (re.compile(r"\b[0-9A-F]{8}(?::|%3A)[A-Za-z0-9+/%]{40,}=*"), MASK),
    # "password": "SECRET" and ('password', 'SECRET'), also within quoted text
    (
        re.compile(
            rf"""(\\*["'])({_NAMES})\1(\s*[:,]\s*)(\\*["'])((?:\\.|[^\\])*?)\4""", re.I | re.S
        ),
        rf"\1\2\1\3\4{MASK}\4",
    ),
    # password=SECRET in a form or a query
    (re.compile(rf"(?<![\w-])({_NAMES})=([^&;\s\"']+)", re.I), rf"\1={MASK}"),
    # scheme://user:SECRET@host
    (re.compile(r"(\w://[^\s/:@]*):[^\s/@]+@"), rf"\1:{MASK}@"),
)


def redact(text: str) -> str:
    """Mask what looks like a secret: tokens, tickets, keys, and the content of secret fields."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class Redactor(logging.Filter):
    """Masks what `redact` masks and the secrets added to it, in any encoding.

    It is also a logging filter, for libraries that log what they send.
    """

    def __init__(self, *secrets: str) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._forms: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.add(*secrets)

    def __repr__(self) -> str:
        return "Redactor()"

    def add(self, *secrets: str) -> None:
        """Also mask these secrets: plain, URL-encoded, escaped, base64 and hex."""
        new = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        with self._lock:
            if new <= self._forms:
                return
            self._forms |= new
            self._known = None

    def redact(self, text: str) -> str:
        """The text without any secret."""
        return redact(self.redact_known(text))

    def redact_known(self, text: str) -> str:
        """The text without the added secrets; what only looks like one is kept."""
        known = self._pattern() if self._forms else None
        return known.sub(MASK, text) if known is not None else text

    def _pattern(self) -> re.Pattern[str]:
        """The pattern of all secrets, compiled only when a string has to be masked."""
        with self._lock:
            if self._known is None:
                longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
                self._known = re.compile("|".join(longest_first))
            return self._known

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask a log record, its traceback included; nothing is dropped."""
        record.msg, record.args = self.redact(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.redact(record.exc_text)
        return True

    def watch(self, loggers: Iterable[str]) -> None:
        """Mask everything that these loggers log. A filter does not apply to child loggers."""
        for name in loggers:
            logging.getLogger(name).addFilter(self)

    def release(self, loggers: Iterable[str]) -> None:
        """The reverse of `watch`."""
        for name in loggers:
            logging.getLogger(name).removeFilter(self)


def _forms(secret: str) -> set[str]:
    """Regular expressions for all spellings of a secret."""
    raw = secret.encode()
    texts = {form for offset in range(3) for form in _base64_forms(raw, offset)}
    forms = {re.escape(text) for text in texts if len(text) >= SHORTEST}
    return forms | {"".join(map(_spellings, secret)), f"(?i:{raw.hex()})"}


def _spellings(sign: str) -> str:
    """One character as it is, percent-encoded (also twice), or escaped as JSON and Python do."""
    if sign.isascii() and sign.isalnum():
        return sign
    percent = "".join(f"%(?:25)*(?i:{byte:02X})" for byte in sign.encode())
    escaped = {json.dumps(sign)[1:-1], repr(sign)[1:-1], ascii(sign)[1:-1], f"&#{ord(sign)};"}
    written = "|".join(sorted(r"\\*" + re.escape(text) for text in escaped | {sign}))
    blank = r"|\+" if sign == " " else ""
    return f"(?:{percent}|{written}{blank})"


def _base64_forms(raw: bytes, offset: int) -> set[str]:
    """The bytes inside a longer base64 text in which `offset` bytes precede them.

    Characters that also depend on a neighbour are cut off at both ends.
    """
    padded = base64.b64encode(bytes(offset) + raw).decode()
    start = (0, 2, 3)[offset]
    loose_end = (0, 3, 2)[(offset + len(raw)) % 3]
    text = padded[start : len(padded) - loose_end]
    return {text, text.replace("+", "-").replace("/", "_")}
