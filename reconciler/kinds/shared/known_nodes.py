"""Names of nodes that a cluster does not have; Proxmox VE accepts them silently."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.address import Address
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.text.humanize import in_prose
from reconciler.text.suggest import did_you_mean


def unknown_nodes(address: Address, named: Iterable[str], facts: Facts) -> Iterable[Finding]:
    """A warning for each node that `facts` does not know; none where the nodes were not read."""
    for node in named if facts.nodes else ():
        if node not in facts.nodes:
            known = f"the nodes are {in_prose(facts.nodes)}"
            yield Finding(
                "UNKNOWN_NODE",
                Severity.WARNING,
                f"{address} names the node {node}, which the cluster does not have",
                did_you_mean(node, facts.nodes) or known,
                address,
            )
