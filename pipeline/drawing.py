"""A lineage as text for a terminal, as DOT for Graphviz, and as an SVG that needs neither."""

from xml.sax.saxutils import escape

from prefline.pipeline.lineage import Edge, Lineage, Node

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 208, 62, 92, 26, 20
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


def short(node_id: str) -> str:
    """The first twelve digits of a digest, enough for people."""
    return node_id.rpartition(":")[2][:12]


def _title(node: Node) -> str:
    return f"{node.kind} {' '.join(node.names)}".rstrip()


def _origin(node: Node) -> str:
    """Where it comes from: the stage and the feedback, or the name of what is outside the store."""
    return " · ".join([node.stage, *([", ".join(node.feedback)] if node.feedback else [])])


def draw_text(lineage: Lineage) -> str:
    """Draw a tree for each artifact that nothing else was made from, its inputs below it."""
    nodes = {node.id: node for node in lineage.nodes}
    used = {edge.source for edge in lineage.edges}
    inputs: dict[str, list[Edge]] = {}
    for edge in lineage.edges:
        inputs.setdefault(edge.target, []).append(edge)
    lines: list[str] = []
    seen: set[str] = set()
    pending = [(node.id, "", "", "") for node in reversed(lineage.nodes) if node.id not in used]
    while pending:
        node_id, role, stem, indent = pending.pop()
        node = nodes[node_id]
        repeated = node_id in seen and bool(inputs.get(node_id))
        lines.append(
            f"{stem}{role}{_title(node)}  {short(node_id)}  {_origin(node)}{'  (drawn above)' if repeated else ''}"
        )
        if repeated:
            continue
        seen.add(node_id)
        below = inputs.get(node_id, [])
        for edge in reversed(below):
            last = edge is below[-1]
            branch, rail = ("└─ ", "   ") if last else ("├─ ", "│  ")
            pending.append((edge.source, f"{edge.role}: ", indent + branch, indent + rail))
    return "".join(f"{line}\n" for line in lines)


def draw_dot(lineage: Lineage) -> str:
    """Write the lineage for `dot -Tpdf` and the like."""
    lines = ["digraph lineage {", "  rankdir=LR;", "  node [shape=box, fontname=sans];"]
    for node in lineage.nodes:
        label = "\\n".join(_quote(text) for text in (_title(node), short(node.id), _origin(node)))
        lines.append(f'  "{node.id}" [label="{label}"{", style=dashed" if _is_outside(node) else ""}];')
    lines += [f'  "{edge.source}" -> "{edge.target}" [label="{_quote(edge.role)}"];' for edge in lineage.edges]
    return "\n".join([*lines, "}", ""])


def draw_svg(lineage: Lineage) -> str:
    """Draw the lineage from left to right, each artifact to the right of all that it was made from."""
    places = _place(lineage)
    width = max((x for x, _ in places.values()), default=0) + _WIDTH + _MARGIN
    height = max((y for _, y in places.values()), default=0) + _HEIGHT + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="Lineage of {len(lineage.nodes)} artifacts">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
        *(_svg_edge(edge, places) for edge in lineage.edges),
        *(_svg_node(node, *places[node.id]) for node in lineage.nodes),
        *(_svg_role(edge, places) for edge in lineage.edges),
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def _is_outside(node: Node) -> bool:
    return node.kind in ("file", "absent")


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _place(lineage: Lineage) -> dict[str, tuple[int, int]]:
    """Return the upper left corner of each box: columns by distance from the sources, rows by inputs."""
    column: dict[str, int] = {}
    inputs: dict[str, list[str]] = {}
    for edge in lineage.edges:
        inputs.setdefault(edge.target, []).append(edge.source)
    for node in lineage.nodes:  # inputs come first, so their columns are known
        column[node.id] = 1 + max((column[source] for source in inputs.get(node.id, [])), default=-1)
    row: dict[str, float] = {}
    places: dict[str, tuple[int, int]] = {}
    for index in range(max(column.values(), default=-1) + 1):
        here = [node.id for node in lineage.nodes if column[node.id] == index]
        wanted = {node_id: _mean([row[source] for source in inputs.get(node_id, [])]) for node_id in here}
        free = 0.0
        for node_id in sorted(here, key=lambda node_id: wanted[node_id]):
            row[node_id] = max(free, wanted[node_id])
            free = row[node_id] + 1
            x = _MARGIN + index * (_WIDTH + _GAP_X)
            places[node_id] = (x, round(_MARGIN + row[node_id] * (_HEIGHT + _GAP_Y)))
    return places


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _ends(edge: Edge, places: dict[str, tuple[int, int]]) -> tuple[int, int, int, int]:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    return x1 + _WIDTH, y1 + _HEIGHT // 2, x2, y2 + _HEIGHT // 2


def _svg_edge(edge: Edge, places: dict[str, tuple[int, int]]) -> str:
    x1, y1, x2, y2 = _ends(edge, places)
    bend = _GAP_X * 0.6
    return f'<path d="M{x1} {y1}C{x1 + bend:g} {y1} {x2 - bend:g} {y2} {x2} {y2}" marker-end="url(#tip)"/>'


def _svg_role(edge: Edge, places: dict[str, tuple[int, int]]) -> str:
    x1, y1, x2, y2 = _ends(edge, places)
    # Near the target, where edges that share a source have parted.
    x, y = x2 - _GAP_X // 2, y1 + (y2 - y1) * 0.5 - 5 if x2 - x1 <= _GAP_X else y2 - 6
    return f'<text class="role" x="{x}" y="{y:g}" text-anchor="middle">{escape(edge.role)}</text>'


def _svg_node(node: Node, x: int, y: int) -> str:
    lines = ("", _fit(_title(node), 26)), ("faint", short(node.id)), ("faint", _fit(_origin(node), 32))
    texts = "".join(
        f'<text class="{style}" x="{x + 12}" y="{y + 21 + 16 * index}">{escape(text)}</text>'
        for index, (style, text) in enumerate(lines)
    )
    hint = escape("\n".join((_title(node), node.id, _origin(node))))
    return (
        f'<g class="{"outside" if _is_outside(node) else "artifact"}"><title>{hint}</title>'
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>{texts}</g>'
    )


def _fit(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
