"""Findings accepted for a while, with a reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from reconciler.model.custom_rule import RULE, is_of_rule
from reconciler.model.declared import Waiver
from reconciler.model.finding import Finding, Severity
from reconciler.planning.lint.rule import Hit, LintContext, Rule
from reconciler.text.suggest import did_you_mean

LINT = "LINT_"
NOT_WAIVED = (
    "no warning or note of that name can be waived (errors never are, nor are findings about "
    "waivers, policies and the caller's own privileges)"
)

OF_DRIFT = frozenset(("DISKS_LEFT_OUT", "NEVER_SAVED", "NOT_DRILLED", "STALE_BACKUP"))
"""Codes that no plan has; `drift` sets them aside itself."""

OTHERS = frozenset(
    (
        "ACTOR_EXPIRES",
        "ARCHIVES_NOT_SEEN",
        "BREAK_GLASS",
        "CANNOT_TAKE_BACK",
        "DISKS_LEFT_OUT",
        "EMPTY_POOL",
        "EXPECT_NOTHING",
        "EXPIRES_SOON",
        "FILE_NEARLY_FULL",
        "FILE_UNWRITABLE",
        "GRANT_WITHOUT_EFFECT",
        "IDLE_RULE",
        "IGNORED_OPTION",
        "JOB_ID",
        "JOB_ID_TWICE",
        "UNKNOWN_NODE",
        "KEEPS_EVERYTHING",
        "LOGIN_WEAKER",
        "LOSES_ARCHIVES",
        "LOST_BY_ADDITION",
        "NEW_WAY_TO_ROOT",
        "NOT_BACKED_UP",
        "NEVER_SAVED",
        "NOT_DRILLED",
        "NOT_FOR_BACKUPS",
        "NOT_IN_RELEASE",
        "NOT_READ",
        "NOT_THERE",
        "NO_LONGER_DECLARED",
        "NO_SUCH_GUEST",
        "NO_SUCH_STORAGE",
        "OLD_GRANTS",
        "OLD_JOBS",
        "PATH_NOT_ALLOWED",
        "POOL_LEFT",
        "REACHES_MORE",
        "REALM_ISSUER",
        "REALM_UNREADABLE",
        "RELEASE_DIFFERS",
        "RETENTION_DIFFERS",
        "ROTATION_DUE",
        "SAME_HOUR",
        "SAVED_ALL_THE_SAME",
        "SAVES_NOTHING",
        "SCHEDULE_MINUTES",
        "SCHEDULE_NEVER",
        "SECRET_AGE_UNKNOWN",
        "SECRET_LOST",
        "SECRET_NOT_COMPARED",
        "STALE_BACKUP",
        "STORAGE_DISABLED",
        "STORAGE_NOT_THERE",
        "TOKEN_WITH_NOTHING",
        "UNDECLARED_MEMBER",
        "UNTESTED_RELEASE",
        "UNUSED_ALLOW",
        "VOLUMES_STAY",
        "WIDER_THAN_NEEDED",
    )
)
"""Warnings and notes that no lint rule gives and that can be waived. Those that say how the policy
was weakened, what a plan leaves out, or what the caller lacks cannot: other code acts on them."""


class Waived(NamedTuple):
    """`findings`: those not waived, and problems of the waivers; `waived`: the others."""

    findings: tuple[Finding, ...]
    waived: tuple[tuple[Finding, Waiver], ...]


def waive(
    findings: Iterable[Finding], waivers: Sequence[Waiver], known: Collection[str], now: int
) -> Waived:
    """Set aside what is waived; of errors only those of a `[[rule]]`. `known`: all codes."""
    kept: list[Finding] = []
    waived: list[tuple[Finding, Waiver]] = []
    used: set[Waiver] = set()
    for finding in findings:
        matching = [waiver for waiver in waivers if _covers(waiver, finding)]
        used.update(matching)
        valid = next((waiver for waiver in matching if now < waiver.expires), None)
        stays = finding.severity is Severity.ERROR and not is_of_rule(finding.code)
        if valid is None or stays:
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
        of_rule = waiver.code.startswith((LINT, RULE))
        why = "there is no rule of that name" if of_rule else NOT_WAIVED
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
        "a waiver for a code that does not exist or cannot be waived",
        "It waives nothing. The code is mistyped, the rule has gone, or it is the code of an "
        "error, which is never waived.",
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
        "a waiver that matches no finding",
        "Its finding is fixed, or its address matches nothing. Remove it, so that it does not hide "
        "something new.",
        _found_elsewhere,
    ),
)
