"""Which declared tokens are due for a new secret, by `rotate_after` and the age of the secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.kinds.token import ROTATE_AFTER
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.drift import ROTATION_DUE
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.spec import State
from reconciler.text.humanize import moment
from reconciler.text.shell import shell

_DAY = 86400


class Aged(NamedTuple):
    """A token with `rotate_after`, in seconds; `made`: when its secret was, 0 where that is not
    known on this machine."""

    address: Address
    source: Source
    after: int
    made: int

    def is_due(self, now: int) -> bool:
        return 0 < self.made <= now - self.after


def aged(desired: Desired, live: State, ages: Mapping[str, int]) -> Iterator[Aged]:
    """The declared tokens that are there and have a `rotate_after`, in order."""
    for address, declared in sorted(desired.objects.items()):
        after = declared.notes.get(ROTATE_AFTER, 0)
        if after and address in live:
            yield Aged(address, declared.source, after, ages.get(address.id, 0))


def has_any(desired: Desired) -> bool:
    """Whether any token has a `rotate_after`, so that ages have to be looked up."""
    return any(ROTATE_AFTER in declared.notes for declared in desired.objects.values())


def rotation(tokens: Iterable[Aged], now: int) -> Iterator[Finding]:
    """Those that are due, and those of which the age is not known."""
    for one in tokens:
        limit = f"rotate_after is {one.after // _DAY}d"
        if one.is_due(now):
            yield Finding(
                ROTATION_DUE,
                Severity.WARNING,
                f"the secret of {one.address} was created {moment(one.made)}, and {limit}",
                "`pvectl rotate --due` creates a new one",
                one.address,
                one.source,
            )
        elif not one.made:
            yield Finding(
                "SECRET_AGE_UNKNOWN",
                Severity.NOTE,
                f"this machine does not know the age of the secret of {one.address}; {limit}",
                f"`{shell('pvectl', 'rotate', one.address.id)}` creates a new one and records the "
                "date",
                one.address,
                one.source,
            )
