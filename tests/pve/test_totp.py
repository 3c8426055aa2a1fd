"""One-time codes against the test vectors of RFC 6238, appendix B."""

from __future__ import annotations

import base64

import pytest

from reconciler.pve.totp import Totp, parse_totp

KEYS = {
    name: (b"1234567890" * 7)[:size]
    for name, size in (("sha1", 20), ("sha256", 32), ("sha512", 64))
}
VECTORS = {
    59: ("94287082", "46119246", "90693936"),
    1111111109: ("07081804", "68084774", "25091201"),
    1111111111: ("14050471", "67062674", "99943326"),
    1234567890: ("89005924", "91819424", "93441116"),
    2000000000: ("69279037", "90698825", "38618901"),
    20000000000: ("65353130", "77737706", "47863826"),
}


@pytest.mark.parametrize("at", VECTORS)
def test_the_codes_of_the_standard(at: int) -> None:
    found = [Totp(key, 8, 30, name) for name, key in KEYS.items()]
    assert tuple(one.code(one.counter(at)) for one in found) == VECTORS[at]


def test_a_key_and_a_uri_say_the_same() -> None:
    key = base64.b32encode(KEYS["sha1"]).decode()
    spaced = " ".join(key[at : at + 4].lower() for at in range(0, len(key), 4))
    uri = f"otpauth://totp/PVE:anna%40pve?secret={key}&issuer=PVE&digits=6&period=30&algorithm=SHA1"
    assert parse_totp(key) == parse_totp(spaced) == parse_totp(uri) == Totp(KEYS["sha1"])
    assert parse_totp(
        uri.replace("SHA1", "SHA512").replace("=30", "=60").replace("=6&", "=8&")
    ) == (
        KEYS["sha1"],
        8,
        60,
        "sha512",
    )
    assert KEYS["sha1"].decode() not in repr(parse_totp(key))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base32!",
        "otpauth://hotp/x?secret=GEZDGNBV",
        "otpauth://totp/x",
        "otpauth://totp/x?secret=GEZDGNBV&digits=9",
        "otpauth://totp/x?secret=GEZDGNBV&period=0",
        "otpauth://totp/x?secret=GEZDGNBV&algorithm=md5",
        "otpauth://[",
    ],
)
def test_anything_else_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a") as caught:
        parse_totp(text)
    assert not text or text not in str(caught.value)
