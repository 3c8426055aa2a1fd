"""Identify a cluster by its CA, and keep one folder per cluster on this machine.

A cluster is its own CA (/etc/pve/pve-root-ca.pem, the same on every node for as long as the cluster
exists) together with its nodes: installations cloned from one disk have the same CA. GET
/nodes/localhost/certificates/info and GET /nodes return both to every token (`user => 'all'`,
PVE::API2::Certificates and PVE::API2::Nodes). Addresses are aliases, kept in `clusters.json` in
$PVECTL_HOME, so that an unreachable cluster is recognised as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.atomic_write import atomic_write
from reconciler.errors import CertificateNotTrusted, JournalFailed, Locked, RequestRefused
from reconciler.execution.journal.store import base_of, home
from reconciler.execution.lock.local import fences, local_lock, remember_fences
from reconciler.execution.private_folder import check, make
from reconciler.model.api import Api
from reconciler.model.request import request
from reconciler.model.spec import canonical

CERTIFICATES = request("GET", "nodes", "localhost", "certificates", "info")
NODES = request("GET", "nodes")
IDENTIFYING = (CERTIFICATES, NODES)
"""What identifies a cluster."""
ROOT_CA = "pve-root-ca.pem"

MOVED = ("*.jsonl", "*.reserve", "secrets.json", "secrets.key", "drift.json")
"""What is kept of a cluster beside its locks."""

SAME, NEW = "same", "new"
"""What a person says of a cluster that shows another CA than before."""


class Identity(NamedTuple):
    """The SHA-256 fingerprint of a cluster's CA, and the names of its nodes."""

    ca: str
    nodes: frozenset[str]


def identify(api: Api) -> Identity | None:
    """The identity of the answering cluster; None where it does not tell. Raises Unreachable."""
    try:
        certificates, nodes = api.get(IDENTIFYING)
    except RequestRefused:
        return None
    cas = [row.get("fingerprint") for row in certificates if _is_root(row)]
    names = frozenset(str(row["node"]) for row in nodes if "node" in row)
    return Identity(str(cas[0]), names) if cas and cas[0] else None


def _is_root(row: Any) -> bool:
    return str(row.get("filename", "")).rpartition("/")[2] == ROOT_CA


@dataclass(slots=True)
class KnownCluster:
    """A cluster that this machine has worked on."""

    folder: str
    ca: str
    nodes: set[str] = field(default_factory=set)
    endpoints: set[str] = field(default_factory=set)

    def is_of(self, identity: Identity) -> bool:
        return self.ca == identity.ca and not self.nodes.isdisjoint(identity.nodes)

    def to_json(self) -> dict[str, Any]:
        endpoints, nodes = sorted(self.endpoints), sorted(self.nodes)
        return {"folder": self.folder, "ca": self.ca, "nodes": nodes, "endpoints": endpoints}


def folder_offline(endpoints: Sequence[str]) -> Path:
    """The folder of an unreachable cluster, by any of its addresses."""
    known = _read(_index())
    for endpoint in endpoints:
        for one in known:
            if endpoint in one.endpoints:
                return home() / "journal" / one.folder
    return base_of(endpoints[0])


def folder_of(
    identity: Identity, answered: str, endpoints: Sequence[str], *, keep: bool, moved: str = ""
) -> Path:
    """The folder of the cluster that answered at `answered`.

    `keep`: the folder is about to be used. `moved`: whether a cluster whose CA has changed is the
    SAME or a NEW one; without it CertificateNotTrusted is raised. Folders that earlier releases
    named by address are moved here.
    """
    with _alone():
        known = _read(_index())
        mine = _find(known, identity, answered, moved)
        kept = mine is not None or keep or bool(moved)
        before = None if mine is None else mine.to_json()
        if mine is None:
            if moved == NEW:
                for one in known:
                    one.endpoints.discard(answered)
            mine = KnownCluster(_free(known, identity, (*endpoints, answered)), identity.ca)
            known.append(mine)
        mine.ca = identity.ca
        mine.nodes |= identity.nodes
        mine.endpoints.add(answered)
        folder = home() / "journal" / mine.folder
        old = {base_of(endpoint).name for endpoint in (*endpoints, answered)}
        for other in sorted(old - {one.folder for one in known}):
            # where a run is under way there, the next command tries again
            with contextlib.suppress(Locked, JournalFailed, OSError):
                _absorb(home() / "journal" / other, folder)
        changed = mine.to_json() != before
        if changed:
            _read_before.clear()
        if changed and (kept or folder.is_dir()):
            content = canonical({"clusters": [one.to_json() for one in known]})
            with contextlib.suppress(OSError):
                make(home())
                atomic_write(_index(), content + b"\n", private=True, follow=False)
        return folder


def _find(
    known: Iterable[KnownCluster], identity: Identity, answered: str, moved: str
) -> KnownCluster | None:
    """The known cluster; raises CertificateNotTrusted rather than guess."""
    for one in known:
        if one.is_of(identity):
            return one
    for one in known:
        if answered in one.endpoints and moved != NEW:
            if moved == SAME or one.ca == identity.ca:
                return one
            raise CertificateNotTrusted(
                f"{answered} presents a different CA than the cluster known at this address",
                hint=f"it was {one.ca}\nit is  {identity.ca}\n"
                "the same cluster with a new CA: pvectl status --cluster-is same\n"
                "another cluster at this address: pvectl status --cluster-is new",
            )
    return None


def _free(known: Iterable[KnownCluster], identity: Identity, endpoints: Sequence[str]) -> str:
    """A name for a new folder: the address, as in earlier releases, where it is unused."""
    taken = {one.folder for one in known}
    names = [base_of(endpoint).name for endpoint in endpoints]
    used = [name for name in names if (home() / "journal" / name).is_dir() and name not in taken]
    if used:
        return used[0]
    if names[0] not in taken:
        return names[0]
    return f"{names[0]}-{identity.ca.replace(':', '')[:16].lower()}"


def _absorb(other: Path, folder: Path) -> None:
    """Move the journals, lock numbers and drift memory kept under another address."""
    found = [path for pattern in MOVED for path in other.glob(pattern)]
    if not found:
        return
    check(home(), other)
    with local_lock(other) as theirs, local_lock(folder) as mine:
        own = {path.name for path in folder.iterdir()}
        for path in found:
            if path.name not in own and not (path.stem == "secrets" and "secrets.json" in own):
                path.rename(folder / path.name)
        remember_fences(mine, sorted(fences(theirs) | fences(mine)))


def _index() -> Path:
    return home() / "clusters.json"


_read_before: dict[tuple[Path, int, int, int], list[KnownCluster]] = {}
"""The index by its path, inode, size and time of the last change; without the changes of anyone. A
command on many clusters looks for each of them in it."""


def _read(path: Path) -> list[KnownCluster]:
    """The index of clusters; an unreadable file counts as empty."""
    try:
        found = path.stat()
        change = path, found.st_ino, found.st_size, found.st_mtime_ns
        known = _read_before.get(change)
        if known is None:
            content = json.loads(path.read_bytes())
            known = [
                KnownCluster(
                    str(row["folder"]), str(row["ca"]), set(row["nodes"]), set(row["endpoints"])
                )
                for row in content["clusters"]
            ]
            _read_before.clear()
            _read_before[change] = known
        return list(known)
    except (OSError, ValueError, OverflowError, KeyError, TypeError):
        return []


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Lock the index against other processes; does nothing where the home does not exist."""
    try:
        descriptor = os.open(home(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
