"""A lineage as a picture: what a thing was made from stands to its left.

Layers in the manner of Sugiyama: a column for each distance from the sources. An edge that passes a
column keeps a lane in it, so that no line runs behind a box, and each enters its box at a port of its
own, so that the names of the roles do not meet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from prefline.pipeline.drawing import is_outside, origin_of, short, title_of
from prefline.pipeline.lineage import Edge, Lineage, Node

_WIDTH, _HEIGHT, _MARGIN = 208, 64, 20  # of a box, and around the picture
_COLUMN = _WIDTH + 124
_ROW, _LANE = _HEIGHT + 26, 30  # the height that a box takes, and the height that a passing edge takes
_STYLE = """
  svg { color-scheme: light dark; font: 13px ui-sans-serif, system-ui, sans-serif; background: #fff }
  rect { fill: #f4f6fa; stroke: #5b6b86; stroke-width: 1.2 }
  .outside rect { fill: none; stroke-dasharray: 4 3 }
  text { fill: #1b2330 }
  .faint, .role { fill: #55617a; font-size: 11px }
  .role { paint-order: stroke; stroke: #fff; stroke-width: 4px }
  path { fill: none; stroke: #5b6b86; stroke-width: 1.4 }
  marker path { fill: #5b6b86; stroke: none }
  @media (prefers-color-scheme: dark) {
    svg { background: #12161d }
    rect { fill: #1d2430; stroke: #8fa1bf }
    text { fill: #e8ecf3 }
    .faint, .role { fill: #a9b6cc }
    .role { stroke: #12161d }
    path { stroke: #8fa1bf }
    marker path { fill: #8fa1bf }
  }
"""


@dataclass(slots=True)
class _Spot:
    """A place in a column: a box, or the lane of an edge that passes."""

    column: int
    is_lane: bool
    y: float = 0.0  # of its middle
    inputs: list["_Spot"] = field(default_factory=list)

    @property
    def x(self) -> int:
        return _MARGIN + self.column * _COLUMN


def draw_svg(lineage: Lineage) -> str:
    """Draw the lineage from left to right."""
    boxes, paths = _lay_out(lineage)
    width = max((box.x for box in boxes.values()), default=0) + _WIDTH + _MARGIN
    spots = [*boxes.values(), *(spot for path in paths.values() for spot in path)]
    height = max((spot.y for spot in spots), default=0.0) + _HEIGHT / 2 + _MARGIN
    ports = _find_ports(lineage, boxes, paths)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" width="{width}" '
        f'height="{height:g}" role="img" aria-label="What artifacts were made from">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
        *(_draw_edge(boxes[edge.source], paths[edge], boxes[edge.target], ports[edge]) for edge in lineage.edges),
        *(_draw_role(edge, boxes[edge.target], ports[edge]) for edge in lineage.edges),
        *(_draw_box(node, boxes[node.id]) for node in lineage.nodes),
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def _lay_out(lineage: Lineage) -> tuple[dict[str, _Spot], dict[Edge, list[_Spot]]]:
    """Return the place of each box, and the lanes that each edge passes on its way."""
    boxes: dict[str, _Spot] = {}
    paths: dict[Edge, list[_Spot]] = {}
    columns: dict[int, list[_Spot]] = {}
    into = _edges_by_target(lineage)
    for node in lineage.nodes:  # inputs come first, so their columns are known
        column = 1 + max((boxes[edge.source].column for edge in into.get(node.id, [])), default=-1)
        box = boxes[node.id] = _Spot(column, is_lane=False)
        columns.setdefault(column, []).append(box)
        for edge in into.get(node.id, []):
            before = boxes[edge.source]
            paths[edge] = []
            for passed in range(before.column + 1, column):
                lane = _Spot(passed, is_lane=True, inputs=[before])
                columns.setdefault(passed, []).append(lane)
                paths[edge].append(lane)
                before = lane
            box.inputs.append(before)
    for column in sorted(columns):
        _stack(columns[column])
    return boxes, paths


def _stack(spots: list[_Spot]) -> None:
    """Place the spots of a column below each other, each as near as it can be to the middle of its inputs."""
    wanted = {id(spot): sum(one.y for one in spot.inputs) / max(len(spot.inputs), 1) for spot in spots}
    free = float(_MARGIN)
    for spot in sorted(spots, key=lambda spot: wanted[id(spot)]):
        half = (_LANE if spot.is_lane else _ROW) / 2
        spot.y = max(free + half, wanted[id(spot)])
        free = spot.y + half


def _edges_by_target(lineage: Lineage) -> dict[str, list[Edge]]:
    into: dict[str, list[Edge]] = {}
    for edge in lineage.edges:
        into.setdefault(edge.target, []).append(edge)
    return into


def _find_ports(lineage: Lineage, boxes: Mapping[str, _Spot], paths: Mapping[Edge, list[_Spot]]) -> dict[Edge, float]:
    """Return the height at which each edge enters its box: in the order in which they come, evenly apart."""
    ports: dict[Edge, float] = {}
    for target, edges in _edges_by_target(lineage).items():
        coming = sorted(edges, key=lambda edge: [boxes[edge.source], *paths[edge]][-1].y)
        gap = min(17.0, (_HEIGHT - 12) / len(coming))
        for index, edge in enumerate(coming):
            ports[edge] = boxes[target].y + (index - (len(coming) - 1) / 2) * gap
    return ports


def _draw_edge(source: _Spot, lanes: list[_Spot], target: _Spot, port: float) -> str:
    x, y = source.x + _WIDTH, source.y
    path = f"M{x} {y:g}"
    for lane in lanes:
        path += f"{_curve(x, y, lane.x, lane.y)}H{lane.x + _WIDTH}"
        x, y = lane.x + _WIDTH, lane.y
    return f'<path d="{path}{_curve(x, y, target.x, port)}" marker-end="url(#tip)"/>'


def _curve(x1: int, y1: float, x2: int, y2: float) -> str:
    # It bends early and ends level, which leaves room for the name of the role before the tip.
    return f"C{x1 + 30} {y1:g} {x1 + 20} {y2:g} {x1 + 50} {y2:g}H{x2}" if y1 != y2 else f"H{x2}"


def _draw_role(edge: Edge, target: _Spot, port: float) -> str:
    return f'<text class="role" x="{target.x - 12}" y="{port - 4:g}" text-anchor="end">{escape(edge.role)}</text>'


def _draw_box(node: Node, spot: _Spot) -> str:
    top = spot.y - _HEIGHT / 2
    lines = ("", _fit(title_of(node), 26)), ("faint", short(node.id)), ("faint", _fit(origin_of(node), 32))
    texts = "".join(
        f'<text class="{style}" x="{spot.x + 12}" y="{top + 22 + 16 * index:g}">{escape(text)}</text>'
        for index, (style, text) in enumerate(lines)
    )
    hint = escape("\n".join((title_of(node), node.id, origin_of(node))))
    return (
        f'<g class="{"outside" if is_outside(node) else "artifact"}"><title>{hint}</title>'
        f'<rect x="{spot.x}" y="{top:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>{texts}</g>'
    )


def _fit(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
