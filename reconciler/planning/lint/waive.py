"""Findings accepted for a while, with a reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from reconciler.model.declared import Waiver
from reconciler.model.finding import NOT_BACKED_UP, Finding, Severity
from reconciler.planning.lint.rule import Hit, LintContext, Rule
from reconciler.text.suggest import did_you_mean

LINT = "LINT_"
ONLY_LINT = f"only {NOT_BACKED_UP} and the lint rules, which begin with {LINT}, can be waived"


class Waived(NamedTuple):
    """`findings`: those not waived, and problems of the waivers; `waived`: the others."""

    findings: tuple[Finding, ...]
    waived: tuple[tuple[Finding, Waiver], ...]


def waive(
    findings: Iterable[Finding], waivers: Sequence[Waiver], known: Collection[str], now: int
) -> Waived:
    """Set aside what is waived. Errors are never waived. `known`: the codes of all rules."""
    kept: list[Finding] = []
    waived: list[tuple[Finding, Waiver]] = []
    used: set[Waiver] = set()
    for finding in findings:
        matching = [waiver for waiver in waivers if _covers(waiver, finding)]
        used.update(matching)
        valid = next((waiver for waiver in matching if now < waiver.expires), None)
        if valid is None or finding.severity is Severity.ERROR:
            kept.append(finding)
        else:
            waived.append((finding, valid))
    for waiver in waivers:
        kept += faults(waiver, known, now, used=waiver in used)
    return Waived(tuple(sorted(dict.fromkeys(kept), key=Finding.sort_key)), tuple(waived))


def _covers(waiver: Waiver, finding: Finding) -> bool:
    if waiver.code != finding.code:
        return False
    if finding.address is None:
        return waiver.address == "*"
    return finding.address.matches(waiver.address)


def faults(waiver: Waiver, known: Collection[str], now: int, *, used: bool) -> Iterable[Finding]:
    """Problems of a waiver itself."""
    what = f"waiver of {waiver.code} for {waiver.address}"
    if waiver.code not in known:
        why = "there is no rule of that name" if waiver.code.startswith(LINT) else ONLY_LINT
        message = f"{what}: {why}"
        hint = did_you_mean(waiver.code, known) or "`pvectl explain` lists all codes"
        yield Finding("WAIVER_UNKNOWN", Severity.WARNING, message, hint, source=waiver.source)
    elif waiver.expires <= now:
        message = f"{what} has expired; its reason was: {waiver.reason}"
        hint = "fix what it waived, or extend the waiver"
        yield Finding("WAIVER_EXPIRED", Severity.WARNING, message, hint, source=waiver.source)
    elif not used:
        message = f"{what} waives nothing"
        yield Finding("WAIVER_UNUSED", Severity.NOTE, message, "remove it", source=waiver.source)


def _found_elsewhere(scene: LintContext) -> Iterable[Hit]:
    """`waive` finds these itself."""
    del scene
    return ()


RULES = (
    Rule(
        "WAIVER_UNKNOWN",
        Severity.WARNING,
        "a waiver for a rule that does not exist",
        "It waives nothing. The code is mistyped, its rule no longer exists, or it belongs to "
        "another finding: only NOT_BACKED_UP and codes that begin with LINT_ can be waived.",
        _found_elsewhere,
    ),
    Rule(
        "WAIVER_EXPIRED",
        Severity.WARNING,
        "a waiver whose date has passed",
        "What it accepted for a while is reported again. Fix it, or extend the waiver with a "
        "reason that still holds.",
        _found_elsewhere,
    ),
    Rule(
        "WAIVER_UNUSED",
        Severity.NOTE,
        "a waiver that waives nothing",
        "Its finding is fixed, or its address matches nothing. Remove it, so that it does not hide "
        "something new.",
        _found_elsewhere,
    ),
)
