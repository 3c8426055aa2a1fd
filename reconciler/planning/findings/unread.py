"""What Proxmox VE skips in its files, as findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Strays, Unread
from reconciler.text.humanize import in_prose


def unread_findings(unread: Iterable[Unread], changes: Sequence[Change] = ()) -> Iterable[Finding]:
    """Each once, with file and line. A file that cannot be written blocks its `changes`."""
    written = {kind_of(change.address).writes.lock for change in changes}
    for one in unread:
        place = f"{one.file}:{one.line}: Proxmox VE"
        if one.blocks:
            yield Finding(
                "FILE_UNWRITABLE",
                Severity.ERROR if one.file in written else Severity.WARNING,
                f"{place} {one.text}",
                hint=f"correct or delete that section in /etc/pve/{one.file} on a node",
            )
        else:
            yield Finding(
                "NOT_READ",
                Severity.WARNING,
                f"{place} skips {one.text}",
                hint=f"it has no effect, and is lost with the next write of {one.file}",
            )


def stray_findings(strays: Mapping[str, Strays]) -> Iterable[Finding]:
    """Pool members that no file can declare, since they do not exist."""
    for pool, (guests, storages) in strays.items():
        named = [*(f"guest {vmid}" for vmid in guests), *(f"storage {name}" for name in storages)]
        yield Finding(
            "NOT_IMPORTED",
            Severity.WARNING,
            f"{in_prose(named)} of pool {pool} {'is' if len(named) == 1 else 'are'} not declared: "
            "the pool names a guest or storage that does not exist",
            hint="Proxmox VE still grants access through such a member; remove it from the pool "
            "there",
            address=Address("pool", pool),
        )
