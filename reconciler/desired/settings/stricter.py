"""Combine two policies into the stricter one: a state folder may tighten the trusted settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from reconciler.desired.reach import WEAKER_POLICY
from reconciler.desired.settings.weaker_rules import weaker_rules
from reconciler.model.declared import CallExpectation, Desired, Expectation, NoBackup, Waiver
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.policy import (
    Alarm,
    Apply,
    Drill,
    Limit,
    Limits,
    Lint,
    Lockout,
    Policy,
    Protected,
)
from reconciler.text.humanize import count
from reconciler.text.period import seconds_of

MOST_PLACES = 5
"""Places that a finding lists."""

_NOWHERE = Source("")


def stricter(trusted: Policy, proposed: Policy, file: str) -> tuple[Policy, list[Finding]]:
    """The effective policy, and a warning for each table of the state folder that is weaker.

    A table that the trusted file lacks is taken from the folder. [manage], [rollout] and
    [drill] are taken as a whole, as they have no order of strictness. `file` names the
    trusted file.
    """
    given = trusted.model_fields_set
    manage = trusted.manage if "manage" in given else proposed.manage
    limits = _limits(trusted.limits, proposed.limits) if "limits" in given else proposed.limits
    protected = (
        _protected(trusted.protected, proposed.protected)
        if "protected" in given
        else proposed.protected
    )
    lockout = (
        _lockout(trusted.lockout, proposed.lockout) if "lockout" in given else proposed.lockout
    )
    alarm = _alarm(trusted.alarm, proposed.alarm) if "alarm" in given else proposed.alarm
    rollout = trusted.rollout if "rollout" in given else proposed.rollout
    drill = trusted.drill if "drill" in given else proposed.drill
    fail = _all(trusted.lint.fail, proposed.lint.fail)
    policy = Policy(
        manage=manage,
        limits=limits,
        protected=protected,
        lockout=lockout,
        alarm=alarm,
        lint=Lint(fail=fail),
        apply=_apply(trusted.apply, proposed.apply) if "apply" in given else proposed.apply,
        rollout=rollout,
        drill=drill,
    )
    return policy, list(_weaker(policy, proposed, file))


def stricter_places(
    policy: Policy,
    proposed: Policy,
    places: Mapping[str, Source],
    trusted_places: Mapping[str, Source],
) -> Mapping[str, Source]:
    """Where the values of the effective `policy` are given: in the trusted file, or in the state
    folder where its value, of `proposed`, is the effective one."""

    def decides(place: str) -> bool:
        table, key = place.split(".")[:2]
        return bool(getattr(getattr(policy, table), key) == getattr(getattr(proposed, table), key))

    own = {place: source for place, source in places.items() if decides(place)}
    return {**places, **trusted_places, **own}


def weakened(before: Policy, now: Policy, since: str) -> list[Finding]:
    """A warning for each table that is less strict than in the commit `since`."""
    tables = {
        "limits": _limits(before.limits, now.limits) != now.limits,
        "protected": _protected(before.protected, now.protected) != now.protected,
        "lockout": _lockout(before.lockout, now.lockout) != now.lockout,
        "alarm": _alarm(before.alarm, now.alarm) != now.alarm,
        "apply": _apply(before.apply, now.apply) != now.apply,
        "lint": not set(before.lint.fail) <= set(now.lint.fail),
        "drill": _seldom(before.drill) < _seldom(now.drill),
    }
    found = [
        _since(f"[{table}] is weaker than at {since}")
        for table, is_weaker in tables.items()
        if is_weaker
    ]
    kinds = sorted({*before.manage, *now.manage})
    changed = [kind for kind in kinds if before.managed(kind) != now.managed(kind)]
    if changed:
        found.append(_since(f"[manage] differs from {since}: {', '.join(changed)}"))
    return found


def new_waivers(before: Iterable[Waiver], now: Iterable[Waiver], since: str) -> list[Finding]:
    """A warning for each waiver that did not exist in the commit `since`, or lasts longer now."""
    known = {(one.code, one.address): one.expires for one in before}
    return [
        _since(f"{one.code} of {one.address} is waived, but was not at {since}", one.source)
        for one in now
        if one.expires > known.get((one.code, one.address), -1)
    ]


def fewer_demands(before: Desired, now: Desired, since: str) -> list[Finding]:
    """A warning where an [[expect]] of the commit `since` is gone or changed, for each [[rule]]
    that is gone or asks for less, and for each guest that is left out of backups, and each call
    that may write, only since then."""
    kept = {_demand(one) for one in _demands(now)}
    missing = [one for one in _demands(before) if _demand(one) not in kept]
    found = []
    if missing:
        tables = count(len(missing), "[[expect]] is", "[[expect]] are")
        listed = ", ".join(str(one.source) for one in missing[:MOST_PLACES])
        more = ", ..." if len(missing) > MOST_PLACES else ""
        found.append(_since(f"{tables} gone or changed since {since}: {listed}{more}"))
    for rule, how in weaker_rules(before.rules, now.rules):
        place = rule.source if how == "weaker" else None
        was = f", at {rule.source}" if how == "gone" else ""
        found.append(_since(f"rule {rule.name} is {how} since {since}{was}", place))
    could = {one.title for one in before.calls if one.harmless}
    found += [
        _since(
            f"`verify` may make {one.title}, which can change something; not so at {since}",
            one.source,
        )
        for one in now.calls
        if one.harmless and one.method != "GET" and one.title not in could
    ]
    known = {_left_out(one) for one in before.no_backup}
    return found + [
        _since(f"[[no_backup]] leaves out other guests than at {since}, or for longer", one.source)
        for one in now.no_backup
        if _left_out(one) not in known
    ]


def _demands(files: Desired) -> list[Expectation | CallExpectation]:
    return [*files.expectations, *files.calls]


def _demand(one: Expectation | CallExpectation) -> object:
    """The demand itself, regardless of its reason and location."""
    return one._replace(reason="", source=_NOWHERE)


def _left_out(one: NoBackup) -> NoBackup:
    return one._replace(reason="", source=_NOWHERE)


def _since(message: str, source: Source | None = None) -> Finding:
    hint = "review it as a policy change, separately from what it allows"
    return Finding(WEAKER_POLICY, Severity.WARNING, message, hint, source=source)


def _limits(one: Limits, other: Limits) -> Limits:
    delete = Limit(
        count=_least(one.delete.count, other.delete.count),
        percent=_least(one.delete.percent, other.delete.percent),
    )
    archives = min(one.archives, other.archives)
    return Limits(delete=delete, total=_least(one.total, other.total), archives=archives)


def _protected(one: Protected, other: Protected) -> Protected:
    return Protected(
        never_delete=_all(other.never_delete, one.never_delete),
        never_change=_all(other.never_change, one.never_change),
    )


def _lockout(one: Lockout, other: Lockout) -> Lockout:
    return Lockout(
        keep_self=_all(other.keep_self, one.keep_self),
        break_glass=_all(other.break_glass, one.break_glass),
        administrators=max(one.administrators, other.administrators),
    )


def _alarm(one: Alarm, other: Alarm) -> Alarm:
    return Alarm(
        logins=max(one.logins, other.logins),
        tokens=max(one.tokens, other.tokens),
        waivers=max(one.waivers, other.waivers),
    )


def _apply(one: Apply, other: Apply) -> Apply:
    return Apply(max_staleness=min(one.max_staleness, other.max_staleness))


def _seldom(drill: Drill) -> float:
    """Seconds within which each guest must be drilled."""
    return seconds_of(drill.every) if drill.every else math.inf


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _all(*globs: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(glob for some in globs for glob in some))


def _weaker(counts: Policy, proposed: Policy, file: str) -> Iterator[Finding]:
    """The tables of the state folder that are overridden."""
    for table in sorted(proposed.model_fields_set):
        if table != "lint" and getattr(counts, table) != getattr(proposed, table):
            how = "differs from" if table in {"manage", "drill"} else "is weaker than"
            message = f"[{table}] of the state folder {how} that of {file}, which counts"
            hint = "make it at least as strict, or remove it"
            yield Finding(WEAKER_POLICY, Severity.WARNING, message, hint)
