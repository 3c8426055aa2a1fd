"""Targets that match nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from reconciler.kinds import references
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.finding import PARTIAL, Finding, Severity
from reconciler.planning.checks.context import PlanContext
from reconciler.text.humanize import in_prose
from reconciler.text.suggest import did_you_mean


def check(context: PlanContext) -> Iterable[Finding]:
    desired = context.desired
    known = {*desired.objects, *desired.removed, *context.live}
    yield from unmatched_targets(context.request.targets, known)


def unmatched_targets(targets: Sequence[str], addresses: Collection[Address]) -> Iterable[Finding]:
    """Targets that match no declared or live object: an empty plan would hide the mistake."""
    for target in targets:
        if not any(address.matches(target) for address in addresses):
            yield Finding(
                "NO_SUCH_TARGET",
                Severity.ERROR,
                f"--target '{target}' matches no declared or live object",
                did_you_mean(target, map(str, addresses)) or "write KIND.NAME, as in user.anna@pve",
            )


def partial(every: Sequence[Change], chosen: Sequence[Change]) -> Sequence[Finding]:
    """What `--target` leaves out, references of the targeted changes first."""
    taken = {change.address for change in chosen}
    rest = [change.address for change in every if change.address not in taken]
    if not rest:
        return []
    named = {
        ref
        for change in chosen
        if change.after is not None
        for ref in references(change.address, change.after)
    }
    concerned = [str(address) for address in rest if address in named]
    others = "1 other object differs" if len(rest) == 1 else f"{len(rest)} other objects differ"
    needed = f", including references of these changes: {in_prose(concerned)}" if concerned else ""
    return [
        Finding(
            PARTIAL,
            Severity.NOTE,
            f"--target: this plan is partial; {others} from the declared state{needed}",
            hint=f"left out: {in_prose([str(address) for address in rest])}",
        )
    ]
