"""What a change means for those who are logged in."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class SessionMoment(StrEnum):
    """When a logged-in user notices a change.

    PVE checks user, expiry and token at every request (`auth_handler` of PVE::HTTPServer) and
    realms at logins only: a ticket is valid for two hours, and the web interface renews it without
    a password (`create_ticket_do` of PVE::API2::AccessControl).
    """

    REQUEST = "next request"
    LOGIN = "next login"
    SYNC = "next sync"


class SessionEffect(NamedTuple):
    """`principals` notice a change at this moment; `text` says so."""

    principals: tuple[str, ...]
    moment: SessionMoment
    text: str

    def to_json(self) -> dict[str, Any]:
        return {
            "principals": list(self.principals),
            "moment": str(self.moment),
            "text": self.text,
            "mark": "!",
        }
