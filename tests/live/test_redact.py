"""No secret survives masking, however it is written."""

import base64
import json
import logging
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.live.redact import Redactor, redact
from reconciler.pve.secret_params import is_secret_param

CANARY = "s3cr3t/+ ü'\"x9"
TICKET = "PVE:root@pam:6B0507D8::p148thSh+pikCKiYsFVjST+YNIsulbhw+kl7Ps7YRFPXtOd5Xau60YW=="

WRITTEN = {
    "plain": CANARY,
    "in a URL": quote(CANARY, safe=""),
    "in a form": quote_plus(CANARY),
    "in lower case": quote(CANARY, safe="").replace("%2F", "%2f"),
    "in JSON": json.dumps(CANARY)[1:-1],
    "in a repr": repr(CANARY)[1:-1],
    "in hex": CANARY.encode().hex(),
    "in base64": base64.b64encode(CANARY.encode()).decode(),
    "within base64": base64.b64encode(b"user:" + CANARY.encode() + b"!").decode(),
    "in base64 for URLs": base64.urlsafe_b64encode(b"u:" + CANARY.encode()).decode(),
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_a_known_secret_is_masked_in_every_spelling(text):
    masked = Redactor(CANARY).redact(f"before {text} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert "REDACTED" in masked
    assert text[4:-8] not in masked


@settings(max_examples=30)
@given(secret=st.text(min_size=8), around=st.text(max_size=4))
def test_base64_around_a_secret_does_not_show_it(secret, around):
    text = base64.b64encode((around + secret + around).encode()).decode()
    middle = text[8:-8]
    assert not middle or len(middle) < 6 or middle not in Redactor(secret).redact(text)


LOOKS_SECRET = {
    "token header": ("Authorization: PVEAPIToken=a@pve!x=5e3f8a52-9c1d", "5e3f8a52-9c1d"),
    "ticket": (f"cookie {TICKET}", "p148thSh"),
    "quoted ticket": (quote(TICKET, safe=""), "p148thSh"),
    "CSRF": ("6B0507D8:wMnUWD24puCPVdVlApQ8YSekUcZwc8KivwyoOtu4/0Q", "wMnUWD24"),
    "JSON": ('{"password": "a\\"b", "x": 1}', 'b"'),
    "dict": ("{'password': 'hunter22', 'x': 1}", "hunter22"),
    "pair": ("('password', 'hunter22')", "hunter22"),
    "nested JSON": ('"{\\"value\\":\\"hunter22\\"}"', "hunter22"),
    "form": ("userid=a&password=hunter22&x=1", "hunter22"),
    "proxy": ("http://me:hunter22@proxy:3128", "hunter22"),
    "key": ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", "abc"),
}


@pytest.mark.parametrize(("text", "secret"), LOOKS_SECRET.values(), ids=LOOKS_SECRET)
def test_what_looks_like_a_secret_is_masked(text, secret):
    assert secret not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "PUT /access/acl path=/vms/9001 roles=PVEVMUser users=a@pve",
        '{"userid": "a@pve", "comment": "the password policy"}',
        "token.felhom-ctl@pve!ctl",
        "PVEAuditor on /",
    ],
)
def test_ordinary_text_stays(text):
    assert redact(text) == text


def test_secret_parameters_are_known_by_name():
    assert all(map(is_secret_param, ["password", "client-key", "client_key", "Authorization"]))
    assert not any(map(is_secret_param, ["comment", "path", "tokenid"]))


def test_log_records_lose_arguments_and_tracebacks_with_secrets(caplog):
    logger, redactor = logging.getLogger("some.library"), Redactor(CANARY)
    redactor.watch([logger.name])
    try:
        int(CANARY)
    except ValueError:
        logger.exception("sent %s", {"x": CANARY})
    redactor.release([logger.name])
    assert "sent {'x': 'REDACTED'}" in caplog.text
    assert "s3cr3t" not in caplog.text
    logger.warning("plain %s", "again")
    assert "plain again" in caplog.text


def test_very_short_values_do_not_blank_out_everything():
    assert Redactor("a", "").redact("banana") == "banana"
