"""The impact of a change: the difference in effective privileges, not in entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reconciler.access.analysis.affected import affected_principals
from reconciler.access.analysis.effects import AccessEffect, collect, compared, of_principal
from reconciler.access.analysis.equivalence import equivalence_classes
from reconciler.access.analysis.unexpected import Ends, UnexpectedAccess, unexpected_access
from reconciler.access.delta import Delta, difference
from reconciler.access.evaluate import index_of
from reconciler.access.login import Login, login
from reconciler.access.path_index import PathIndex, parents
from reconciler.access.table import AccessTable


class LoginChange(NamedTuple):
    """Principals that gain or lose the ability to log in; without it they hold nothing."""

    principals: tuple[str, ...]
    before: Login
    after: Login

    def to_json(self) -> dict[str, Any]:
        return {
            "principals": list(self.principals),
            "before": str(self.before),
            "after": str(self.after),
        }


@dataclass(frozen=True, slots=True)
class Impact:
    """Complete: what is not in `effects` does not change.

    Disabled and expired principals hold nothing. `paths`: every path evaluated.
    """

    effects: tuple[AccessEffect, ...] = ()
    logins: tuple[LoginChange, ...] = ()
    surprises: tuple[UnexpectedAccess, ...] = ()
    delta: Delta = field(default_factory=Delta)
    paths: PathIndex = field(default_factory=lambda: PathIndex(()))

    def of(self, principal: str) -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Path -> (gained, lost) for one principal."""
        return of_principal(self.effects, principal)

    def inverse(self) -> Impact:
        """The impact of a rollback, without surprises, which have a direction."""
        effects = (
            AccessEffect(one.principals, one.paths, one.lost, one.gained) for one in self.effects
        )
        logins = (LoginChange(one.principals, one.after, one.before) for one in self.logins)
        return Impact(
            tuple(sorted(effects)),
            tuple(sorted(logins)),
            delta=self.delta.inverse(),
            paths=self.paths,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "effects": [effect.to_json() for effect in self.effects],
            "logins": [change.to_json() for change in self.logins],
            "surprises": [surprise.to_json() for surprise in self.surprises],
        }


def impact(
    before: AccessTable, after: AccessTable, paths: Iterable[str] = (), now: int = 0
) -> Impact:
    """Gained and lost privileges by principal and path.

    Covers the paths that either table names, and `paths`: whatever else is known to exist,
    such as guests and storages without entries. `now` in Unix seconds; with 0 nothing counts as
    expired. Only what the difference of the tables can affect is evaluated.
    """
    delta = difference(before, after)
    where = known_paths((before, after), paths)
    reach = affected_principals(delta, before, after)
    changed = [
        compared(cell)
        for cell in equivalence_classes((before, after), reach, where, now)
        if cell.held[0].keys() != cell.held[1].keys()
    ]
    return Impact(
        collect(changed, where),
        _logins(before, after, reach, now),
        unexpected_access(Ends(before, after, delta, reach, where, now), changed),
        delta,
        where,
    )


def known_paths(tables: Iterable[AccessTable], paths: Iterable[str] = ()) -> PathIndex:
    """All paths that the tables name, with those above them, and `paths` with those above."""
    found = {path for table in tables for path in index_of(table).everything.paths}
    for path in paths:
        if path not in found:
            found.update((path, *parents(path)))
    return PathIndex(found)


def _logins(
    before: AccessTable, after: AccessTable, principals: Iterable[str], now: int
) -> tuple[LoginChange, ...]:
    changed: dict[tuple[Login, Login], list[str]] = {}
    for principal in principals:
        old, new = login(before, principal, now), login(after, principal, now)
        if (old is Login.ACTIVE) != (new is Login.ACTIVE):
            changed.setdefault((old, new), []).append(principal)
    return tuple(sorted(LoginChange(tuple(who), old, new) for (old, new), who in changed.items()))
