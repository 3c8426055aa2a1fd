"""What the rest of pvectl may know about a Proxmox VE API, real or embedded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from reconciler.model.request import Request


class Api(Protocol):
    """A connection to one cluster.

    Both methods raise `Unreachable`, `AuthenticationFailed`, `CertificateNotTrusted` or
    `RequestRefused`; `send` also raises `UnknownOutcome` when a write may have happened, and
    `WriteForbidden` on a connection opened for reading only.
    """

    @property
    def actor(self) -> str:
        """Who is asking: `user@realm` or `user@realm!token`."""

    @property
    def endpoint(self) -> str:
        """Where the requests go, for people: `https://host:8006` or `sandbox:FOLDER`."""

    def get(self, requests: Sequence[Request]) -> list[Any]:
        """The `data` of each answer, in order; sent in parallel over kept-alive connections.

        The first refused request raises `RequestRefused`.
        """

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        """One write; `secrets` holds the values of the parameters given as `SecretRef`."""

    def close(self) -> None:
        """Close all connections."""
