"""Who reaches what as a picture: Mermaid, DOT, SVG; and as text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence

from reconciler.access.graph import NO_EFFECT, Edge, Graph, Node, NodeKind
from reconciler.render import terminal
from reconciler.render.document import Document, Fact, Section, TextLine
from reconciler.render.json import document
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
            sections.append(Section(_named(node), lines, "grant"))
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
            lines += [f'    {ids[node]}["{_mermaid(_named(node))}"]' for node in inside]
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
        f"  {ids[node]} [label={_dot(_named(node))}, shape={shapes[node.kind]}];"
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


def _named(node: Node) -> str:
    told = "cannot log in" if node.off else node.holds
    return f"{node.name} ({told})" if told else node.name


_ROW, _COLUMN, _BOX, _LETTER, _TOP = 34, 360, 250, 7.2, 60


def svg(found: Graph, view: View) -> str:
    """One picture by itself, in the reader's own colours, with a text for screen readers."""
    del view
    columns = [(NodeKind.USER, NodeKind.TOKEN), (NodeKind.GROUP,), (NodeKind.PATH,)]
    shown = [[n for n in found.nodes if n.kind in kinds] for kinds in columns]
    shown = [nodes for nodes in shown if nodes]
    rows = max((len(nodes) for nodes in shown), default=1)
    places = {
        node: (20 + _COLUMN * column, _TOP + _ROW * row)
        for column, nodes in enumerate(shown)
        for row, node in enumerate(nodes)
    }
    wide, high = 20 + _COLUMN * len(shown), _TOP + _ROW * rows + 10
    title = _svg(_title(found))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" '
            f'height="{high}" role="img" aria-label="{title}">',
            f"<title>{title}</title>",
            _STYLE,
            f'<text x="20" y="30" class="head">{title}</text>',
            *(_line(edge, places) for edge in found.edges),
            *(_box(node, places[node]) for node in found.nodes),
            "</svg>\n",
        ]
    )


_STYLE = """<style>
svg { background: #fff; color: #1f2328; font: 13px system-ui, sans-serif }
text { fill: currentColor } .head { font-size: 16px; font-weight: 600 }
rect { fill: #f6f8fa; stroke: #8c959f } .group rect { stroke-dasharray: 4 2 } .off { opacity: .55 }
path { fill: none; stroke: #8c959f; stroke-width: 1.3 } .dotted { stroke-dasharray: 2 4 }
g:hover rect, path:hover { stroke: #0969da; stroke-width: 2.2 }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; color: #e6edf3 } rect { fill: #161b22; stroke: #656d76 }
}
</style>"""


def _box(node: Node, place: tuple[int, int]) -> str:
    x, y = place
    name = _named(node)
    most = int((_BOX - 20) / _LETTER)
    short = name if len(name) <= most else f"{name[: most - 1]}…"
    off = " off" if node.off else ""
    return (
        f'<g class="{node.kind}{off}"><title>{_svg(f"{node.kind} {name}")}</title>'
        f'<rect x="{x}" y="{y}" width="{_BOX}" height="26" rx="5"/>'
        f'<text x="{x + 10}" y="{y + 18}">{_svg(short)}</text></g>'
    )


def _line(edge: Edge, places: Mapping[Node, tuple[int, int]]) -> str:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    beside = x1 == x2
    x1, y1, y2 = x1 + _BOX, y1 + 13, y2 + 13
    x2 += _BOX if beside else 0
    bend = 40 if beside else (x2 - x1) // 2
    end = x2 + bend if beside else x2 - bend
    told = f"{edge.source.name} → {edge.label or edge.target.kind} → {edge.target.name}"
    kind = ' class="dotted"' if edge.dotted else ""
    return (
        f'<path{kind} d="M{x1} {y1} C{x1 + bend} {y1} {end} {y2} {x2} {y2}">'
        f"<title>{_svg(told)}</title></path>"
    )


def _svg(name: str) -> str:
    return html.escape(clean(name))


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
