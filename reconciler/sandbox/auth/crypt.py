"""SHA-256 crypt (`$5$SALT$HASH`), the form in which PVE stores passwords.

The standard library drops its `crypt` module; this is Ulrich Drepper's published algorithm with the
default of 5,000 rounds.
"""

from __future__ import annotations

import hashlib
import secrets

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS = 5000


def hashed(password: str, salt: str = "") -> str:
    """A hash with a random salt of eight characters unless one is given."""
    salt = salt or "".join(secrets.choice(_ALPHABET) for _ in range(8))
    return f"$5${salt}${_encode(_digest(password.encode(), salt.encode()[:16]))}"


def matches(password: str, stored: str) -> bool:
    """Whether a stored hash is of this password; False for other kinds of hashes."""
    parts = stored.split("$")
    if len(parts) != 4 or parts[1] != "5":
        return False
    return secrets.compare_digest(hashed(password, parts[2]).encode(), stored.encode())


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _digest(key: bytes, salt: bytes) -> bytes:
    inner = _repeated(_sha(key, salt, key), len(key))
    mixed = [key, salt, inner]
    length = len(key)
    while length:
        mixed.append(_sha(key, salt, key) if length & 1 else key)
        length >>= 1
    result = _sha(*mixed)
    p = _repeated(_sha(key * len(key)), len(key))
    s = _repeated(_sha(salt * (16 + result[0])), len(salt))
    for n in range(_ROUNDS):
        parts = [p if n & 1 else result]
        if n % 3:
            parts.append(s)
        if n % 7:
            parts.append(p)
        parts.append(result if n & 1 else p)
        result = _sha(*parts)
    return result


def _repeated(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]


def _encode(digest: bytes) -> str:
    """Three bytes at a time, in the order that the algorithm prescribes."""
    text = ""
    a, b, c = 0, 10, 20
    for _ in range(10):
        text += _six(digest[a] << 16 | digest[b] << 8 | digest[c], 4)
        a, b, c = c + 1, a + 1, b + 1
    return text + _six(digest[31] << 8 | digest[30], 3)


def _six(value: int, count: int) -> str:
    return "".join(_ALPHABET[value >> 6 * place & 63] for place in range(count))
