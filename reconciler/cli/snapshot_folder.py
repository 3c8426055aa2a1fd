"""Copy a live cluster into a folder of the embedded Proxmox VE."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reconciler.errors import RequestRefused
from reconciler.kinds import all_kinds
from reconciler.kinds.backup.table import is_creatable
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.live.reader import Live
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.inventory import Guest
from reconciler.model.plan import Step
from reconciler.planning.ordering.order import order
from reconciler.pve.parameter_check import check_format
from reconciler.sandbox.config.leftovers import is_writable, write_leftovers
from reconciler.sandbox.http.direct import SandboxApi


def copy_cluster(live: Live, folder: Path) -> tuple[int, list[str]]:
    """Create every object of `live` in the new `folder`; of guests only their names.

    Returns how many were created, and what was left out: objects that Proxmox VE refuses to create,
    and names that Proxmox VE never gives. Answers of a cluster are not trusted, so names are
    checked before they become paths or lines. Leftovers that Proxmox VE would not accept again,
    such as an entry of a deleted user, are written to user.cfg directly.

    Objects that a fresh folder already has (root, built-in realms) are updated to the same values.
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
    for step in order(changes):
        _refused(api, step)
    there, _ = read_state(api, all_kinds(), dict.fromkeys(all_kinds(), EVERYTHING))
    missing = [address for address, spec in live.state.items() if there.get(address) != spec]
    leftovers = {a: live.state[a] for a in missing if is_writable(a, live.state[a])}
    write_leftovers(folder, leftovers, live.facts)
    left_out = [a for a in missing if not (a in leftovers or _renamed_in(api, folder, live, a))]
    (folder / "priv" / "token.cfg").unlink(missing_ok=True)
    _sort_lists(folder / "storage.cfg")
    return len(live.state) - len(left_out), [*unusable, *map(str, left_out)]


def _sort_lists(file: Path) -> None:
    """Sort lists, which Proxmox VE writes in any order, so that two snapshots of one cluster are
    equal.
    """
    if not file.exists():
        return
    lines = file.read_text().splitlines(keepends=True)
    for number, line in enumerate(lines):
        key, _, value = line.strip().partition(" ")
        if key in {"content", "nodes"}:
            lines[number] = f"\t{key} {','.join(sorted(value.split(',')))}\n"
    file.write_text("".join(lines))


def _renamed_in(api: SandboxApi, folder: Path, live: Live, address: Address) -> bool:
    """Create a job under another id and restore its own id in the file, since PVE accepts no new
    job with the ids that earlier releases generated.
    """
    spec = live.state[address]
    if address.kind != "backup" or is_creatable(address.id):
        return False
    for_now = Address("backup", f"for-now-{hashlib.sha256(address.id.encode()).hexdigest()[:16]}")
    change = Change(for_now, None, spec, Reason(Cause.MISSING, "in the live cluster"))
    if any(_refused(api, step) for step in order([change])):
        return False
    jobs = folder / "jobs.cfg"
    text = jobs.read_text().replace(f"vzdump: {for_now.id}\n", f"vzdump: {address.id}\n")
    jobs.write_text(text)
    return True


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
    return check_format(format_, name) is None


def _write_guest(folder: Path, guest: Guest) -> list[str]:
    """Write one guest's file; returns what was left out of it."""
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
