"""The privileges required to set an option of a guest.

PVE source: `check_ct_modify_config_perm` of PVE::LXC, `$check_vm_modify_config_perm` and
`$check_storage_access` of PVE::API2::Qemu, `check_volume_access` of PVE::Storage,
`check_bridge_access` of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.pve.calls.rule import Demand, Either, Params, Perm, RootOnly, Rule

NEW_DISK = re.compile(r"([^:/\s]+):(\d+(?:\.\d+)?)")
LXC_DISK = re.compile(r"rootfs|mp\d+")
QEMU_DISK = re.compile(r"(?:ide|sata|scsi|virtio|efidisk|tpmstate)\d+")
NET = re.compile(r"net\d+")

LXC_PRIVILEGES = {
    "VM.Config.CPU": ("cores", "cpuunits", "cpulimit"),
    "VM.Config.Memory": ("memory", "swap"),
    "VM.Config.Network": ("nameserver", "searchdomain", "hostname"),
}
QEMU_PRIVILEGES = {
    "VM.Config.CPU": ("cores", "cpu", "cpulimit", "cpuunits", "numa", "smp", "sockets", "vcpus"),
    "VM.Config.Memory": ("memory", "balloon", "shares", "allow-ksm"),
    "VM.Config.HWType": (
        *("acpi", "hotplug", "kvm", "machine", "scsihw", "smbios1", "tablet", "vga", "watchdog"),
        *("audio0", "rng0"),
    ),
    "VM.Config.Options": (
        *("agent", "autostart", "bios", "description", "keyboard", "localtime", "name", "onboot"),
        *("migrate_downtime", "migrate_speed", "ostype", "protection", "reboot", "startdate"),
        *("startup", "tdf", "template", "tags"),
    ),
    "VM.PowerMgmt": ("freeze",),
    "VM.Config.Disk": ("boot", "bootdisk", "vmstatestorage"),
}
CLOUD_INIT = (
    *("cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver", "searchdomain"),
    "sshkeys",
)
"""VM.Config.Cloudinit or VM.Config.Network is enough."""

NO_OPTIONS = frozenset(
    (
        *("node", "vmid", "digest", "delete", "revert", "skiplock", "force", "background_delay"),
        *("pool", "storage", "start", "restore", "archive", "ostemplate", "unique", "bwlimit"),
        *("ha-managed", "password", "ssh-public-keys", "ignore-unpack-errors", "live-restore"),
        *("unprivileged", "import-working-storage", "arch"),
    )
)
"""Parameters that are not guest options, or are checked elsewhere."""


def option_demands(kind: str, params: Params) -> Iterator[Demand]:
    """The requirements of the options set or deleted, in addition to the rule of the call."""
    deleted = [name for name in re.split(r"[,;\s]+", params.get("delete", "")) if name]
    for name in (*params, *deleted):
        if name not in NO_OPTIONS:
            value = params.get(name, "")
            yield from _lxc(name, value, params) if kind == "lxc" else _qemu(name, value, params)


def _on_guest(params: Params, *privileges: str, some: bool = False) -> Demand:
    """On the guest, or on the pool it will be in (`check_vm_perm`)."""
    rule: Rule = Perm("/vms/{vmid}", privileges, some)
    if params.get("pool"):
        rule = Either((Perm("/pool/{pool}", privileges, some), rule))
    return Demand(rule)


def _lxc(name: str, value: str, params: Params) -> Iterator[Demand]:
    named = next((p for p, names in LXC_PRIVILEGES.items() if name in names), "")
    if named:
        yield _on_guest(params, named)
    elif LXC_DISK.fullmatch(name):
        yield _on_guest(params, "VM.Config.Disk")
        yield from _volume(value.partition(",")[0].removeprefix("volume="))
    elif NET.fullmatch(name):
        yield _on_guest(params, "VM.Config.Network")
        yield from _bridge(value)
    elif name == "hookscript" or re.fullmatch(r"dev\d+", name):
        yield Demand(RootOnly())
    elif name == "features":
        nesting = re.fullmatch(r"nesting=[01]", value)
        yield _on_guest(params, "VM.Allocate") if nesting else Demand(RootOnly())
    else:
        yield _on_guest(params, "VM.Config.Options")


def _qemu(name: str, value: str, params: Params) -> Iterator[Demand]:
    named = next((p for p, names in QEMU_PRIVILEGES.items() if name in names), "")
    if QEMU_DISK.fullmatch(name) and "media=cdrom" in value:
        yield _on_guest(params, "VM.Config.CDROM")
        yield from _volume(value.partition(",")[0].removeprefix("file="))
    elif QEMU_DISK.fullmatch(name) or re.fullmatch(r"unused\d+", name):
        yield _on_guest(params, "VM.Config.Disk")
        yield from _volume(value.partition(",")[0].removeprefix("file="))
    elif named or re.fullmatch(r"numa\d+", name):
        yield _on_guest(params, named or "VM.Config.CPU")
        if name == "startup":
            yield Demand(Perm("/", ("Sys.Modify",)))
    elif NET.fullmatch(name):
        yield _on_guest(params, "VM.Config.Network")
        yield from _bridge(value)
    elif name in CLOUD_INIT or re.fullmatch(r"ipconfig\d+", name):
        yield _on_guest(params, "VM.Config.Cloudinit", "VM.Config.Network", some=True)
    elif re.fullmatch(r"(?:serial|usb|hostpci|virtiofs)\d+", name):
        yield _on_guest(params, "VM.Config.HWType")
    elif name == "cdrom":
        yield _on_guest(params, "VM.Config.CDROM")
        yield from _volume(value)
    else:
        yield Demand(RootOnly())


def _volume(value: str) -> Iterator[Demand]:
    """A new disk needs space; an image, a template or an import must be readable."""
    storage, mark, rest = value.partition(":")
    if value.startswith("/"):
        yield Demand(RootOnly())
    elif NEW_DISK.fullmatch(value):
        yield Demand(Perm(f"/storage/{storage}", ("Datastore.AllocateSpace",)))
    elif mark and rest.startswith(("iso/", "vztmpl/", "import/")):
        names = ("Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.Audit")
        yield Demand(Perm(f"/storage/{storage}", names, some=True))


def archive_demands(params: Params) -> Iterator[Demand]:
    """The template or archive of a new container (`check_volume_access`)."""
    volume = params.get("archive") or params.get("ostemplate", "")
    storage, mark, _ = volume.partition(":")
    if not mark:
        return
    saved = re.search(r"vzdump-(?:lxc|qemu)-(\d+)-", volume) or re.search(
        r"(?:ct|vm)/(\d+)/", volume
    )
    if saved is None:
        yield from _volume(volume)
        return
    space = Perm(f"/storage/{storage}", ("Datastore.AllocateSpace",))
    backup = Perm(f"/vms/{saved[1]}", ("VM.Backup",))
    yield Demand(Either((space, Perm(f"/storage/{storage}", ("Datastore.Allocate",)))))
    yield Demand(Either((backup, Perm(f"/storage/{storage}", ("Datastore.Allocate",)))))


def _bridge(value: str) -> Iterator[Demand]:
    found = re.search(r"(?:^|,)bridge=([^,]+)", value)
    if found:
        yield Demand(Perm(f"/sdn/zones/localnetwork/{found[1]}", ("SDN.Use",)))
