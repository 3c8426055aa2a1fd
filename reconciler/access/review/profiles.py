"""The privileges of all principals, as brief as possible without loss.

For each sort of place: the privileges of a principal on all of them, and where they differ. A place
is an ACL path; `PARENT/-` stands for everything below the parent that is not named, `pool:NAME` for
the guests of a pool that are not named. Principals that hold the same share a profile.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import NamedTuple

from reconciler.access.analysis.affected import dangling_users, owner_of
from reconciler.access.analysis.equivalence import signature
from reconciler.access.contents import ROOT, Principal
from reconciler.access.evaluate import index_of, privileges
from reconciler.access.path_index import order, parents
from reconciler.access.review.privilege_catalog import Level, ResourceType, counting, level
from reconciler.access.table import AccessTable

POOL = "pool:"

ANCHORS = (
    "/",
    "/access",
    "/access/groups",
    "/access/groups/-",
    "/access/realm",
    "/access/realm/-",
    "/mapping",
    "/mapping/-",
    "/nodes",
    "/nodes/-",
    "/pool",
    "/pool/-",
    "/sdn",
    "/sdn/-",
    "/storage",
    "/storage/-",
    "/vms",
    "/vms/-",
)
"""Places evaluated for every principal."""

Values = Mapping[str, frozenset[str]]
"""Place -> the privileges held there that count there"""


class Holding(NamedTuple):
    """The same privileges on some places of one sort; only those that count there.

    Without privileges: nothing is held on these places, unlike around them.
    """

    sort: ResourceType
    privileges: tuple[str, ...]
    places: tuple[str, ...]

    @property
    def level(self) -> Level:
        return level(self.privileges)


Profile = tuple[Holding, ...]
"""By sort, then the highest level first"""


class Holdings(NamedTuple):
    """`of`: user or token -> number of its profile in `profiles`; the first one is empty.

    `pools`: name -> the ACL paths of its guests.
    """

    profiles: tuple[Profile, ...]
    of: Mapping[str, int]
    pools: Mapping[str, tuple[str, ...]]


def holdings(table: AccessTable, only: Collection[str] | None = None) -> Holdings:
    """The privileges of all users, always including root@pam, and tokens; or `only` of these.

    As if all of them could log in: enabling an account, extending its expiry, or creating a user
    that is only named is easy. Tokens of users that nothing names hold nothing.
    """
    work = all_active_profiles(table)
    ground = _Ground(work)
    found: dict[Profile, int] = {(): 0}
    known: dict[Hashable, int] = {None: 0}
    of = {}
    everybody = {*work.users, *work.tokens}
    for principal in sorted(everybody if only is None else everybody.intersection(only)):
        sign = signature(work, principal)
        if sign not in known:
            known[sign] = found.setdefault(ground.profile(principal), len(found))
        of[principal] = known[sign]
    return Holdings(tuple(found), of, ground.pools)


def all_active_profiles(table: AccessTable) -> AccessTable:
    """A copy in which no principal is disabled or expired, and all named users exist."""
    work = table.copy()
    work.users = dict.fromkeys([ROOT, *table.users, *dangling_users(table)], Principal())
    work.tokens = {name: Principal(privsep=token.privsep) for name, token in table.tokens.items()}
    return work


def around(place: str, values: Values, pool: str = "") -> frozenset[str]:
    """What is held on a place that is not named itself; `pool`: the one that it is in."""
    if pool and POOL + pool in values:
        return values[POOL + pool]
    for above in parents(place):
        rest = f"{above}/-"
        if rest != place and rest in values:
            return values[rest]
    return frozenset()


class _Block(NamedTuple):
    """Paths that are members of the same pools; `place` represents all of them, if possible."""

    parent: str
    pools: tuple[str, ...]
    members: tuple[str, ...]
    place: str


class _Ground:
    """Data shared by all principals."""

    def __init__(self, table: AccessTable) -> None:
        self._table = table
        self._index = index_of(table)
        self._blocks = list(self._divide())
        self._pool_of = {
            path: block.pools[0].removeprefix("/pool/")
            for block in self._blocks
            if block.place
            for path in block.members
        }
        members: dict[str, list[str]] = {}
        for path, pool in self._pool_of.items():
            members.setdefault(pool, []).append(path)
        self.pools = {pool: tuple(sorted(members[pool], key=order)) for pool in sorted(members)}

    def _divide(self) -> Iterator[_Block]:
        alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for path, pools in self._index.pools_of.items():
            if pools:
                alike.setdefault((path.rpartition("/")[0], pools), []).append(path)
        for (parent, pools), paths in alike.items():
            alone = parent == "/vms" and len(pools) == 1
            place = POOL + pools[0].removeprefix("/pool/") if alone else ""
            yield _Block(parent, pools, tuple(paths), place)

    def profile(self, principal: str) -> Profile:
        """All privileges of one principal."""
        cuts = frozenset(self._cuts(principal))
        values = {
            place: self._held(principal, place) for place in (*ANCHORS, *self._below(sorted(cuts)))
        }
        for place, held in self._pooled(principal, cuts):
            values.setdefault(place, held)
        found: dict[tuple[ResourceType, frozenset[str]], list[str]] = {}
        for place, held in values.items():
            if held != (frozenset() if place in ANCHORS else self._around(place, values)):
                found.setdefault((_sort(place), held), []).append(place)
        rows = (
            Holding(sort, tuple(sorted(held)), tuple(sorted(places, key=order)))
            for (sort, held), places in found.items()
        )
        return tuple(sorted(rows, key=_position))

    def _cuts(self, principal: str) -> Iterator[str]:
        """The paths with entries of the principal, its groups, or its owner."""
        owner = owner_of(principal)
        if owner is None or self._table.tokens[principal].privsep:
            yield from self._index.nodes(principal)
        if owner is not None:
            yield from self._index.nodes(owner)

    def _below(self, cuts: list[str]) -> Iterator[str]:
        """The places at and below entries that may differ from those around them."""
        for cut in cuts:
            if counting(cut) is None:
                continue
            yield cut
            if cut.startswith(("/mapping/", "/sdn/")):
                yield f"{cut}/-"
            if cut.startswith("/pool/"):
                yield from (pool for pool in self._index.members if pool.startswith(f"{cut}/"))

    def _pooled(self, principal: str, cuts: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
        """The privileges of pool members. Pools without entries of their own are alike, but being
        in one as well counts: it may inherit NoAccess."""
        granted = {
            pool
            for pool in self._index.members
            if any(above in cuts for above in _pools_above(pool))
        }
        everywhere = not cuts.isdisjoint({"/", "/pool"})
        known: dict[tuple[str, tuple[str, ...], bool], frozenset[str]] = {}
        for block in self._blocks if granted or everywhere else ():
            special = tuple(pool for pool in block.pools if pool in granted)
            plain = [path for path in block.members if path not in cuts]
            if plain and (special or everywhere):
                key = (block.parent, special, len(special) < len(block.pools))
                if key not in known:
                    known[key] = self._held(principal, plain[0])
                for place in (block.place,) if block.place else plain:
                    yield place, known[key]

    def _held(self, principal: str, path: str) -> frozenset[str]:
        found = counting(path)
        if found is None:
            return frozenset()
        held = privileges(self._table, principal, path)
        return frozenset(name for name in held if name.startswith(found[1]))

    def _around(self, place: str, values: Values) -> frozenset[str]:
        if place.startswith(POOL):
            return values["/vms/-"]
        return around(place, values, self._pool_of.get(place, ""))


def _pools_above(pool: str) -> Iterator[str]:
    """The pool's own path and those of the pools around it."""
    yield pool
    yield from (above for above in parents(pool) if above.startswith("/pool/"))


def _sort(place: str) -> ResourceType:
    found = counting(place)
    return ResourceType.GUESTS if found is None else found[0]


def _position(holding: Holding) -> tuple[int, int, tuple[str, ...], tuple[str, ...]]:
    sorts = list(ResourceType)
    return sorts.index(holding.sort), -holding.level, holding.privileges, holding.places
