"""The formats of storage options (PVE::Storage::Plugin and the plugins), as in `model.formats`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.pve.formats import Check, is_ip, matching

CONTENT_TYPES: tuple[str, ...] = (
    "images",
    "rootdir",
    "vztmpl",
    "iso",
    "backup",
    "snippets",
    "none",
    "import",
)

ISCSI_PROVIDERS = ("comstar", "istgt", "iet", "LIO")
"""The values of `iscsiprovider`; the API accepts any string, and the plugin then rejects it."""

_HOST = r"[A-Za-z0-9\-.]+"
_IPV6 = r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*"
_PORTALS = (
    re.compile(rf"({_HOST})(?::\d+)?"),
    re.compile(rf"\[({_IPV6}|{_HOST})\](?::\d+)?"),
)
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?"
_BLOCKSIZE = re.compile(r"([1-9][0-9]*)([km])?", re.IGNORECASE)
_DIRECTORY = re.compile(r"([a-z]+)=(.+)", re.DOTALL)


def _portal(value: str) -> str | None:
    """A host or an address, with a port after a colon; an IPv6 address needs no brackets."""
    if any(pattern.fullmatch(value) for pattern in _PORTALS):
        return None
    address, dot, port = value.rpartition(".")
    if is_ip(value) or (dot and port.isdecimal() and ":" in address and is_ip(address)):
        return None
    return "value does not look like a valid portal address\n"


def _server(value: str) -> str | None:
    if is_ip(value) or re.fullmatch(rf"(?:{_LABEL}\.)*{_LABEL}", value):
        return None
    return "value does not look like a valid server name or IP address\n"


def _blocksize(value: str) -> str | None:
    if not value:
        return None
    found = _BLOCKSIZE.fullmatch(value)
    if found is None:
        return (
            f"invalid ZFS blocksize format '{value}'. Use a positive number (no leading zeros) "
            "with an optional 'k' or 'm' suffix.\n"
        )
    size = int(found[1]) * {"": 1, "k": 1024, "m": 1024**2}[(found[2] or "").lower()]
    if 512 <= size <= 16 * 1024**2 and size & (size - 1) == 0:
        return None
    return (
        f"value '{value}' is not a valid ZFS blocksize. Must be a power of 2 "
        "between 512B and 16MiB (e.g., 4k, 8k, 16k, 64k, 1m).\n"
    )


def _content(value: str) -> str | None:
    return None if value in CONTENT_TYPES else f"invalid content type '{value}'\n"


def _directory(value: str) -> str | None:
    """`content=relative/path`; a path of at most 1022 characters, each part below 255. It neither
    contains `..` nor ends with a dot.
    """
    found = _DIRECTORY.fullmatch(value)
    if found is not None and ".." not in found[2] and not found[2].endswith("."):
        complaint = _content(found[1])
        if complaint is not None:
            return complaint
        parts = found[2].split("/")
        if len(found[2]) < 1023 and all(len(part) < 255 for part in parts):
            return None
    return f"invalid override '{value}'\n"


def _path(value: str) -> str | None:
    if re.match(r"/[^;()]+", value):
        return None
    return "value does not look like a valid absolute path\n"


STORAGE_FORMATS: Mapping[str, Check] = {
    "pve-dir-override": _directory,
    "pve-storage-content": _content,
    "pve-storage-options": matching(r"\S+", "invalid options '{}'"),
    "pve-storage-path": _path,
    "pve-storage-portal-dns": _portal,
    "pve-storage-server": _server,
    "pve-storage-vgname": matching(
        r"[a-zA-Z0-9][a-zA-Z0-9\-_.]*[a-zA-Z0-9]", "lvm name '{}' contains illegal characters"
    ),
    "pve-storage-zfs-blocksize": _blocksize,
    "pve-volume-id": matching(
        r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]:.+", "unable to parse volume ID '{}'"
    ),
}
"""Values that the format accepts are used unchanged."""


def canonical_path(path: str) -> str:
    """A folder as PVE stores it: no repeated slashes, `/.`, leading `/..` or trailing slash.

    PVE source: DirPlugin.pm, `check_config`, with Perl's File::Spec::Unix->canonpath.
    """
    path = re.sub(r"/{2,}", "/", path)
    path = re.sub(r"(?:/\.)+(?=/|$)", "", path) or "/"
    path = re.sub(r"^/(?:\.\./)*\.\.$", "/", path)
    path = re.sub(r"^/(?:\.\./)+", "/", path)
    return path if path == "/" else path.removesuffix("/")
