"""The requests of a restore drill, and the privileges that they need.

PVE source: `create_vm` of PVE::API2::LXC and PVE::API2::Qemu, which check a part of the privileges
only in the task; `sanitize_and_merge_config` of PVE::LXC::Create; `check_restore_permissions` of
PVE::QemuServer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from reconciler.kinds.kind import Need
from reconciler.kinds.kind import need as one_of
from reconciler.model.drill import DrillPlan
from reconciler.model.policy import Network
from reconciler.model.request import Request, Value, request
from reconciler.pve.guest_config import (
    LXC,
    QEMU,
    Bridge,
    GuestConfig,
    Volume,
    bridges,
    host_devices,
    is_down,
    nics,
    pulled,
    volumes,
    wants_agent,
)

_GIB = 1024**3
ZONE = "localnetwork"
"""The SDN zone of the plain bridges of a node."""

TASKS = {
    (QEMU, "restore"): "qmrestore",
    (QEMU, "start"): "qmstart",
    (QEMU, "stop"): "qmstop",
    (QEMU, "destroy"): "qmdestroy",
    (LXC, "restore"): "vzrestore",
    (LXC, "start"): "vzstart",
    (LXC, "stop"): "vzstop",
    (LXC, "destroy"): "vzdestroy",
}
"""Kind of guest and what is done with it -> the type of the task that does it."""


def storage_of_archive(volume: str) -> str:
    return volume.partition(":")[0]


def description(plan: DrillPlan) -> str:
    """What is written on the restored guest."""
    made = datetime.fromtimestamp(plan.archive.made, UTC)
    return (
        f"Restore drill of guest {plan.guest}, archive of {made:%Y-%m-%d %H:%M} UTC. "
        f"`pvectl rollback` removes it. {plan.mark}"
    )


def restore_request(plan: DrillPlan, vmid: int, saved: GuestConfig) -> Request:
    """Restore under a new id, with a new MAC address, and with what makes it the drill's own.

    A protected guest could not be destroyed, and one that starts on boot must not.
    """
    given: dict[str, Value | bool | int | None] = {
        "vmid": vmid,
        "storage": plan.storage,
        "unique": True,
        "description": description(plan),
        "onboot": False,
        "protection": False,
        "pool": plan.pool or None,
    }
    name = f"drill-{plan.guest}"
    if plan.kind == LXC:
        given |= {"ostemplate": plan.archive.volume, "restore": True, "hostname": name}
        given |= _mounts(plan, saved)
    else:
        given |= {"archive": plan.archive.volume, "name": name}
    return request("POST", "nodes", plan.node, plan.kind, **given)


def _mounts(plan: DrillPlan, saved: GuestConfig) -> dict[str, str]:
    """Each volume by itself where others are of the node: only root@pam may restore those, and the
    original uses them. Without any, Proxmox VE takes them from the archive."""
    found = volumes(LXC, saved)
    if not any(volume.is_shared for volume in found):
        return {}
    return {volume.key: _mount(plan.storage, volume) for volume in found if not volume.is_shared}


def _mount(storage: str, volume: Volume) -> str:
    options = [f"{key}={value}" for key, value in sorted(volume.options.items())]
    return ",".join([f"{storage}:{volume.size / _GIB:g}", *options])


def left_out(kind: str, saved: GuestConfig) -> list[str]:
    """Options that the restored guest does not get, since the original uses what they name."""
    shared = [volume.key for volume in volumes(kind, saved) if kind == LXC and volume.is_shared]
    return sorted([*shared, *host_devices(kind, saved)])


def network_request(plan: DrillPlan, vmid: int, config: GuestConfig) -> Request | None:
    """What brings the restored guest to the network that it is to have, and takes devices of the
    node from it; None if there is nothing to do."""
    gone = [key for key in left_out(plan.kind, config) if key in config]
    given: dict[str, str] = {}
    if plan.network is Network.NONE:
        gone += nics(config)
    elif plan.network is Network.DOWN:
        given = {key: pulled(nic) for key, nic in nics(config).items() if not is_down(nic)}
    if not gone and not given:
        return None
    return request(
        "PUT",
        *guest_path(plan, vmid),
        "config",
        digest=config.get("digest"),
        delete=",".join(gone) or None,
        **given,
    )


def guest_path(plan: DrillPlan, vmid: int) -> tuple[str, ...]:
    return ("nodes", plan.node, plan.kind, str(vmid))


def power_request(plan: DrillPlan, vmid: int, action: str) -> Request:
    """`start` or `stop`."""
    return request("POST", *guest_path(plan, vmid), "status", action)


def destroy_request(plan: DrillPlan, vmid: int) -> Request:
    """With its places in jobs and the like. Disks that it does not name are not its own."""
    return request("DELETE", *guest_path(plan, vmid), purge=True)


_ALWAYS = ("VM.Allocate", "VM.Audit", "VM.Config.Options")
_AGENT_SEES = ("VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted", "VM.Monitor")
_AGENT_RUNS = ("VM.GuestAgent.Unrestricted", "VM.Monitor")
"""VM.Monitor is what releases before 9 ask for instead."""


def guest_needs(plan: DrillPlan, vmid: int, saved: GuestConfig | None) -> Iterator[Need]:
    """What it takes on the restored guest, or on the pool that it is in. `saved`: None where no
    archive is known, so that one of any guest may come."""
    names = [*_ALWAYS]
    shared = saved is None or bool(left_out(plan.kind, saved))
    if plan.kind == LXC or plan.network is not Network.AS_SAVED or saved is None:
        names.append("VM.Config.Network")
    if saved is not None and any(v.is_shared for v in volumes(plan.kind, saved)):
        names.append("VM.Config.Disk")
    if shared and saved is not None and plan.kind == QEMU:
        names.append("VM.Config.HWType")
    if plan.start:
        names.append("VM.PowerMgmt")
    for name in names:
        yield _on_guest(plan, vmid, name)
    if plan.start and plan.kind == QEMU and (saved is None or wants_agent(saved)):
        yield _on_guest(plan, vmid, *_AGENT_SEES)
    if plan.start and any(check.agent for check in plan.checks):
        yield _on_guest(plan, vmid, *_AGENT_RUNS)


def _on_guest(plan: DrillPlan, vmid: int, *names: str) -> Need:
    places = [f"/pool/{plan.pool}"] if plan.pool else []
    places += [f"/vms/{vmid}"] if vmid else []
    return Need(tuple(((place, name),) for name in names for place in places))


def archive_needs(guest: int, archives: str, storage: str) -> Iterator[Need]:
    """To read the archive of a guest, and to restore it to a storage."""
    yield one_of(f"/vms/{guest}", "VM.Backup")
    for name in dict.fromkeys((archives, storage)):
        yield from storage_needs(name)


def storage_needs(storage: str) -> Iterator[Need]:
    """To see that it is there (/cluster/resources), and to use it."""
    for name in ("Datastore.Audit", "Datastore.AllocateSpace"):
        yield one_of(f"/storage/{storage}", name)


def bridge_needs(saved: GuestConfig, zones: Sequence[tuple[str, str]]) -> Iterator[Need]:
    """`zones`: pairs of zone and network, as far as the caller knows any."""
    for bridge in dict.fromkeys(bridges(saved)):
        yield from _of_bridge(bridge, zones)


def _of_bridge(bridge: Bridge, zones: Sequence[tuple[str, str]]) -> Iterator[Need]:
    zone = next((zone for zone, name in zones if name == bridge.name), ZONE)
    place = f"/sdn/zones/{zone}/{bridge.name}"
    for path in [f"{place}/{tag}" for tag in bridge.tags] or [place]:
        yield one_of(path, "SDN.Use")


def root_needs(kind: str, saved: GuestConfig) -> Iterator[Need]:
    """A privileged container takes more."""
    if kind == LXC and saved.get("unprivileged") != "1":
        yield one_of("/", "Sys.Modify")
