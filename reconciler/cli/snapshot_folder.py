"""A live cluster made again as a folder of the embedded Proxmox VE."""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import RequestRefused
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.live.reader import Live
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.inventory import Guest
from reconciler.model.plan import Step
from reconciler.planning.ordering.order import order
from reconciler.sandbox.http.direct import SandboxApi


def copy_cluster(live: Live, folder: Path) -> tuple[int, list[Address]]:
    """Make every object of `live` in the new `folder`; guests are names only.

    Returns how many were made, and those that no Proxmox VE takes anew, such as an entry of a user
    who is gone.

    What already stands in a fresh folder (root, built-in realms) is brought to the same values.
    """
    for node in live.facts.nodes:
        (folder / "nodes" / node).mkdir(parents=True, exist_ok=True)
    for guest in live.facts.guests.values():
        _write_guest(folder, guest)
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
    return len(live.state) - len(left_out), left_out


def _refused(api: SandboxApi, step: Step) -> list[Change]:
    """Send one step, change by change where it is refused; returns the changes that are refused."""
    try:
        api.send(step.request)
    except RequestRefused:
        if len(step.changes) == 1:
            return list(step.changes)
        return [change for change in step.changes for one in order([change]) if _refused(api, one)]
    return []


def _write_guest(folder: Path, guest: Guest) -> None:
    kind = {"qemu": "qemu-server", "lxc": "lxc"}[guest.kind]
    path = folder / "nodes" / guest.node / kind / f"{guest.vmid}.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    name = "hostname" if guest.kind == "lxc" else "name"
    lines = [f"{name}: {guest.name}"] if guest.name else []
    lines += ["template: 1"] if guest.template else []
    path.write_text("".join(f"{line}\n" for line in lines))
