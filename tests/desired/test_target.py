"""A target is in normal form, or says what is wrong with it, without showing it."""

from typing import Any

import pytest
from pydantic import ValidationError

from reconciler.model.target import Target

TOKEN: dict[str, Any] = {"token_id": "a@pve!x"}
PIN = "AB:" * 31 + "AB"


def target_of(endpoints: Any, **more: Any) -> Target:
    """As the settings file gives it."""
    return Target(endpoints=endpoints, **TOKEN, **more)


def test_endpoints_get_their_port():
    target = target_of("https://PVE01.example.com/")
    assert target.endpoints == ("https://pve01.example.com:8006",)
    assert target_of(["https://[::1]", "https://b:443"]).endpoints == (
        "https://[::1]:8006",
        "https://b:443",
    )


def test_a_sandbox_needs_nobody_who_asks():
    target = Target(endpoints=("sandbox:../lab",))
    assert (target.sandbox_folder, target.actor) == ("../lab", "")
    assert target_of("https://a").sandbox_folder is None


@pytest.mark.parametrize("text", ["ab" * 32, PIN.lower(), f"sha256 Fingerprint={PIN}"])
def test_fingerprints_may_be_written_in_any_usual_way(text):
    assert target_of("https://a", fingerprint=text).fingerprint == (PIN,)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"endpoints": "http://a"}, "https://host"),
        ({"endpoints": "pve01"}, "https://host"),
        ({"endpoints": "https://a/api2/json"}, "host and port only"),
        ({"endpoints": "https://a b"}, "not a valid host name"),
        ({"endpoints": ()}, "at least 1"),
        ({"endpoints": ("https://a", "https://A:8006")}, "twice"),
        ({"endpoints": ("https://a", "sandbox:x")}, "cannot be combined"),
        ({"token_id": None}, "token_id or username is missing"),
        ({"username": "root@pam"}, "not both"),
        ({"token_id": None, "username": "root"}, "realm"),
        ({"token_id": "root@pam"}, "user@realm!token"),
        ({"token_id": "a@pve!x=5e3f8a52"}, "user@realm!token"),
        ({"fingerprint": "AB:CD"}, "32 bytes"),
        ({"fingerprint": "AB" * 20}, "SHA-1"),
        ({"fingerprint": PIN, "ca_file": "ca.pem"}, "not both"),
        ({"proxy": "https://me:hunter22@p:3128"}, "http://host:port"),
        ({"proxy": "http://me:hunter22@p:99999"}, "port from 1 to 65535"),
        ({"proxy": "http://me:hunter22@p:0"}, "port from 1 to 65535"),
        ({"proxy": "http://me:hunter22@p:x"}, "port from 1 to 65535"),
        ({"proxy": "http://[::1"}, "http://host:port"),
        ({"proxy": "http://a\r\nHost: b"}, "http://host:port"),
        ({"endpoints": "https://a:99999"}, "port from 1 to 65535"),
        ({"endpoints": "https://[::1"}, "https://host"),
        ({"verify": False}, "Extra inputs"),
        ({"read_timeout": 0}, "greater than 0"),
    ],
)
def test_mistakes_are_explained(wrong, told):
    with pytest.raises(ValidationError, match=told) as caught:
        Target(**{"endpoints": "https://a", **TOKEN, **wrong})
    assert "hunter22" not in str(caught.value)


def test_the_proxys_password_is_not_shown():
    target = target_of("https://a", proxy="http://me:hunter22@proxy:3128")
    assert "hunter22" not in repr(target)
