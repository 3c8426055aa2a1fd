"""The configuration of a guest, from an archive or the API.

PVE source: `parse_vm_config` of PVE::QemuServer, `parse_pct_config` of PVE::LXC::Config,
`restore_update_config_line` and `sanitize_and_merge_config` for what a restore changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from reconciler.pve.calls.guest_options import LXC_DISK, NET, QEMU_DISK

LXC, QEMU = "lxc", "qemu"

GuestConfig = Mapping[str, str]
"""option -> value"""

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)")
_LINE = re.compile(r"([a-z][a-z0-9_.-]*):\s*(.*?)\s*")
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_HOST_DEVICES = {
    QEMU: re.compile(r"(?:hostpci|usb|virtiofs)\d+"),
    LXC: re.compile(r"dev\d+"),
}
_SPICE = re.compile(r"(?:host=)?spice(?:,|$)")
_CHANGED = re.compile(
    r"cipassword|description|digest|lock|meta|name|hostname|onboot|parent|protection|smbios1|snaptime|"
    r"template|unused\d+|vmgenid|vmstate|lxc"
)
"""Not compared: what a drill or a restore sets itself, and a secret, which the API masks."""


def parse_config(text: str) -> dict[str, str]:
    """The options of the saved guest, without its snapshots and its description."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("["):
            break
        match = _LINE.fullmatch(line)
        if match is not None:
            found[match[1]] = match[2]
    return found


class Volume(NamedTuple):
    """A disk or mount point; `place` is a volume or a path of the node, `size` in bytes, 0 if
    unknown. `options` without the size."""

    key: str
    place: str
    size: int
    options: Mapping[str, str]

    @property
    def is_shared(self) -> bool:
        """Whether it is a folder or device of the node, which the original uses too."""
        return self.place.startswith("/")


def volumes(kind: str, config: GuestConfig) -> list[Volume]:
    """The disks that an archive of this configuration contains, and a container's mount points of
    the node."""
    pattern = LXC_DISK if kind == LXC else QEMU_DISK
    found = []
    for key, text in sorted(config.items()):
        if pattern.fullmatch(key) is None:
            continue
        place, options = _volume(text)
        if kind == QEMU and (place == "none" or options.get("media") == "cdrom"):
            continue
        if kind == QEMU and options.get("backup") in ("0", "no", "off", "false"):
            continue
        size = options.pop("size", "")
        found.append(Volume(key, place, size_bytes(size), options))
    return found


def _volume(text: str) -> tuple[str, dict[str, str]]:
    options = _options(text)
    place = options.pop("", "") or options.pop("file", "") or options.pop("volume", "")
    return place, options


def _options(text: str) -> dict[str, str]:
    """`a,b=c` as {"": "a", "b": "c"}."""
    found = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        found[name if equals else ""] = value if equals else name
    return found


def size_bytes(text: str) -> int:
    """`8G` in bytes; 0 if it is not a size."""
    found = _SIZE.fullmatch(text)
    return int(float(found[1]) * _UNITS[found[2]]) if found else 0


def memory_bytes(config: GuestConfig) -> int:
    """The memory that the guest may use; PVE's default is 512 MiB."""
    text = _options(config.get("memory", "512"))
    number = text.get("", "") or text.get("current", "")
    return (int(number) if number.isdigit() else 512) * 1024**2


def nics(config: GuestConfig) -> dict[str, str]:
    """The network interfaces: net0, net1 and so on."""
    return {key: text for key, text in sorted(config.items()) if NET.fullmatch(key)}


class Bridge(NamedTuple):
    """Where an interface is connected; `tags`: VLANs, each with its own ACL path."""

    name: str
    tags: tuple[str, ...] = ()


def bridges(config: GuestConfig) -> Iterator[Bridge]:
    """The bridges and VLANs of the interfaces (`check_vnet_access` of PVE::GuestHelpers)."""
    for text in nics(config).values():
        options = _options(text)
        if options.get("bridge"):
            tags = [options["tag"]] if options.get("tag") else []
            tags += re.findall(r"\d+(?:-\d+)?", options.get("trunks", ""))
            yield Bridge(options["bridge"], tuple(tags))


def is_down(nic: str) -> bool:
    return _options(nic).get("link_down") == "1"


def pulled(nic: str) -> str:
    """The interface with its link down."""
    parts = [part for part in nic.split(",") if not part.startswith("link_down=")]
    return ",".join([*parts, "link_down=1"])


def mac_of(nic: str) -> str:
    found = _MAC.search(nic)
    return found[0].upper() if found else ""


def host_devices(kind: str, config: GuestConfig) -> list[str]:
    """Options that give the guest a device or folder of the node, which the original uses too."""
    return sorted(
        key
        for key, text in config.items()
        if _HOST_DEVICES[kind].fullmatch(key) and not _SPICE.match(text)
    )


def only_for_root(kind: str, config: GuestConfig) -> list[str]:
    """Options that only root@pam may restore: devices that are not mapped
    (`check_mapping_access`)."""
    devices = [] if kind == LXC else host_devices(kind, config)
    real = (key for key in devices if not key.startswith("virtiofs"))
    return [key for key in real if "mapping" not in _options(config[key])]


def wants_agent(config: GuestConfig) -> bool:
    """Whether the options of a virtual machine enable the QEMU guest agent."""
    options = _options(config.get("agent", ""))
    return (options.get("") or options.get("enabled", "")) in ("1", "on", "yes", "true")


def differences(
    kind: str, saved: GuestConfig, restored: GuestConfig, *, left_out: frozenset[str] = frozenset()
) -> list[tuple[str, str, str]]:
    """Option, value in the archive, value now; sizes of disks are compared, their storages are not.
    `left_out`: options omitted on purpose.
    """
    before, now = _comparable(kind, saved), _comparable(kind, restored)
    return [
        (key, before.get(key, ""), now.get(key, ""))
        for key in sorted({*before, *now} - left_out)
        if before.get(key) != now.get(key)
    ]


def _comparable(kind: str, config: GuestConfig) -> dict[str, str]:
    found = {}
    pattern = LXC_DISK if kind == LXC else QEMU_DISK
    for key, text in config.items():
        if _CHANGED.fullmatch(key) or key.startswith("lxc."):
            continue
        if pattern.fullmatch(key):
            if kind == QEMU and _options(text).get("backup") in ("0", "no", "off", "false"):
                continue
            found[key] = _disk(text)
        elif NET.fullmatch(key):
            found[key] = _nic(text)
        else:
            found[key] = text
    return found


def _disk(text: str) -> str:
    place, options = _volume(text)
    size = options.pop("size", "")
    options.pop("format", "")
    if options.get("media") == "cdrom" or place == "none":
        options[""] = place
    parts = [f"{key}={value}" if key else value for key, value in sorted(options.items())]
    exact = size_bytes(size)
    return ",".join([*parts, *([f"size={exact}"] if exact else [])])


def _nic(text: str) -> str:
    parts = _MAC.sub("", text).replace("hwaddr=", "").split(",")
    kept = (part.rstrip("=") for part in parts if not part.startswith("link_down="))
    return ",".join(sorted(part for part in kept if part and part != "type=veth"))
