"""Devices and folders of the node in a virtual machine's configuration, and who may restore them
(`check_mapping_access` of PVE::QemuServer)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.access.contents import ROOT
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import died

_DEVICE = re.compile(r"(usb|hostpci)\d+")
_REAL = {"usb": "real devices", "hostpci": "non-mapped devices"}


def check_mappings(ctx: Context, values: Mapping[str, str]) -> None:
    """Mapping.Use on each mapping; only root@pam itself may use devices that are not mapped."""
    if ctx.actor == ROOT:
        return
    for key in sorted(values):
        options = _options(values[key])
        if (device := _DEVICE.fullmatch(key)) is not None:
            _check_device(ctx, key, device[1], options)
        elif re.fullmatch(r"rng\d+", key) and options.get("source") == "/dev/hwrng":
            ctx.require("/mapping/hwrng", ["Mapping.Use"])
        elif re.fullmatch(r"virtiofs\d", key):
            ctx.require(f"/mapping/dir/{options.get('dirid', '')}", ["Mapping.Use"])


def _check_device(ctx: Context, key: str, sort: str, options: Mapping[str, str]) -> None:
    host = options.get("host", "")
    if host and not (sort == "usb" and host.lower() == "spice"):
        raise died(f"only root can set '{key}' config for {_REAL[sort]}")
    if host:
        return
    if not options.get("mapping"):
        raise died("either 'host' or 'mapping' must be set.")
    where = "pci" if sort == "hostpci" else sort
    ctx.require(f"/mapping/{where}/{options['mapping']}", ["Mapping.Use"])


def _options(text: str) -> dict[str, str]:
    """The value without a key comes first: the host, the folder or the source."""
    first, *rest = text.split(",")
    pairs = [part.partition("=") for part in rest]
    found = {name: value for name, _, value in pairs}
    if "=" in first:
        name, _, value = first.partition("=")
        return {name: value, **found}
    return {"host": first, "dirid": first, "source": first, **found}
