"""Which rules, `[[rule]]`, ask for less than they did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.model.custom_rule import CustomRule


def weaker_rules(
    before: Iterable[CustomRule], now: Iterable[CustomRule]
) -> Iterator[tuple[CustomRule, str]]:
    """Each rule that is gone or asks for less, with how."""
    there = {rule.name: rule for rule in now}
    for rule in before:
        other = there.get(rule.name)
        if other is None:
            yield rule, "gone"
        elif _asks_for_less(rule, other):
            yield other, "weaker"


def _asks_for_less(old: CustomRule, new: CustomRule) -> bool:
    """Whether something is accepted now that was not; in doubt it is."""
    more = (
        _within(new.roles, old.roles),
        _within(new.grantees, old.grantees),
        _within(new.realms, old.realms),
        _within(new.exclusive, old.exclusive),
        _within(old.forbidden, new.forbidden),
        _within(old.comment_on, new.comment_on),
        _within(new.but, old.but),
        not new.who or (bool(old.who) and _within(old.who, new.who)),
        not new.paths or (bool(old.paths) and _within(old.paths, new.paths)),
        new.lifetime <= old.lifetime,
        new.severity.rank <= old.severity.rank,
        _demand(old) == _demand(new),
    )
    return not all(more)


def _within(some: Iterable[str], all_: Iterable[str]) -> bool:
    return set(some) <= set(all_)


def _demand(rule: CustomRule) -> tuple[bool, ...]:
    """Which of the demands it makes."""
    return tuple(
        bool(one)
        for one in (
            rule.roles,
            rule.grantees,
            rule.realms,
            rule.exclusive,
            rule.forbidden,
            rule.comment_on,
            rule.lifetime,
            rule.privsep,
        )
    )
