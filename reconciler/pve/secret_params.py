"""The parameters, headers and answer fields of the PVE API that hold a secret."""

from __future__ import annotations

from reconciler.pve.realm_options import REALM_OPTIONS
from reconciler.pve.schema import secret_names
from reconciler.pve.storage_options import STORAGE_OPTIONS

_OF_THE_PROTOCOL = frozenset(
    {
        "authorization",
        "cipassword",
        "confirmation-password",
        "cookie",
        "csrfpreventiontoken",
        "keys",
        "otp",
        "password",
        "proxy-authorization",
        "pveauthcookie",
        "secret",
        "tfa-challenge",
        "ticket",
        "token-secret",
        "value",
    }
)
"""Headers and tickets, and fields of logins, users and tokens."""

SECRET_PARAMS = _OF_THE_PROTOCOL | secret_names(REALM_OPTIONS) | secret_names(STORAGE_OPTIONS)
"""Parameters, headers and answer fields of the PVE API whose value is secret."""


def is_secret_param(name: str) -> bool:
    """Whether the value of this parameter, header or answer field is a secret."""
    return name.lower().replace("_", "-") in SECRET_PARAMS
