"""Who reaches what, as nodes and edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

from reconciler.access.any_member import stands_for
from reconciler.access.contents import ROOT, split_token
from reconciler.access.evaluate import privileges
from reconciler.access.table import AccessTable

EVERYTHING = "every privilege"
"""What root@pam has, without an entry."""

NO_EFFECT = "(no effect: its user has nothing there)"

_NAMED = 4
"""How many members of a pool are named."""


class NodeKind(StrEnum):
    """In the order in which access flows."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - a kind of principal
    GROUP = "group"
    PATH = "path"


class Node(NamedTuple):
    """`off`: it cannot log in. `holds`: what lies in a pool."""

    kind: NodeKind
    name: str
    off: bool = False
    holds: str = ""


class Edge(NamedTuple):
    """From a principal to a group or a path. `label`: the roles of a grant, "" for a membership.

    A dotted edge gives what is given below it only in part, or not by itself: a grant without
    propagation, or a token that has what its user has.
    """

    source: Node
    target: Node
    label: str = ""
    dotted: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """`asked` says where that is from; nodes and edges are sorted."""

    asked: str
    edges: tuple[Edge, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that an edge touches."""
        order = list(NodeKind)
        found = {node for edge in self.edges for node in (edge.source, edge.target)}
        return tuple(sorted(found, key=lambda node: (order.index(node.kind), node.name)))


def graph(table: AccessTable, asked: str, who: Sequence[str], paths: Sequence[str]) -> Graph:
    """The whole table, or what these globs over principals and paths let through.

    Groups of the selected principals are included; paths that lie in a selected pool are not.
    """
    edges = [edge for edge in _grants(table) if _matches(edge.target.name, paths)]
    members = list(_memberships(table))
    if who:
        chosen = {edge for edge in members if _matches(edge.source.name, who)}
        reached = {edge.target for edge in chosen}
        further = {edge for edge in members if edge.source in reached}
        members = list(chosen | further)
        reached |= {edge.target for edge in further}
        edges = [e for e in edges if _matches(e.source.name, who) or e.source in reached]
    granted = {edge.source for edge in edges}
    through = {edge.target for edge in members if edge.target.kind is not NodeKind.GROUP}
    useful = [
        edge for edge in members if edge.target in granted or (edge.target in through and not paths)
    ]
    return Graph(asked, tuple(sorted({*edges, *useful}, key=_order)))


def _order(edge: Edge) -> tuple[str, ...]:
    return (edge.source.kind, edge.source.name, edge.target.kind, edge.target.name)


def _matches(name: str, globs: Sequence[str]) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _principal(table: AccessTable, name: str) -> Node:
    if split_token(name) is not None:
        return Node(NodeKind.TOKEN, name)
    user = table.users.get(name)
    return Node(NodeKind.USER, name, off=user is not None and not user.enabled)


def _grants(table: AccessTable) -> Iterator[Edge]:
    for path, kinds in table.acl.items():
        for kind, holders in kinds.items():
            for name, roles in holders.items():
                if stands_for(name) or not roles:
                    continue
                source = Node(NodeKind.GROUP, name) if kind == "group" else _principal(table, name)
                label, dotted = ", ".join(sorted(roles)), not any(roles.values())
                if source.kind is NodeKind.TOKEN and not privileges(table, name, path):
                    label, dotted = f"{label} {NO_EFFECT}", True
                yield Edge(source, _place(table, path), label, dotted)
    if ROOT in table.users:
        yield Edge(_principal(table, ROOT), _place(table, "/"), EVERYTHING)


def _place(table: AccessTable, path: str) -> Node:
    pool = table.pools.get(path.removeprefix("/pool/"))
    if pool is None:
        return Node(NodeKind.PATH, path)
    inside = [*map(str, sorted(pool.guests)), *sorted(pool.storages)]
    more = f" and {len(inside) - _NAMED} more" if len(inside) > _NAMED else ""
    return Node(NodeKind.PATH, path, holds=", ".join(inside[:_NAMED]) + more)


def _memberships(table: AccessTable) -> Iterator[Edge]:
    for group, members in table.groups.items():
        for name in _named(members):
            yield Edge(_principal(table, name), Node(NodeKind.GROUP, group))
    for name, token in table.tokens.items():
        parts = split_token(name)
        if parts is not None and not token.privsep:
            yield Edge(Node(NodeKind.TOKEN, name), _principal(table, parts[0]), "", dotted=True)


def _named(members: Iterable[str]) -> Iterator[str]:
    return (name for name in sorted(members) if not stands_for(name))
