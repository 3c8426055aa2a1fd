"""What the rest of pvectl may know about a Proxmox VE API, real or embedded."""

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


@runtime_checkable
class SeesFiles(Protocol):
    """A connection that sees the files of the cluster themselves, as the embedded one does."""

    def unread(self) -> Sequence[Unread]:
        """What Proxmox VE passes over in them, by file and line."""

    def strays(self) -> Mapping[str, Strays]:
        """Members of pools that are not there: PVE lists none of them, and counts each."""


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
    """What to do about a refusal that concerns the whole cluster, not the request; "" for another
    one. `path` is that of the request.

    PVE source: `cfs_lock` and `check_cfs_quorum` of PVE::Cluster, `write_config` of
    PVE::SectionConfig.
    """
    if "no quorum" in reason:
        return NO_QUORUM
    return _unreadable_section(reason, path)


def _unreadable_section(reason: str, path: str) -> str:
    """Where to look when Proxmox VE cannot write a file, since a section cannot be read."""
    if "unknown section type ''" not in reason:
        return ""
    name = "storage" if "storage" in path else "domains" if "domains" in path else "jobs"
    return (
        f"a section of /etc/pve/{name}.cfg lacks a required option, or holds a value that Proxmox "
        "VE does not understand: correct it on a node; `journalctl -u pvedaemon` names it"
    )
