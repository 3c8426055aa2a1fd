"""A live cluster made again as a folder of the embedded Proxmox VE."""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import RequestRefused
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.live.reader import Live
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.inventory import Guest
from reconciler.model.plan import Step
from reconciler.planning.ordering.order import order
from reconciler.pve.formats import check
from reconciler.sandbox.http.direct import SandboxApi


def copy_cluster(live: Live, folder: Path) -> tuple[int, list[str]]:
    """Make every object of `live` in the new `folder`; guests are names only.

    Returns how many were made, and what is not in the folder: objects that no Proxmox VE takes
    anew, such as an entry of a user who is gone, and names that Proxmox VE never gives. A cluster
    may send anything, so names are checked before they become paths or lines.

    What already stands in a fresh folder (root, built-in realms) is brought to the same values.
    """
    unusable = [f"node {node}" for node in live.facts.nodes if not _is("pve-node", node)]
    for node in live.facts.nodes:
        if _is("pve-node", node):
            (folder / "nodes" / node).mkdir(parents=True, exist_ok=True)
    for guest in live.facts.guests.values():
        unusable += _write_guest(folder, guest)
    (folder / "priv").mkdir(parents=True, exist_ok=True)
    (folder / "user.cfg").touch()
    api = SandboxApi(folder)
    there, _ = read_state(api, all_kinds(), dict.fromkeys(all_kinds(), EVERYTHING))
    reason = Reason(Cause.MISSING, "in the live cluster")
    changes = [
        Change(address, there.get(address), spec, reason)
        for address, spec in live.state.items()
        if there.get(address) != spec
    ]
    left_out = [change.address for step in order(changes) for change in _refused(api, step)]
    (folder / "priv" / "token.cfg").unlink(missing_ok=True)
    return len(live.state) - len(left_out), [*unusable, *map(str, left_out)]


def _refused(api: SandboxApi, step: Step) -> list[Change]:
    """Send one step, change by change where it is refused; returns the changes that are refused."""
    try:
        api.send(step.request)
    except RequestRefused:
        if len(step.changes) == 1:
            return list(step.changes)
        return [change for change in step.changes for one in order([change]) if _refused(api, one)]
    return []


def _is(format_: str, name: str) -> bool:
    return check(format_, name) is None


def _write_guest(folder: Path, guest: Guest) -> list[str]:
    """One guest's file; returns what of it is left out."""
    kind = {"qemu": "qemu-server", "lxc": "lxc"}[guest.kind]
    if not (_is("pve-node", guest.node) and _is("pve-vmid", str(guest.vmid))):
        return [f"guest {guest.vmid} on node {guest.node}"]
    path = folder / "nodes" / guest.node / kind / f"{guest.vmid}.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    name = "hostname" if guest.kind == "lxc" else "name"
    named = bool(guest.name) and _is("dns-name", guest.name)
    lines = [f"{name}: {guest.name}"] if named else []
    lines += ["template: 1"] if guest.template else []
    path.write_text("".join(f"{line}\n" for line in lines))
    return [f"the name of guest {guest.vmid}: {guest.name}"] if guest.name and not named else []
