"""Network interfaces of guests: bridges, MAC addresses, and who may use them."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace

from reconciler.access.contents import ROOT
from reconciler.pve.parameter_check import parse_properties
from reconciler.pve.property_strings import render_properties
from reconciler.sandbox.config.perltext import file_text
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.guests import LXC

NET = re.compile(r"net\d+")
_MODEL = re.compile(
    r"(?:e1000(?:-82540em|-82544gc|-82545em|e)?|i82551|i82557b|i82559er|ne2k_isa|ne2k_pci|pcnet"
    r"|rtl8139|virtio|vmxnet3)"
)
_PREFIX = "BC:24:11"
_ZONE = "localnetwork"


@dataclass(frozen=True, slots=True)
class Nic:
    """`mac` is empty if none is set; `options` are the others, as text."""

    kind: str
    mac: str
    options: dict[str, str]

    @property
    def bridge(self) -> str:
        return self.options.get("bridge", "")

    @property
    def up(self) -> bool:
        return self.options.get("link_down") != "1"

    def with_mac(self, mac: str) -> Nic:
        return replace(self, mac=mac)

    def text(self) -> str:
        """In the form of the guest's file."""
        if self.kind == LXC:
            values = {**self.options, "hwaddr": self.mac, "type": "veth"}
            return render_properties("pve-lxc-network", values)
        others = dict(self.options)
        model = others.pop("model", "virtio")
        head = f"{model}={self.mac}" if self.mac else model
        return ",".join([head, *(f"{key}={others[key]}" for key in sorted(others))])


def parse_nic(kind: str, text: str) -> Nic:
    if kind == LXC:
        values = dict(parse_properties("pve-lxc-network", text).values)
        values.pop("type", None)
        return Nic(LXC, values.pop("hwaddr", ""), values)
    options: dict[str, str] = {}
    mac = ""
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if _MODEL.fullmatch(key):
            options["model"], mac = key, value or mac
        elif key == "macaddr":
            mac = value
        elif equals:
            options[key] = value
    return Nic(kind, mac, options)


def new_mac(store: Store) -> str:
    """A random MAC address with the prefix of the cluster."""
    prefix = _PREFIX
    for line in file_text(store.read("datacenter.cfg")).split("\n"):
        key, _, value = line.partition(":")
        if key == "mac_prefix" and value.strip():
            prefix = value.strip()
    parts = prefix.split(":")
    parts += [f"{secrets.randbelow(256):02X}" for _ in range(6 - len(parts))]
    return ":".join(parts)


def completed(store: Store, kind: str, text: str) -> str:
    """An interface as written to the file: with a MAC address, its options in PVE's order."""
    nic = parse_nic(kind, text)
    return (nic if nic.mac else nic.with_mac(new_mac(store))).text()


def check_bridge(ctx: Context, kind: str, text: str) -> None:
    """SDN.Use on the bridge, or on each of the interface's VLANs."""
    if ctx.actor == ROOT:
        return
    nic = parse_nic(kind, text)
    if not nic.bridge:
        return
    place = f"/sdn/zones/{_ZONE}/{nic.bridge}"
    tags = [nic.options["tag"]] if nic.options.get("tag") else []
    trunks = re.findall(r"\d+(?:-\d+)?", nic.options.get("trunks", ""))
    for tag in [*tags, *trunks]:
        ctx.require(f"{place}/{tag}", ["SDN.Use"])
    if not tags and not trunks:
        ctx.require(place, ["SDN.Use"])
