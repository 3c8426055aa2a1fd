"""What has changed between two access reviews, from their JSON documents alone.

Privileges are compared place by place: replacing single entries by a pool or a group is not a
change as long as all principals hold the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

from reconciler.access.contents import TOKEN
from reconciler.access.path_index import order
from reconciler.access.review.accounts import Age
from reconciler.access.review.privilege_catalog import ResourceType, counting
from reconciler.access.review.profiles import ANCHORS, POOL, Values, around
from reconciler.invalid_value import InvalidValue

FORMAT = 1
"""Of the JSON document of a review."""


class Changed(NamedTuple):
    """A changed fact about a user or token; strings as in the document."""

    principal: str
    field: str
    before: str
    after: str


class RightsChange(NamedTuple):
    """All `principals` gained and lost the same on all `places` of one sort."""

    principals: tuple[str, ...]
    sort: str
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    places: tuple[str, ...]


class RoleChange(NamedTuple):
    """`what`: new, gone or changed, with the privileges that came and went."""

    role: str
    what: str
    gained: tuple[str, ...]
    lost: tuple[str, ...]


class ReviewComparison(NamedTuple):
    """From the review of `cluster` at `taken` (Unix seconds) to a later one.

    For new and removed accounts no privileges are listed. `ways`: principals that can newly become
    root, or no longer can, each with the text of the first step, or "" if it is root itself.
    `grants`: as in `ROLE for KIND NAME on PATH`.
    """

    cluster: str
    taken: int
    accounts_new: tuple[str, ...] = ()
    accounts_gone: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()
    rights: tuple[RightsChange, ...] = ()
    roles: tuple[RoleChange, ...] = ()
    ways_new: tuple[tuple[str, str], ...] = ()
    ways_gone: tuple[tuple[str, str], ...] = ()
    grants_new: tuple[str, ...] = ()
    grants_gone: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not any(self[2:])

    def to_json(self) -> dict[str, Any]:
        return {
            **self._asdict(),
            "changed": [one._asdict() for one in self.changed],
            "rights": [one._asdict() for one in self.rights],
            "roles": [one._asdict() for one in self.roles],
        }


def compare_reviews(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> ReviewComparison:
    """`earlier` has passed `check`; raises ValueError if it is damaged nevertheless."""
    with _reading(earlier):
        return _compare(_Side(earlier), _Side(later))


def review_snapshot(earlier: Mapping[str, Any]) -> dict[str, Age]:
    """Minimum ages of tokens according to an earlier review; ValueError for a damaged one."""
    with _reading(earlier):
        found = {}
        for one in earlier["accounts"]:
            if one["kind"] == TOKEN:
                age = one["age"] or {"since": earlier["taken"], "exact": False}
                found[str(one["principal"])] = Age(int(age["since"]), bool(age["exact"]))
        return found


def check(document: object) -> None:
    """Raises ValueError if this version cannot compare `document`."""
    if not isinstance(document, Mapping) or document.get("kind") != "review":
        raise ValueError("this is not an access review")
    if document.get("format") != FORMAT:
        raise InvalidValue(
            f"its format is {document.get('format')}", f"this version reads {FORMAT}"
        )
    review_snapshot(document)
    compare_reviews(document, document)


@contextmanager
def _reading(document: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise ValueError("parts of the document are missing or damaged") from None


class _Side:
    """One of the two documents."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.accounts = {str(one["principal"]): one for one in document["accounts"]}
        self.profile_of = {who: int(one["profile"]) for who, one in self.accounts.items()}
        self.roles = {
            str(one["role"]): _texts(one["privileges"])
            for one in document["roles"]
            if not one["built_in"]
        }
        self.pools = {
            str(pool): [str(path) for path in paths] for pool, paths in document["pools"].items()
        }
        self._values: dict[int, Values] = {}

    @cached_property
    def pool_of(self) -> dict[str, str]:
        return {path: pool for pool, paths in self.pools.items() for path in paths}

    @cached_property
    def ways(self) -> dict[tuple[str, ...], tuple[str, str]]:
        """Principal and beginning -> principal and the first step in words, "" for root itself."""
        found = {}
        for way in self.document["ways"]:
            text = str(way["steps"][0]["text"]) if way["steps"] else ""
            for who in map(str, way["principals"]):
                found[who, *map(str, way["key"])] = (who, text)
        return found

    def values(self, principal: str) -> Values:
        """What is held on the places that its profile names."""
        number = self.profile_of[principal]
        if number not in self._values:
            self._values[number] = {
                str(place): _texts(holding["privileges"])
                for holding in self.document["profiles"][number]
                for place in holding["places"]
            }
        return self._values[number]

    def named(self, values: Values) -> Iterator[str]:
        """The paths that a profile names, by themselves or by their pool."""
        for place in values:
            if place.startswith(POOL):
                yield from self.pools.get(place.removeprefix(POOL), ())
            else:
                yield place

    def held(self, values: Values, path: str) -> frozenset[str]:
        if path in values:
            return values[path]
        return frozenset() if path in ANCHORS else around(path, values, self.pool_of.get(path, ""))


