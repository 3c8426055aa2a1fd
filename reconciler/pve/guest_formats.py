"""Formats of the options of guests (PVE::LXC::Config, PVE::QemuServer)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_interface

from reconciler.pve.schema import Param, ParameterTable

_FLAG = Param(type="boolean", optional=True)
_TEXT = Param(optional=True)
_WORD = r"[-_.\w]+"

_VOLUME: ParameterTable = {
    "volume": Param(default_key=True),
    "size": Param(pattern=r"\d+(?:\.\d+)?[KMGT]?", optional=True),
    "acl": _FLAG,
    "mountoptions": _TEXT,
    "idmap": _TEXT,
    "ro": _FLAG,
    "quota": _FLAG,
    "replicate": _FLAG,
    "shared": _FLAG,
}

GUEST_PROPERTIES: Mapping[str, ParameterTable] = {
    "pve-ct-features": {
        "mount": _TEXT,
        **dict.fromkeys(("nesting", "keyctl", "fuse", "mknod", "force_rw_sys"), _FLAG),
    },
    "pve-ct-mountpoint": {**_VOLUME, "mp": Param(), "backup": _FLAG, "keepattrs": _FLAG},
    "pve-ct-rootfs": _VOLUME,
    "pve-lxc-network": {
        "type": Param(enum=("veth",), optional=True),
        "name": Param(pattern=_WORD),
        "bridge": Param(pattern=_WORD, optional=True),
        "hwaddr": Param(format="mac-addr", optional=True),
        "mtu": Param(type="integer", minimum=64, maximum=65535, optional=True),
        "ip": Param(format="pve-ipv4-config", optional=True),
        "gw": _TEXT,
        "ip6": Param(format="pve-ipv6-config", optional=True),
        "gw6": _TEXT,
        "firewall": _FLAG,
        "tag": Param(type="integer", minimum=1, maximum=4094, optional=True),
        "trunks": Param(pattern=r"\d+(?:;\d+)*", optional=True),
        "rate": Param(type="number", optional=True),
        "link_down": _FLAG,
        "host-managed": _FLAG,
    },
}
"""Property strings of containers; those of virtual machines are parsed where they are used."""


def _address(version: int, *words: str) -> Callable[[str], str | None]:
    def check_address(value: str) -> str | None:
        complaint = f"value does not look like a valid ipv{version} network configuration\n"
        if value in words:
            return None
        try:
            found = ip_interface(value)
        except ValueError:
            return complaint
        return None if found.version == version and "/" in value else complaint

    return check_address


def _mac(value: str) -> str | None:
    if re.fullmatch(r"(?i)[0-9a-f][02468ace](?::[0-9a-f]{2}){5}", value):
        return None
    return "value does not look like a valid unicast MAC address\n"


def _dns_name(value: str) -> str | None:
    label = r"[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?"
    if re.fullmatch(rf"(?:{label}\.)*{label}", value):
        return None
    return "value does not look like a valid DNS name\n"


def _tag(value: str) -> str | None:
    return (
        None
        if re.fullmatch(r"(?i)[a-z0-9_][a-z0-9_\-+.]*", value)
        else "invalid characters in tag\n"
    )


GUEST_FORMATS: Mapping[str, Callable[[str], str | None]] = {
    "dns-name": _dns_name,
    "mac-addr": _mac,
    "pve-ipv4-config": _address(4, "dhcp", "manual"),
    "pve-ipv6-config": _address(6, "auto", "dhcp", "manual"),
    "pve-tag": _tag,
}
