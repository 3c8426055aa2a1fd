"""Copy a live cluster into a folder of the embedded Proxmox VE."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from reconciler.errors import RequestRefused
from reconciler.kinds import all_kinds, references
from reconciler.kinds.backup.table import is_creatable
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.live.reader import Live
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.inventory import Guest
from reconciler.model.plan import Step
from reconciler.model.request import Request
from reconciler.planning.ordering.order import order
from reconciler.pve.parameter_check import check_format
from reconciler.sandbox.config.leftovers import is_writable, write_leftovers
from reconciler.sandbox.http.direct import SandboxApi


def copy_cluster(live: Live, folder: Path) -> tuple[int, list[str]]:
    """Create every object of `live` in the new `folder`; of guests only their names.

    Returns how many were created, and what was left out: objects that Proxmox VE refuses to create,
    and names that Proxmox VE never gives. Answers of a cluster are not trusted, so names are
    checked before they become paths or lines. Leftovers that Proxmox VE would not accept again,
    such as an entry of a deleted user, are written to user.cfg directly; while jobs that name what
    is gone are created, something of that name is there.

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
    left_out = [
        address
        for address in missing
        if address not in leftovers
        and not _renamed_in(api, folder, live, address)
        and not _with_stand_ins(api, folder, live, address)
    ]
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


_STAND_INS = {
    "pool": (("pools",), "poolid", ()),
    "realm": (
        ("access", "domains"),
        "realm",
        (("type", "ldap"), ("base_dn", "dc=x"), ("server1", "x"), ("user_attr", "uid")),
    ),
    "storage": (
        ("storage",),
        "storage",
        (("type", "dir"), ("path", "/for-now"), ("content", "backup")),
    ),
}
"""Kind -> path, name of the id and further parameters with which an object is created."""


def _with_stand_ins(api: SandboxApi, folder: Path, live: Live, address: Address) -> bool:
    """Create a job that names what is gone, such as a realm: Proxmox VE keeps it, but accepts no
    new one. While it is created, something of that name is there.
    """
    spec = live.state[address]
    gone = [
        ref for ref in references(address, spec) if ref not in live.state and ref.kind in _STAND_INS
    ]
    if address.kind not in ("backup", "realm_sync") or not gone:
        return False
    made = []
    for ref in gone:
        path, name, more = _STAND_INS[ref.kind]
        with contextlib.suppress(RequestRefused):
            api.send(Request("POST", path, ((name, ref.id), *more)))
            made.append(Request("DELETE", (*path, ref.id)))
    change = Change(address, None, spec, Reason(Cause.MISSING, "in the live cluster"))
    refused = any(_refused(api, step) for step in order([change]))
    created = not refused or _renamed_in(api, folder, live, address)
    for one in made:
        api.send(one)
    return created


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
