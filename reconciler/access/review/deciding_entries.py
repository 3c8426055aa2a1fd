"""The entries that grant a right: those that decide at the places where it is held."""

from __future__ import annotations

from functools import cache

from reconciler.access.review.profiles import POOL, Holding, all_active_profiles
from reconciler.access.table import AccessTable
from reconciler.access.trace import TracedEntry, deciding_entries
from reconciler.pve.acl_paths import chain

PLACES = 24
"""Places of a holding that are looked at; more have the same privileges."""


class EntriesBehind:
    """Of a table in which every account is looked at as if it could log in."""

    def __init__(self, table: AccessTable) -> None:
        self._table = all_active_profiles(table)
        self._members = {
            f"{POOL}{pool}": [f"/vms/{guest}" for guest in sorted(members.guests)]
            for pool, members in self._table.pools.items()
        }
        self._decide = cache(self._deciding)

    def of(self, principal: str, holding: Holding) -> tuple[TracedEntry, ...]:
        """The entries that give a principal what it holds there, the outermost first; none for
        root@pam."""
        found = {
            entry
            for place in holding.places[:PLACES]
            for entry in self._at(principal, place)
            if not self._table.roles.get(entry.role, frozenset()).isdisjoint(holding.privileges)
        }
        return tuple(sorted(found, key=lambda one: (len(chain(one.path)), one)))

    def _at(self, principal: str, place: str) -> tuple[TracedEntry, ...]:
        """A pool represents those of its guests that no entry of the principal names."""
        for member in self._members.get(place, ()):
            found = self._decide(principal, member)
            if all(entry.path != member for entry in found):
                return found
        return () if place.startswith(POOL) else self._decide(principal, place)

    def _deciding(self, principal: str, path: str) -> tuple[TracedEntry, ...]:
        return deciding_entries(self._table, principal, path)
