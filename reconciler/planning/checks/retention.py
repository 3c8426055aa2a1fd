"""Archives that are kept today and that a changed retention would remove."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.model.address import Address
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Kept
from reconciler.planning.backups.retention import (
    DryRunDifference,
    Loss,
    disagreements,
    losses,
    storages_concerned,
)
from reconciler.planning.checks.allow import refusal
from reconciler.planning.checks.context import PlanContext
from reconciler.text.humanize import count, in_prose, listed, moment

LOSES_ARCHIVES = "LOSES_ARCHIVES"
SHOWN = 4
"""How many archives a finding names."""


def check(context: PlanContext) -> Iterable[Finding]:
    """A loss within `[limits] archives` is a warning; beyond it, it is refused, job by job."""
    live, planned, facts = context.live, context.planned, context.facts
    if not context.changes:
        return
    for storage in sorted(storages_concerned(live, planned, facts) & facts.kept.unseen.keys()):
        why = facts.kept.unseen[storage]
        yield Finding(
            "ARCHIVES_NOT_SEEN",
            Severity.WARNING,
            f"retention changes on storage {storage}, and it is unknown which archives would be "
            f"removed: {why}",
            "check the storage before you apply",
            Address("storage", storage),
        )
    yield from differences(facts.kept)
    found = losses(live, planned, facts)
    beyond = sum(len(loss.lost) for loss in found) > context.desired.policy.limits.archives
    for job in dict.fromkeys(loss.job for loss in found):
        address = Address("backup", job)
        message = f"{address} {_words([loss for loss in found if loss.job == job])}"
        if beyond:
            yield refusal(LOSES_ARCHIVES, message, f"{LOSES_ARCHIVES}={address}", address)
        else:
            yield Finding(LOSES_ARCHIVES, Severity.WARNING, message, address=address)


def differences(kept: Kept) -> Iterable[Finding]:
    """Where the dry run of Proxmox VE and the algorithm here come to different results."""
    return map(_differs, disagreements(kept))


def _differs(one: DryRunDifference) -> Finding:
    """The dry run counts."""
    where = one.place.storage + (f" of {one.place.node}" if one.place.node else "")
    parts = [
        f"{what} {listed(volumes, SHOWN)}"
        for what, volumes in (
            ("only the dry run removes", one.only_dry_run),
            ("only pvectl would remove", one.only_here),
        )
        if volumes
    ]
    return Finding(
        "RETENTION_DIFFERS",
        Severity.WARNING,
        f"for {one.rules} on storage {where}, pvectl's result differs from Proxmox VE's dry run, "
        f"which counts: {'; '.join(parts)}",
        "report it with the release of Proxmox VE, or of the backup server",
        Address("storage", one.place.storage),
    )


def _words(found: Sequence[Loss]) -> str:
    """LOSSY: nothing brings an archive back."""
    number = sum(len(loss.lost) for loss in found)
    each = in_prose([_guest(loss) for loss in found])
    return (
        f"would permanently remove {count(number, 'archive')} at its next run that "
        f"{'is' if number == 1 else 'are'} kept today: {each}"
    )


def _guest(loss: Loss) -> str:
    stays = (
        f"the oldest one kept is from {moment(loss.oldest.made)}" if loss.oldest else "none is kept"
    )
    return f"{len(loss.lost)} of {loss.all} of guest {loss.guest} on {loss.storage} ({stays})"
