"""The interface to a Proxmox VE API, real or embedded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from reconciler.model.inventory import Strays, Unread
from reconciler.model.request import Request


class Api(Protocol):
    """A connection to one cluster.

    Both methods raise `Unreachable`, `AuthenticationFailed`, `CertificateNotTrusted` or
    `RequestRefused`; `send` also raises `UnknownOutcome` when a write may have happened, and
    `WriteForbidden` on a connection opened for reading only.
    """

    @property
    def actor(self) -> str:
        """The authenticated principal: `user@realm` or `user@realm!token`."""

    @property
    def endpoint(self) -> str:
        """Where requests go, as displayed: `https://host:8006` or `sandbox:FOLDER`."""

    def get(self, requests: Sequence[Request]) -> list[Any]:
        """The `data` of each answer, in order; sent in parallel over kept-alive connections.

        The first refused request raises `RequestRefused`.
        """

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        """One write; `secrets` holds the values of the parameters given as `SecretRef`."""

    def close(self) -> None:
        """Close all connections."""


class ForwardingApi:
    """Passes everything on to another `Api`; the base of wrappers, which override some of it."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @property
    def actor(self) -> str:
        return self._api.actor

    @property
    def endpoint(self) -> str:
        return self._api.endpoint

    def get(self, requests: Sequence[Request]) -> list[Any]:
        return self._api.get(requests)

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        return self._api.send(request, secrets)

    def close(self) -> None:
        self._api.close()


@runtime_checkable
class SeesFiles(Protocol):
    """A connection with access to the files of the cluster, as the embedded one has."""

    def unread(self) -> Sequence[Unread]:
        """What Proxmox VE ignores in the files, with file and line."""

    def strays(self) -> Mapping[str, Strays]:
        """Pool members that do not exist: PVE does not list them, but counts them for access."""


@runtime_checkable
class SeesEndpoints(Protocol):
    """A connection over the network, which knows the endpoints of the cluster and their clocks."""

    def get_elsewhere(self, requests: Sequence[Request]) -> dict[str, list[Any]]:
        """The answers of each endpoint besides `endpoint`, all at once; none of one that does not
        answer."""

    @property
    def clock_skew(self) -> float | None:
        """Seconds by which the cluster's clock is ahead, by the newest answers."""


NO_QUORUM = (
    "the cluster has no quorum, so /etc/pve is read-only: `pvecm status` on a node shows which "
    "nodes are missing; bring them back, then go on"
)


def refusal_hint(reason: str, path: str) -> str:
    """The hint for a refusal that concerns the whole cluster rather than the request; "" for
    others. `path` is that of the request.

    PVE source: `cfs_lock` and `check_cfs_quorum` of PVE::Cluster, `write_config` of
    PVE::SectionConfig.
    """
    if "no quorum" in reason:
        return NO_QUORUM
    return _unreadable_section(reason, path)


def _unreadable_section(reason: str, path: str) -> str:
    """The hint where Proxmox VE cannot write a file because it cannot read a section of it."""
    if "unknown section type ''" not in reason:
        return ""
    name = "storage" if "storage" in path else "domains" if "domains" in path else "jobs"
    return (
        f"a section of /etc/pve/{name}.cfg lacks a required option, or holds a value that Proxmox "
        "VE does not understand: correct it on a node; `journalctl -u pvedaemon` names it"
    )