def _compare(old: _Side, new: _Side) -> ReviewComparison:
    both = [who for who in new.accounts if who in old.accounts]
    return ReviewComparison(
        cluster=str(old.document["cluster"]),
        taken=int(old.document["taken"]),
        accounts_new=tuple(who for who in new.accounts if who not in old.accounts),
        accounts_gone=tuple(who for who in old.accounts if who not in new.accounts),
        changed=tuple(
            change for who in both for change in _facts(who, old.accounts[who], new.accounts[who])
        ),
        rights=tuple(_rights(old, new, both)),
        roles=tuple(_roles(old.roles, new.roles)),
        ways_new=tuple(sorted(new.ways[key] for key in new.ways.keys() - old.ways.keys())),
        ways_gone=tuple(sorted(old.ways[key] for key in old.ways.keys() - new.ways.keys())),
        grants_new=tuple(sorted(_grants(new) - _grants(old))),
        grants_gone=tuple(sorted(_grants(old) - _grants(new))),
    )


_FACTS = ("login", "groups", "privsep", "second_factor")


def _facts(who: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Changed]:
    expiries = str(int(old["expires"])), str(int(new["expires"]))
    if expiries[0] != expiries[1]:
        yield Changed(who, "expires", *expiries)
    for field in _FACTS:
        before, after = _text(old.get(field, "")), _text(new.get(field, ""))
        if before != after:
            yield Changed(who, field, before, after)


def _texts(values: Iterable[object]) -> frozenset[str]:
    return frozenset(map(str, values))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _rights(old: _Side, new: _Side, principals: Iterable[str]) -> list[RightsChange]:
    alike: dict[tuple[int, int], list[str]] = {}
    for who in principals:
        key = (old.profile_of[who], new.profile_of[who])
        alike.setdefault(key, []).append(who)
    found: dict[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for who_all in alike.values():
        for difference in _differences(old, new, who_all[0]):
            found.setdefault(difference, []).extend(who_all)
    changes = [RightsChange(tuple(sorted(who)), *difference) for difference, who in found.items()]
    return sorted(changes, key=lambda one: (-len(one.principals), one))


def _differences(
    old: _Side, new: _Side, who: str
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    before, after = old.values(who), new.values(who)
    found: dict[tuple[ResourceType, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for path in sorted({*old.named(before), *new.named(after)}, key=order):
        kind = counting(path)
        was, now = old.held(before, path), new.held(after, path)
        if was != now and kind is not None:
            key = (kind[0], tuple(sorted(now - was)), tuple(sorted(was - now)))
            found.setdefault(key, []).append(path)
    for (sort, gained, lost), paths in found.items():
        yield str(sort), gained, lost, tuple(paths)


def _roles(
    old: Mapping[str, frozenset[str]], new: Mapping[str, frozenset[str]]
) -> Iterator[RoleChange]:
    for role in sorted({*old, *new}):
        before, after = old.get(role), new.get(role)
        if before != after:
            what = "new" if before is None else "gone" if after is None else "changed"
            was, now = before or frozenset(), after or frozenset()
            yield RoleChange(role, what, tuple(sorted(now - was)), tuple(sorted(was - now)))


def _grants(side: _Side) -> frozenset[str]:
    return frozenset(
        f"{one['role']} for {one['kind']} {one['principal']} on {one['path']}"
        f"{'' if one['propagate'] else ', not below it'}"
        for one in side.document["grants"]
    )
