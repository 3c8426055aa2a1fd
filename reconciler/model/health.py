"""Whether a cluster is fit for a change: quorum, nodes, and whether its clock is ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from reconciler.text.humanize import count, duration, in_prose

CODES = frozenset({"NO_QUORUM", "NODE_OFFLINE", "NODES_DIFFER", "CLOCK_SKEW"})
"""Codes of findings that prevent a plan from being applied, and do not count as drift."""

SKEW = 60
"""Seconds by which the clocks may differ: `expires` and the end of a lock are judged by both."""


class Trouble(NamedTuple):
    """`code` of the finding, `what` is concerned, and what is wrong, in words."""

    code: str
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Health:
    """`quorate`: None where the caller may not see it. `nodes`: name -> whether it is online.

    `differing`: endpoints that answer otherwise than the one that was asked, with the words for it;
    `silent`: those that do not answer. `skew`: seconds by which the cluster's clock is ahead of
    this machine's; None where it tells no time.
    """

    quorate: bool | None = None
    nodes: tuple[tuple[str, bool], ...] = ()
    differing: tuple[tuple[str, str], ...] = ()
    silent: tuple[str, ...] = ()
    skew: float | None = None

    @property
    def offline(self) -> tuple[str, ...]:
        """The nodes that are not online."""
        return tuple(name for name, online in self.nodes if not online)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What speaks against a change, the worst first."""
        found = []
        if self.quorate is False:
            text = "the cluster has no quorum: Proxmox VE refuses every change"
            found.append(Trouble("NO_QUORUM", "cluster", text))
        found += [Trouble("NODE_OFFLINE", name, f"node {name} is offline") for name in self.offline]
        found += [Trouble("NODES_DIFFER", one, f"{one} {words}") for one, words in self.differing]
        if self.skew is not None and abs(self.skew) > SKEW:
            way = "ahead of" if self.skew > 0 else "behind"
            text = f"the cluster's clock is {duration(round(abs(self.skew)))} {way} this machine's"
            found.append(Trouble("CLOCK_SKEW", "cluster", text))
        return tuple(found)

    @property
    def words(self) -> str:
        """`3 nodes online, quorate`, or what is wrong."""
        online = sum(there for _, there in self.nodes)
        parts = [one.text for one in self.troubles if one.code != "NODE_OFFLINE"]
        if self.offline:
            parts.insert(0, f"{in_prose(self.offline)} of {count(len(self.nodes), 'node')} offline")
        if self.silent:
            parts.append(f"no answer from {in_prose(self.silent)}")
        if parts:
            return "; ".join(parts)
        told = {True: ", quorate", False: "", None: ""}[self.quorate]
        return f"{count(online, 'node')} online{told if len(self.nodes) > 1 else ''}"

    def to_json(self) -> dict[str, Any]:
        return {
            "quorate": self.quorate,
            "nodes": dict(self.nodes),
            "differing": dict(self.differing),
            "silent": list(self.silent),
            "clock_skew": None if self.skew is None else round(self.skew),
            "troubles": [one._asdict() for one in self.troubles],
        }


NOT_ASKED = Health()
