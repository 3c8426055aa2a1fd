"""What a rule finds, and what all rules share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reconciler.access.any_member import stands_for
from reconciler.access.expectations.check import is_glob, matches
from reconciler.model.address import Address
from reconciler.model.custom_rule import CustomRule
from reconciler.model.declared import Expectation


class Breach(NamedTuple):
    """Who or what breaks a rule. `entries`: ACL entries that give what is not allowed."""

    address: Address
    message: str
    hint: str
    entries: tuple[Address, ...] = ()


def as_expectation(rule: CustomRule) -> Expectation:
    """A rule about privileges as the expectation by which it is evaluated."""
    return Expectation(
        who=rule.who or ("*",),
        paths=rule.paths or ("*",),
        can=(),
        cannot=rule.forbidden,
        but=rule.but,
        source=rule.source,
        cannot_both=rule.exclusive,
    )


def address_of(principal: str) -> Address:
    """Of a user or token; of the group, for those who stand for its future members."""
    if stands_for(principal):
        return Address("group", stands_for(principal))
    return Address("token" if "!" in principal else "user", principal)


def any_of(text: str, patterns: Iterable[str]) -> bool:
    """Whether a string is one of them, or matches one."""
    return any(
        matches(text, pattern) if is_glob(pattern) else text == pattern for pattern in patterns
    )
