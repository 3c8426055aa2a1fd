"""A live cluster made again as a folder of the embedded Proxmox VE."""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import RequestRefused
from reconciler.kinds import all_kinds
from reconciler.kinds.read import EVERYTHING, read_state
from reconciler.live.read import Live
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.facts import Guest
from reconciler.planning.order import order
from reconciler.sandbox.direct import SandboxApi


def copy_cluster(live: Live, folder: Path) -> int:
    """Make every object of `live` in the new `folder`; returns how many. Guests are names only.

    What already stands in a fresh folder (root, built-in realms) is brought to the same values.
    Raises RequestRefused for an object that the embedded PVE does not take.
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
    for step in order(changes):
        try:
            api.send(step.request)
        except RequestRefused as refused:
            raise RequestRefused(
                refused.status,
                f"{step.changes[0].address}: {refused.reason}",
                refused.errors,
                hint="the copy is incomplete; delete the folder",
            ) from None
    (folder / "priv" / "token.cfg").unlink(missing_ok=True)
    return len(live.state)


def _write_guest(folder: Path, guest: Guest) -> None:
    kind = {"qemu": "qemu-server", "lxc": "lxc"}[guest.kind]
    path = folder / "nodes" / guest.node / kind / f"{guest.vmid}.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    name = "hostname" if guest.kind == "lxc" else "name"
    lines = [f"{name}: {guest.name}"] if guest.name else []
    lines += ["template: 1"] if guest.template else []
    path.write_text("".join(f"{line}\n" for line in lines))
