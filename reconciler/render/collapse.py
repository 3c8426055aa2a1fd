"""Collapse many findings of one code: the first few are shown, the rest counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from reconciler.model.finding import Finding, Severity

_MOST = {Severity.ERROR: 20, Severity.WARNING: 10, Severity.NOTE: 5}
"""Number of findings shown per code; a single further one is shown, too."""


class Alike(NamedTuple):
    """Findings of one code; `more` are not shown."""

    code: str
    shown: Sequence[Finding]
    more: int

    def __str__(self) -> str:
        """The line in place of those not shown."""
        return f"… and {self.more:,} more of {self.code}; `--format json` lists all"


def alike(findings: Sequence[Finding]) -> Iterator[Alike]:
    """In the order of the findings, which are sorted by severity and code."""
    for (severity, code), group in groupby(findings, key=lambda one: (one.severity, one.code)):
        found = tuple(group)
        most = _MOST[severity]
        shown = found if len(found) <= most + 1 else found[:most]
        yield Alike(code, shown, len(found) - len(shown))
