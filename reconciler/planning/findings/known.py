"""Which findings are already known: they existed before, and the plan does not change them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.finding import NOT_BACKED_UP, UNDECLARED_MEMBER, Finding, Severity

_OF_THE_CLUSTER = {
    NOT_BACKED_UP: {"backup", "pool"},
    "SAVED_ALL_THE_SAME": {"backup", "pool"},
    "SAME_HOUR": {"backup"},
}
"""Codes of findings without an address that say how a cluster is -> the kinds that they concern."""


_NEVER = frozenset({UNDECLARED_MEMBER, "ARCHIVES_NOT_SEEN", "POOL_LEFT", "POOL_TAKEN"})
"""Codes of findings that count as drift, and of effects on objects that the plan does not change.
"""


def told_as_known(
    findings: Iterable[Finding], changes: Sequence[Change], fresh: Collection[Address]
) -> Iterable[Finding]:
    """The findings, those marked that are neither about what the plan changes nor about `fresh`:
    what the files declare since the earlier ones, or otherwise. Errors are never known."""
    news = {*fresh, *(change.address for change in changes)}
    kinds = {address.kind for address in news}
    for finding in findings:
        if finding.severity is Severity.ERROR or finding.code in _NEVER:
            yield finding
        elif finding.address is not None:
            yield finding._replace(known=finding.address not in news)
        else:
            concerned = _OF_THE_CLUSTER.get(finding.code)
            yield finding._replace(known=concerned is not None and kinds.isdisjoint(concerned))
