"""The second factors of users (/access/tfa): read for `drift`, never changed.

No API token may change them (PVE::API2::TFA, `allowtoken`), so no file declares them. Who may list
all users may list their factors as well, without the keys (`list_tfa`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.kinds.shared.answer_shape import FLAG, ID, TEXT, Fields, Rows
from reconciler.kinds.shared.field_types import flag, names
from reconciler.kinds.user.table import FINGERPRINT, UserSpec
from reconciler.model.request import request

TFA = request("GET", "access", "tfa")
_ENTRY = Fields({"id": ID, "type": ID}, {"description": TEXT, "enable": FLAG})
ANSWERS = {"/access/tfa": Rows(Fields({"userid": ID, "entries": Rows(_ENTRY)}))}

FIELD = "second_factors"
_SHOWN = 8
"""Characters of an id or a digest that tell factors apart."""


class UserWithFactors(UserSpec):
    """A user as a report of differences shows it."""

    second_factors: tuple[str, ...] = ()


def second_factors(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """User -> factors in words; `rows` of TFA, which leave out users without any."""
    return {row["userid"]: names(map(_words, row["entries"])) for row in rows}


def old_keys(spec: UserSpec) -> tuple[str, ...]:
    """Keys stored in user.cfg, for a realm that requires a second factor."""
    keys = spec.keys or ""
    digest = keys.removeprefix(FINGERPRINT)
    return (f"key of the realm {digest[:_SHOWN]}",) if keys.startswith(FINGERPRINT) else ()


def _words(entry: Mapping[str, Any]) -> str:
    """`totp phone (3f2a1b0c)`, and whether it is disabled."""
    about = f" {entry['description']}" if entry.get("description") else ""
    number = "" if entry["id"] == entry["type"] else f" ({str(entry['id'])[:_SHOWN]})"
    disabled = "" if flag(entry.get("enable"), default=True) else ", disabled"
    return f"{entry['type']}{about}{number}{disabled}"
