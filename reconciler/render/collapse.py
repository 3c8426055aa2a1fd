"""Many findings of one code: the first few are shown, the rest is counted; refusals that are alike
are one; known ones share a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from os.path import commonprefix
from typing import NamedTuple

from reconciler.model.finding import Finding, Severity
from reconciler.render.document import Section, TextLine
from reconciler.text.humanize import count, listed
from reconciler.text.shell import shell

_MOST = {Severity.ERROR: 20, Severity.WARNING: 10, Severity.NOTE: 5}
"""Number of findings shown per code; a single further one is shown, too."""

_REFUSALS = 6
"""From so many refusals on that are alike, they are one."""
_NAMED = 3
"""Objects that such a line names."""


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


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """In order; refusals of one code about objects of one kind are one, with one `--allow`."""
    groups: dict[object, list[Finding]] = {}
    for number, finding in enumerate(findings):
        kind = finding.address.kind if finding.allow and finding.address else number
        groups.setdefault((finding.code, kind), []).append(finding)
    return tuple(one for group in groups.values() for one in _one(group))


def _one(alike: Sequence[Finding]) -> Sequence[Finding]:
    first = alike[0]
    flag = _covering([one.allow for one in alike]) if len(alike) >= _REFUSALS else ""
    if not flag:
        return alike
    names = listed([str(one.address) for one in alike[1:]], _NAMED)
    hint = f"to allow all {len(alike):,}: --allow {shell(flag)}"
    message = f"{first.message}; the same for {len(alike) - 1:,} more: {names}"
    return [first._replace(message=message, hint=hint, allow=flag)]


def _covering(flags: Sequence[str]) -> str:
    """A glob over all flags that reaches no other kind of object; "" where there is none."""
    start = commonprefix(flags)  # noqa: RUF071 - texts, not paths
    while start and start[-1] not in "./@!|":
        start = start[:-1]
    return f"{start}*" if "." in start.partition("=")[2] else ""


def known(findings: Sequence[Finding], against: str = "") -> Section:
    """A line per code: how often, and where. `against`: the folder that the plan compares with."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.code, []).append(finding)
    width = max(map(len, groups), default=0)
    blocks = [(_line(code.ljust(width), found),) for code, found in sorted(groups.items())]
    command = shell("pvectl", "plan", *(("--against", against) if against else ()), "--known")
    whole = TextLine(f"details: `{command}`; of the state files alone: `pvectl validate`", indent=2)
    title = count(len(findings), "known finding")
    return Section(title, (*blocks, (whole,)), unit="rule")


def _line(code: str, found: Sequence[Finding]) -> TextLine:
    where = listed([str(one.address) for one in found if one.address is not None], _NAMED)
    text = f"{len(found):,}" + (f": {where}" if where else "")
    return TextLine(text, indent=2, label=f"{code}  ")
