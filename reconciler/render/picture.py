"""Grants and memberships as SVG, in the reader's own colours, with text for screen readers."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from reconciler.access.graph import Edge, Node, NodeKind
from reconciler.text.sanitize import clean

ROW, _COLUMN, _BOX, _LETTER, _TOP = 34, 360, 250, 7.2, 60
_COLUMNS = ((NodeKind.USER, NodeKind.TOKEN), (NodeKind.GROUP,), (NodeKind.PATH,))
_WORDS = {"+": "new", "-": "removed", "~": "changed"}
_CLASSES = {"+": "came", "-": "went", "~": "other"}

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


def named(node: Node) -> str:
    """The name of a node, with what must be known of it."""
    told = "cannot log in" if node.off else node.holds
    return f"{node.name} ({told})" if told else node.name


def told(edge: Edge, mark: str = "") -> str:
    """An edge in words: `new: alice@pve → PVEAdmin → /vms/100`."""
    way = f"{edge.source.name} → {edge.label or edge.target.kind} → {edge.target.name}"
    return f"{_WORDS[mark]}: {way}" if mark else way


def picture(edges: Iterable[tuple[Edge, str]], title: str, *, inside: bool = False) -> str:
    """Edges with their marks: `+`, `-`, `~` or none. `inside`: part of a page, which has the title
    and the style."""
    drawn = list(edges)
    nodes = nodes_of(edge for edge, _ in drawn)
    shown = [[node for node in nodes if node.kind in kinds] for kinds in _COLUMNS]
    shown = [column for column in shown if column]
    top = 10 if inside else _TOP
    places = {
        node: (20 + _COLUMN * column, top + ROW * row)
        for column, those in enumerate(shown)
        for row, node in enumerate(those)
    }
    rows = max((len(those) for those in shown), default=1)
    wide, high = _COLUMN * len(shown) - (_COLUMN - _BOX) + 70, top + ROW * rows + 10
    name = _safe(title)
    head = [] if inside else [_STYLE, f'<text x="20" y="30" class="head">{name}</text>']
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" '
            f'height="{high}" role="img" aria-label="{name}">',
            f"<title>{name}</title>",
            *head,
            *(_line(edge, mark, places) for edge, mark in drawn),
            *(_box(node, places[node]) for node in nodes),
            *(_sign(edge, mark, places) for edge, mark in drawn if mark),
            "</svg>\n",
        ]
    )


def nodes_of(edges: Iterable[Edge]) -> Sequence[Node]:
    """Every node that an edge touches, by kind and name."""
    order = list(NodeKind)
    found = {node for edge in edges for node in (edge.source, edge.target)}
    return sorted(found, key=lambda node: (order.index(node.kind), node.name))


def _box(node: Node, place: tuple[int, int]) -> str:
    x, y = place
    name = named(node)
    most = int((_BOX - 20) / _LETTER)
    short = name if len(name) <= most else f"{name[: most - 1]}…"
    off = " off" if node.off else ""
    return (
        f'<g class="{node.kind}{off}"><title>{_safe(f"{node.kind} {name}")}</title>'
        f'<rect x="{x}" y="{y}" width="{_BOX}" height="26" rx="5"/>'
        f'<text x="{x + 10}" y="{y + 18}">{_safe(short)}</text></g>'
    )


Places = Mapping[Node, tuple[int, int]]


def _ends(edge: Edge, places: Places) -> tuple[int, int, int, int, int, int]:
    """Both ends, then the x of both points that bend the line."""
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    beside = x1 == x2
    x1, y1, y2 = x1 + _BOX, y1 + 13, y2 + 13
    x2 += _BOX if beside else 0
    bend = 40 if beside else (x2 - x1) // 2
    return x1, y1, x2, y2, x1 + bend, x2 + bend if beside else x2 - bend


def _line(edge: Edge, mark: str, places: Places) -> str:
    x1, y1, x2, y2, bend, end = _ends(edge, places)
    classes = [*(["dotted"] if edge.dotted else []), *([_CLASSES[mark]] if mark else [])]
    kind = f' class="{" ".join(classes)}"' if classes else ""
    return (
        f'<path{kind} d="M{x1} {y1} C{bend} {y1} {end} {y2} {x2} {y2}">'
        f"<title>{_safe(told(edge, mark))}</title></path>"
    )


def _sign(edge: Edge, mark: str, places: Places) -> str:
    """The mark on the line: colour alone does not tell. Off its middle, where others cross it, and
    beside the boxes of the columns between."""
    x1, y1, x2, y2, bend, end = _ends(edge, places)
    at = 0.85 if x2 - x1 > _COLUMN else 0.35
    first, last = (1 - at) ** 3, at**3
    near, far = 3 * at * (1 - at) ** 2, 3 * at**2 * (1 - at)
    x = round(first * x1 + near * bend + far * end + last * x2)
    y = round((first + near) * y1 + (far + last) * y2)
    shown = "−" if mark == "-" else mark  # noqa: RUF001 - a minus sign is as wide as a plus
    return (
        f'<g class="sign {_CLASSES[mark]}" aria-hidden="true"><circle cx="{x}" cy="{y}" r="7"/>'
        f'<text x="{x}" y="{y + 4}" text-anchor="middle">{shown}</text></g>'
    )


def _safe(name: str) -> str:
    return html.escape(clean(name))
