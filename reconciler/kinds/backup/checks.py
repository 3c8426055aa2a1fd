"""What is wrong with a job: ids that Proxmox VE does not take, and what only root@pam may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.kinds.backup.table import (
    MADE_BY_PVE,
    BackupSpec,
    is_creatable,
)
from reconciler.kinds.shared.jobs import id_findings, schedule_findings
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import Spec, State

_NEW_ID = "a new ID is a letter, then letters, digits, '_', '-'; at least two characters"


def check_declared(
    name: str, spec: BackupSpec, desired: Mapping[Address, Spec]
) -> Iterable[Finding]:
    del desired
    here = Address("backup", name)
    yield from schedule_findings(here, spec.schedule)
    if not (is_creatable(name) or MADE_BY_PVE.fullmatch(name)):
        yield Finding(
            "JOB_ID",
            Severity.WARNING,
            f"Proxmox VE accepts no new job with the ID '{name}', so {here} must already exist",
            hint=_NEW_ID,
            address=here,
        )


def check_change(change: Change, live: State) -> Iterable[Finding]:
    """Changes that PVE reserves to root@pam itself."""
    before, after = change.before, change.after
    if before is None:
        yield from id_findings(change.address, "realm_sync", live)
    if isinstance(before, BackupSpec):
        yield from _renames_others(change.address, live)
    if before is None and not is_creatable(change.address.id):
        yield Finding(
            "JOB_ID",
            Severity.ERROR,
            f"{change.address} does not exist, and Proxmox VE refuses such an ID for a new job",
            hint=_NEW_ID,
            address=change.address,
        )
    if isinstance(before, BackupSpec) and after is not None and before.option("dumpdir"):
        yield Finding(
            "ROOT_ONLY",
            Severity.ERROR,
            f"{change.address} has the option dumpdir: only root@pam may edit it, not its tokens",
            hint="remove dumpdir on a node or in the web interface, as root@pam",
            address=change.address,
        )


def _renames_others(address: Address, live: State) -> Iterable[Finding]:
    """The ID of a job in vzdump.cron contains the digest of that file, so a change of one job
    renames all (Backup.pm, `update_job`). Only by its ID is such a job known from a moved one."""
    digest, colon, _ = address.id.partition(":")
    others = [
        str(other)
        for other in sorted(live)
        if other.kind == "backup" and other != address and other.id.startswith(f"{digest}:")
    ]
    if colon and others and MADE_BY_PVE.fullmatch(address.id):
        yield Finding(
            "OLD_JOBS",
            Severity.WARNING,
            f"{address} may still be in vzdump.cron: its change moves it to jobs.cfg, and gives "
            f"{' and '.join(others)} another ID",
            hint=f"apply it alone with --target '{address}', then correct the other IDs as "
            "`pvectl import` shows them",
            address=address,
        )
