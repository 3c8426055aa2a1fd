"""What a login says of the second factors that a server asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest

from reconciler.errors import AuthenticationFailed
from reconciler.live.http.auth import Ticket, totp_of

PASSWORD = "an-unguessable-password"
NESTED = "[" * 100_000


def message(challenge: str) -> str:
    def login(form: Mapping[str, str]) -> Any:
        assert form["username"] == "ops@pve"
        return {"ticket": f"PVE:!tfa!{quote(challenge)}:x::y", "NeedTFA": 1}

    ticket = Ticket("ops@pve", PASSWORD, lambda: 0.0, totp_of("ops@pve", "JBSWY3DPEHPK3PXP"))
    with pytest.raises(AuthenticationFailed) as failed:
        ticket.renew(login)
    return f"{failed.value.summary} {failed.value.hint}"


def test_the_factors_that_exist_are_named() -> None:
    asked = {"totp": False, "yubico": False, "recovery": "available", "webauthn": {"a": 1}}
    assert "no one-time password, but recovery and webauthn" in message(json.dumps(asked))


@pytest.mark.parametrize("echoed", [{PASSWORD: True}, {"yubico": PASSWORD}, {"totp": 0}])
def test_a_hostile_server_cannot_have_the_password_shown(echoed: dict[str, object]) -> None:
    said = message(json.dumps(echoed))
    assert PASSWORD not in said
    assert "no one-time password" in said


def test_a_challenge_that_cannot_be_read_is_answered_as_usual() -> None:
    assert "the second factor of ops@pve was refused" in message(NESTED)
