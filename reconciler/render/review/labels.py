"""Places of a review in words: `all guests`, `pool Dev (14 guests)`, `9001 web`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.access.review.privilege_catalog import Level, ResourceType
from reconciler.access.review.profiles import POOL, Holding, Profile
from reconciler.text.humanize import count, listed

_WHOLE = {
    "/vms": "guests",
    "/storage": "storages",
    "/pool": "pools",
    "/sdn": "networks",
    "/mapping": "device mappings",
    "/nodes": "nodes",
    "/access/groups": "users and groups",
    "/access/realm": "realms",
}
"""Name of everything below a path."""

_ITSELF = {"/": "the cluster", "/access": "roles"}

_NOUNS = {
    ResourceType.GUESTS: ("guest", "guests"),
    ResourceType.STORAGES: ("storage", "storages"),
    ResourceType.POOLS: ("pool", "pools"),
    ResourceType.NETWORK: ("network", "networks"),
    ResourceType.NODES: ("node", "nodes"),
    ResourceType.ACCESS: ("place", "places"),
    ResourceType.CLUSTER: ("place", "places"),
}

TITLES = {
    ResourceType.GUESTS: "Guests",
    ResourceType.STORAGES: "Storages",
    ResourceType.POOLS: "Pools",
    ResourceType.NETWORK: "Network",
    ResourceType.NODES: "Nodes",
    ResourceType.ACCESS: "Access",
    ResourceType.CLUSTER: "Whole cluster",
}
"""The column headers of the matrix, in order."""

SIGNERS = ("Reviewed by", "Approved by")
"""Two people sign a review; the labels of their lines."""

SHORT = 2
"""Number of names in a cell of the matrix."""


class CellLine(NamedTuple):
    """One line of a cell: a level, and where it is held."""

    level: Level
    where: str


class Places:
    """The places of one cluster. `guests`: ACL path -> name; `pools`: name -> ACL paths of its
    guests."""

    def __init__(self, guests: Mapping[str, str], pools: Mapping[str, Sequence[str]]) -> None:
        self._guests = guests
        self._pools = pools

    def where(self, holding: Holding, profile: Profile) -> tuple[str, ...]:
        """Each place of a holding; `profile`: everything that its principals hold."""
        return tuple(self._texts(holding.places, profile))

    def places(self, places: Sequence[str]) -> tuple[str, ...]:
        """Places without a holding."""
        return tuple(self._texts(places, ()))

    def parts(self, profile: Profile, sort: ResourceType) -> tuple[CellLine, ...]:
        """A cell of the matrix: the highest level first, each with a short name of its places."""
        found: dict[Level, list[str]] = {}
        for holding in profile:
            if holding.sort is sort:
                found.setdefault(holding.level, []).extend(holding.places)
        return tuple(
            CellLine(level, self._short(sort, found[level], _lower(found, level)))
            for level in sorted(found, reverse=True)
            if level
        )

    def _short(self, sort: ResourceType, places: Sequence[str], lower: Sequence[str]) -> str:
        """`lower`: where less is held."""
        if sort is ResourceType.CLUSTER:
            return ""
        whole = [noun for top, noun in _WHOLE.items() if f"{top}/-" in places]
        if len(whole) == 1 and sort in {ResourceType.ACCESS, ResourceType.NETWORK}:
            return whole[0]
        if whole:
            return f"all but {self._named(sort, lower)}" if lower else "all"
        return self._named(sort, places)

    def _named(self, sort: ResourceType, places: Sequence[str]) -> str:
        pools = [place.removeprefix(POOL) for place in places if place.startswith(POOL)]
        others = [place for place in places if not place.startswith(POOL)]
        told = []
        if pools:
            told.append(f"pool {pools[0]}" if len(pools) == 1 else count(len(pools), "pool"))
        if len(others) == 1:
            told.append(self._one(others[0]))
        elif len(others) <= SHORT and not pools:
            told += [place.rpartition("/")[2] or place for place in others]
        elif others:
            told.append(count(len(others), *_NOUNS[sort]))
        return ", ".join(told)

    def _texts(self, places: Sequence[str], profile: Profile) -> Iterator[str]:
        for place in places:
            top, below = place.rpartition("/")[0], place.endswith("/-")
            if below and top in _WHOLE:
                other = "other " if _has_exceptions(top, profile, places) else ""
                yield f"all {other}{_WHOLE[top]}"
            elif below:
                yield f"everything below {top}"
            elif place not in _WHOLE:
                yield self._one(place)
            elif f"{place}/-" not in places:
                yield f"{place} itself"

    def _one(self, place: str) -> str:
        if place.startswith(POOL):
            pool = place.removeprefix(POOL)
            return f"pool {pool} ({count(len(self._pools.get(pool, ())), 'guest')})"
        if place.startswith("/vms/"):
            name = self._guests.get(place, "")
            return f"{place.removeprefix('/vms/')} {name}".rstrip()
        for top in ("/storage/", "/nodes/", "/pool/"):
            if place.startswith(top):
                return place.removeprefix(top)
        if place.startswith("/access/"):
            kind, _, name = place.removeprefix("/access/").partition("/")
            return f"{kind.removesuffix('s')} {name}" if name else place
        return _ITSELF.get(place, place)


def _lower(found: Mapping[Level, Sequence[str]], level: Level) -> list[str]:
    """The places at which less than `level` is held."""
    return [place for below, places in found.items() if below < level for place in places]


def _has_exceptions(top: str, profile: Profile, own: Iterable[str]) -> bool:
    """Whether some place below `top` is held differently from the rest."""
    own = frozenset(own)
    return any(
        place not in own
        and (place.startswith(f"{top}/") or (top == "/vms" and place.startswith(POOL)))
        for holding in profile
        for place in holding.places
    )


def shortened(texts: Sequence[str], most: int = 12) -> str:
    """Some places as one string."""
    return listed(texts, most)
