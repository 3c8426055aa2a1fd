"""What the administrator trusts: where a secret may go, and what state files may use."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field

from reconciler.model.policy import TomlTable
from reconciler.model.secret import SecretRef


class Trust(TomlTable):
    """[trust] of a settings file outside the state folder: what state files may reach beyond it.

    Globs: `files` over absolute paths (read as secrets, written as sinks, read as state or as a
    sandbox), `env` over variables, `commands` over the first word of a command, `keyrings` over
    entries, `waive` over codes of lint rules in [[waive]], `calls` over `METHOD PATH` of the calls
    that `verify` may let succeed although they write. None: every one. `signers`: the file of
    those who may sign plans ("ALLOWED SIGNERS" in ssh-keygen(1)); "" where none need be signed.
    """

    files: tuple[str, ...] = Field(
        default=(), strict=False, description="globs over files and folders outside"
    )
    commands: tuple[str, ...] = Field(
        default=(), strict=False, description="globs over programs of secrets and sinks"
    )
    env: tuple[str, ...] | None = Field(
        default=None, strict=False, description="globs over variables that hold secrets"
    )
    keyrings: tuple[str, ...] = Field(
        default=(), strict=False, description="globs over entries of the system's keyring"
    )
    waive: tuple[str, ...] | None = Field(
        default=None, strict=False, description="globs over the codes that [[waive]] may name"
    )
    calls: tuple[str, ...] = Field(
        default=(), strict=False, description="globs over METHOD PATH of calls that may write"
    )
    signers: str = Field(
        default="", description="file of the SSH keys that may sign plans; others are refused"
    )


class Destination(NamedTuple):
    """Where a secret goes, and which one: what an administrator confirms as a whole.

    `certificate` says what makes the server's certificate trusted: pinned fingerprints, the SHA-256
    of a CA file's content, or the system store. `username` is empty for a token. `secret` and
    `totp`, the second factor's, are None where they are given outside the state folder. `client`:
    the files of the certificate that the server is shown.
    """

    endpoints: tuple[str, ...]
    certificate: str
    proxy: str = ""
    username: str = ""
    secret: SecretRef | None = None
    totp: SecretRef | None = None
    client: str = ""

    def covers(self, other: Destination) -> bool:
        """Whether confirming this destination confirms `other` as well."""
        return (
            other.certificate == self.certificate
            and other[1:4] == self[1:4]
            and set(other.endpoints) <= set(self.endpoints)
            and (other.secret is None or other.secret == self.secret)
            and (other.totp is None or other.totp == self.totp)
            and other.client == self.client
        )

    def to_json(self) -> dict[str, Any]:
        """Without the secret itself, and without a proxy's password."""
        data = self._asdict()
        for name, one in (("secret", self.secret), ("totp", self.totp)):
            if one is not None:
                data[name] = one.model_dump(exclude_none=True)
        return {key: value for key, value in data.items() if value}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Destination:
        """The reverse of `to_json`; raises KeyError, TypeError or ValueError."""
        secret, totp = (data.get(name) for name in ("secret", "totp"))
        return cls(
            tuple(map(str, data["endpoints"])),
            str(data["certificate"]),
            str(data.get("proxy", "")),
            str(data.get("username", "")),
            None if secret is None else SecretRef.model_validate(secret),
            None if totp is None else SecretRef.model_validate(totp),
            str(data.get("client", "")),
        )


def without_password(proxy: str) -> str:
    """The URL of a proxy with a digest in place of its password."""
    parts = urlsplit(proxy)
    if parts.password is None:
        return proxy
    digest = hashlib.sha256(parts.password.encode()).hexdigest()[:16]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:sha256-{digest}@{host}"))
