"""Determine where the secret of a cluster would be sent, and which parts only the state folder
decides.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from reconciler.bounded_read import read_bounded
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import FilesInvalid
from reconciler.model.secret import SecretRef
from reconciler.model.target import Target
from reconciler.model.trust import Destination, without_password
from reconciler.real_path import real_path

LARGEST_CA = 1 << 20
"""Bytes of a CA file that are read; the system's whole store is smaller."""

PROPOSED = {
    "endpoints": "endpoint",
    "ca_file": "ca_file",
    "fingerprint": "fingerprint",
    "proxy": "proxy",
    "username": "username",
    "client_cert": "client_cert",
    "client_key": "client_key",
    "secret": "token_secret",
    "totp": "totp_secret",
}
"""What of a connection must not be a proposal's alone -> its key in [target]."""


def proposed(cluster: ClusterSettings) -> tuple[str, ...]:
    """The keys of [target] that decide where the secret goes and that only the state folder
    sets.
    """
    target = cluster.connection()
    given = {**target.model_dump(), "secret": cluster.secret, "totp": cluster.totp}
    names = [name for name in PROPOSED if given[name] and name not in cluster.trusted]
    keys = {**PROPOSED, "secret": "token_secret" if target.token_id else "password"}
    return tuple(keys[name] for name in names)


def destination(cluster: ClusterSettings) -> Destination:
    """Where the secret would go; raises FilesInvalid for an unreadable CA file."""
    target = cluster.connection()
    if target.fingerprint:
        certificate = f"fingerprint {' '.join(sorted(target.fingerprint))}"
    elif target.ca_file is not None:
        certificate = f"CA sha256:{_digest(Path(target.ca_file))}"
    else:
        certificate = "system store"
    return Destination(
        endpoints=tuple(sorted(target.endpoints)),
        certificate=certificate,
        proxy=without_password(target.proxy) if target.proxy else "",
        username=target.username or "",
        secret=None if "secret" in cluster.trusted else _placed(cluster, cluster.secret),
        totp=None if "totp" in cluster.trusted else _placed(cluster, cluster.totp),
        client=" ".join(str(real_path(Path(f))) for f in _shown(target) if f),
    )


def _shown(target: Target) -> tuple[str | None, str | None]:
    """The files of the certificate that the server is shown."""
    return target.client_cert, target.client_key


def _placed(cluster: ClusterSettings, secret: SecretRef | None) -> SecretRef | None:
    """The reference; a file by its real path, since a link may lead anywhere."""
    if secret is None or secret.file is None:
        return secret
    return SecretRef(file=str(real_path(cluster.folder / secret.file)))


def _digest(ca_file: Path) -> str:
    """The digest of a CA file. Devices and pipes are not read: the name may come from a
    proposal.
    """
    try:
        content = read_bounded(ca_file, LARGEST_CA, regular=True)
    except OSError as error:
        raise FilesInvalid(
            f"ca_file {ca_file} cannot be used: {error.strerror}",
            hint="it holds certificates in PEM form; the cluster's own is /etc/pve/pve-root-ca.pem",
        ) from None
    return hashlib.sha256(content).hexdigest()
