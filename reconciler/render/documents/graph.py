"""Who reaches what as a picture: Mermaid, DOT, SVG; and as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from reconciler.access.graph import NO_EFFECT, Graph, Node, NodeKind
from reconciler.render import terminal
from reconciler.render.document import Document, Fact, Section, TextLine
from reconciler.render.json import document
from reconciler.render.picture import named, picture
from reconciler.render.view import View
from reconciler.text.humanize import counts
from reconciler.text.sanitize import clean

FORMAT = 1
_TITLES = {
    NodeKind.USER: "Users",
    NodeKind.TOKEN: "Tokens",
    NodeKind.GROUP: "Groups",
    NodeKind.PATH: "Paths",
}
_PLAIN = re.compile(r"[^A-Za-z0-9 ._/@!,+()-]")


def text(found: Graph, view: View) -> str:
    """Path by path, for a terminal."""
    sections = []
    for node in found.nodes:
        lines = tuple(_lines(found, node))
        if node.kind is NodeKind.PATH and lines:
            sections.append(Section(named(node), lines, "grant"))
    outline = Document(
        title=_title(found),
        facts=(Fact("asked", found.asked),),
        sections=tuple(sections),
        closing=(TextLine("As a picture: --format mermaid, dot, svg or markdown."),),
    )
    return terminal.render(outline, color=view.color, width=view.width)


def _lines(found: Graph, path: Node) -> Iterator[tuple[TextLine]]:
    for edge in found.edges:
        if edge.target == path:
            alone = edge.dotted and NO_EFFECT not in edge.label
            here = " (on this path only)" if alone else ""
            members = [e.source.name for e in found.edges if e.target == edge.source]
            who = f"{edge.source.kind} {edge.source.name}"
            inside = f": {', '.join(members)}" if members else ""
            yield (TextLine(f"{edge.label}{here}  {who}{inside}", indent=2),)


def _title(found: Graph) -> str:
    nodes = found.nodes
    kinds = [(sum(node.kind is kind for node in nodes), kind.value) for kind in NodeKind]
    grants = sum(edge.target.kind is NodeKind.PATH for edge in found.edges)
    return f"Access: {counts([*kinds, (grants, 'grant')]) or 'nothing granted'}"


def _ids(found: Graph) -> Mapping[Node, str]:
    return {node: f"n{number}" for number, node in enumerate(found.nodes)}


def mermaid(found: Graph, view: View) -> str:
    """A flowchart, from left to right."""
    del view
    ids = _ids(found)
    lines = ["flowchart LR"]
    for kind in NodeKind:
        inside = [node for node in found.nodes if node.kind is kind]
        if inside:
            lines.append(f'  subgraph {kind}s["{_TITLES[kind]}"]')
            lines += [f'    {ids[node]}["{_mermaid(named(node))}"]' for node in inside]
            lines.append("  end")
    for edge in found.edges:
        arrow = "-.->" if edge.dotted else "-->"
        label = f'|"{_mermaid(edge.label)}"|' if edge.label else ""
        lines.append(f"  {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
    return "\n".join(lines) + "\n"


def _mermaid(name: str) -> str:
    """Every character that Mermaid could read as something else by its number."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", clean(name))


def markdown(found: Graph, view: View) -> str:
    """GitHub, GitLab and Forgejo draw it."""
    return f"### {_title(found)}\n\n```mermaid\n{mermaid(found, view)}```\n"


def dot(found: Graph, view: View) -> str:
    """For Graphviz."""
    del view
    ids = _ids(found)
    shapes = dict.fromkeys(NodeKind, "box") | {NodeKind.PATH: "folder", NodeKind.GROUP: "tab"}
    lines = ["digraph access {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    lines += [
        f"  {ids[node]} [label={_dot(named(node))}, shape={shapes[node.kind]}];"
        for node in found.nodes
    ]
    for edge in found.edges:
        style = "dashed" if edge.dotted else "solid"
        label = f", label={_dot(edge.label)}" if edge.label else ""
        lines.append(f"  {ids[edge.source]} -> {ids[edge.target]} [style={style}{label}];")
    return "\n".join([*lines, "}"]) + "\n"


def _dot(name: str) -> str:
    escaped = clean(name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def svg(found: Graph, view: View) -> str:
    """A standalone picture, in the reader's own colours, with text for screen readers."""
    del view
    return picture([(edge, "") for edge in found.edges], _title(found))


def json(found: Graph, view: View) -> str:
    """For programs."""
    del view
    nodes: Sequence[Node] = found.nodes
    content = {
        "asked": found.asked,
        "nodes": [
            {
                "kind": node.kind,
                "name": node.name,
                "can_log_in": not node.off,
                "holds": node.holds,
            }
            for node in nodes
        ],
        "edges": [
            {
                "from": edge.source.name,
                "to": edge.target.name,
                "roles": edge.label,
                "dotted": edge.dotted,
            }
            for edge in found.edges
        ],
    }
    return document("graph", FORMAT, content)
