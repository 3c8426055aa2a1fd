"""Who reaches what, as nodes and edges, and as pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from reconciler.access.contents import PoolMembers, Principal
from reconciler.access.graph import EVERYTHING, NO_EFFECT, Graph, NodeKind, graph
from reconciler.access.table import AccessTable
from reconciler.errors import ExitStatus
from reconciler.render.documents.graph import mermaid, svg
from reconciler.render.view import View
from tests.cli.in_process import ask
from tests.cli.test_explain import TEAM


@pytest.fixture
def table() -> AccessTable:
    table = AccessTable(
        groups={"ops": {"ann@pve", "bob@pve"}, "idle": {"bob@pve"}},
        users={
            "root@pam": Principal(),
            "ann@pve": Principal(),
            "bob@pve": Principal(enabled=False),
            "ci@pve": Principal(),
        },
        tokens={
            "ci@pve!own": Principal(privsep=False),
            "ci@pve!lost": Principal(),
            "ann@pve!t": Principal(),
        },
        pools={"web": PoolMembers(frozenset(range(100, 106)), frozenset({"nfs"}))},
    )
    table.add_entry("/pool/web", "group", "ops", "PVEVMUser", propagate=True)
    table.add_entry("/pool/web", "token", "ann@pve!t", "PVEVMUser", propagate=True)
    table.add_entry("/vms/7", "token", "ci@pve!lost", "PVEVMAdmin", propagate=True)
    table.add_entry("/", "user", "ci@pve", "PVEAuditor", propagate=False)
    return table


def edges(found: Graph) -> set[tuple[str, str, str, bool]]:
    return {(one.source.name, one.target.name, one.label, one.dotted) for one in found.edges}


def test_grants_memberships_and_tokens_are_edges(table: AccessTable) -> None:
    assert edges(graph(table, "", (), ())) == {
        ("ann@pve", "ops", "", False),
        ("bob@pve", "ops", "", False),
        ("ops", "/pool/web", "PVEVMUser", False),
        ("ann@pve!t", "/pool/web", "PVEVMUser", False),
        ("ci@pve!lost", "/vms/7", f"PVEVMAdmin {NO_EFFECT}", True),
        ("ci@pve", "/", "PVEAuditor", True),
        ("ci@pve!own", "ci@pve", "", True),
        ("root@pam", "/", EVERYTHING, False),
    }


@pytest.mark.parametrize(
    ("who", "paths", "expected"),
    [
        (("ann@pve",), (), {("ann@pve", "ops"), ("ops", "/pool/web")}),
        (("ops",), (), {("ops", "/pool/web")}),
        (("ci@pve!own",), (), {("ci@pve!own", "ci@pve"), ("ci@pve", "/")}),
        ((), ("/vms/*",), {("ci@pve!lost", "/vms/7")}),
        (("nobody@pve",), (), set()),
    ],
)
def test_globs_narrow_it(
    who: tuple[str, ...], paths: tuple[str, ...], expected: set[tuple[str, str]], table: AccessTable
) -> None:
    found = graph(table, "", who, paths)
    assert {(one.source.name, one.target.name) for one in found.edges} == expected


def test_a_pool_names_what_lies_in_it_and_who_cannot_log_in_is_reported(table: AccessTable) -> None:
    found = graph(table, "", (), ())
    (pool,) = (node for node in found.nodes if node.name == "/pool/web")
    assert pool.holds == "100, 101, 102, 103 and 3 more"
    assert [node.name for node in found.nodes if node.off] == ["bob@pve"]
    assert [node.kind for node in found.nodes] == sorted(
        (node.kind for node in found.nodes), key=list(NodeKind).index
    )


def test_each_node_and_edge_is_in_the_pictures(table: AccessTable) -> None:
    found = graph(table, "", (), ())
    drawn = mermaid(found, View(now=0))
    assert drawn.count("-->") + drawn.count("-.->") == len(found.edges)
    picture = ET.fromstring(svg(found, View(now=0)))  # noqa: S314 - our own
    named = [one.text for one in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert len(named) == 1 + len(found.nodes) + len(found.edges)
    assert "user bob@pve (cannot log in)" in named


def test_the_command_draws_a_cluster() -> None:
    told = ask("graph", on=TEAM)
    assert told.status == ExitStatus.OK
    assert "As a picture" in told.out
    assert ask("graph", "--format", "mermaid", on=TEAM).out.startswith("flowchart LR")
    assert "```mermaid" in ask("graph", "--format", "markdown", on=TEAM).out
