"""The connection to a cluster: endpoint, principal and trust; never a secret."""

from __future__ import annotations

import re
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from reconciler.invalid_value import InvalidValue

DEFAULT_PORT = 8006
SANDBOX = "sandbox:"


class Target(BaseModel):
    """One cluster, as `[target]` in pvectl.toml describes it.

    `endpoints` are `https://host:port` in normal form, or one `sandbox:FOLDER`. Exactly one of
    `token_id` (`user@realm!token`) and `username` (`user@realm`) is set; a sandbox needs neither.
    `ca_file` or `fingerprint` (SHA-256 of the node's own certificate; several for several nodes)
    decides what is trusted, otherwise the system's trust store: verification cannot be disabled.
    `client_cert` and `client_key` are files, shown to a server that asks for a certificate. A
    `proxy` is used only when it is set here. Timeouts are in seconds; for a write they exceed the
    time that PVE may wait for a lock (10 s) and work under it (60 s).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    endpoints: tuple[str, ...] = Field(min_length=1)
    token_id: str | None = None
    username: str | None = None
    ca_file: str | None = None
    fingerprint: tuple[str, ...] = ()
    client_cert: str | None = None
    client_key: str | None = None
    proxy: str | None = Field(default=None, repr=False)
    connect_timeout: float = Field(default=10.0, gt=0)
    read_timeout: float = Field(default=30.0, gt=0)
    write_timeout: float = Field(default=90.0, gt=0)

    @property
    def actor(self) -> str:
        """The token id or the user; empty for a sandbox without either."""
        return self.token_id or self.username or ""

    @property
    def sandbox_folder(self) -> str | None:
        """FOLDER of a `sandbox:FOLDER` endpoint, else None."""
        first = self.endpoints[0]
        return first.removeprefix(SANDBOX) if first.startswith(SANDBOX) else None

    @field_validator("endpoints", "fingerprint", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("endpoints")
    @classmethod
    def _normal_endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        normal = tuple(
            item if item.startswith(SANDBOX) else _normal_endpoint(item) for item in value
        )
        if len(normal) > 1 and any(item.startswith(SANDBOX) for item in normal):
            raise ValueError("a sandbox:FOLDER endpoint cannot be combined with others")
        if len(set(normal)) != len(normal):
            raise ValueError("the same endpoint appears twice")
        return normal

    @field_validator("fingerprint")
    @classmethod
    def _normal_fingerprints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(normal_fingerprint(item) for item in value)

    @field_validator("token_id")
    @classmethod
    def _token_id(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^\s:/!]+@[^\s:/!@]+![^\s:/!=]+", value):
            raise InvalidValue(
                "a token id looks like user@realm!token", "set the secret in token_secret"
            )
        return value

    @field_validator("username")
    @classmethod
    def _username(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^\s:/!]+@[^\s:/!@]+", value):
            raise ValueError("a user name needs its realm, for example root@pam")
        return value

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not value.isprintable():
            raise ValueError("a proxy looks like http://host:port, its port from 1 to 65535")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.ca_file is not None and self.fingerprint:
            raise ValueError("set ca_file or fingerprint, not both")
        if self.token_id is not None and self.username is not None:
            raise ValueError("set token_id or username, not both")
        if self.sandbox_folder is None and not self.actor:
            raise ValueError("token_id or username is missing")
        return self


def normal_fingerprint(text: str) -> str:
    """`AB:CD:...` in upper case, from any usual spelling of a SHA-256 fingerprint.

    Raises ValueError for anything else, SHA-1 fingerprints included.
    """
    digits = re.sub(r"[\s:]", "", text.rpartition("=")[2]).upper()
    if re.fullmatch(r"[0-9A-F]{40}", digits):
        raise InvalidValue("this is a SHA-1 fingerprint", "use the SHA-256 one (32 bytes)")
    if not re.fullmatch(r"[0-9A-F]{64}", digits):
        raise ValueError("a SHA-256 fingerprint has 32 bytes, written AB:CD:...")
    return ":".join(digits[at : at + 2] for at in range(0, 64, 2))


def _normal_endpoint(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError(
            f"an endpoint looks like https://host:{DEFAULT_PORT}, its port from 1 to 65535"
        ) from None
    if parts.scheme != "https":
        raise ValueError(f"an endpoint looks like https://host:{DEFAULT_PORT} or sandbox:FOLDER")
    if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"an endpoint contains host and port only:  https://host:{DEFAULT_PORT}")
    host = parts.hostname or ""
    if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host):
        raise ValueError("the host of the endpoint is not a valid host name or address")
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"
