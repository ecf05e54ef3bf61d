"""A lineage as text for a terminal, and as DOT for Graphviz."""

from prefline.data.wording import printable
from prefline.pipeline.lineage import Edge, Lineage, Node


def short(node_id: str) -> str:
    """The first twelve digits of a digest, enough for people."""
    return node_id.rpartition(":")[2][:12]


def title_of(node: Node) -> str:
    """The kind, and the names if there are any."""
    return f"{node.kind} {' '.join(node.names)}".rstrip()


def origin_of(node: Node) -> str:
    """Where it comes from: the stage and the feedback, or the name of what is outside the store."""
    return printable(" · ".join([node.stage, *([", ".join(node.feedback)] if node.feedback else [])]))


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
            f"{stem}{role}{title_of(node)}  {short(node_id)}  {origin_of(node)}{'  (drawn above)' if repeated else ''}"
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
        label = "\\n".join(_quote(text) for text in (title_of(node), short(node.id), origin_of(node)))
        lines.append(f'  "{_quote(node.id)}" [label="{label}"{", style=dashed" if is_outside(node) else ""}];')
    lines += [
        f'  "{_quote(edge.source)}" -> "{_quote(edge.target)}" [label="{_quote(edge.role)}"];' for edge in lineage.edges
    ]
    return "\n".join([*lines, "}", ""])


def is_outside(node: Node) -> bool:
    """Say whether a node stands for something that the store does not hold."""
    return node.kind == "absent" or not node.id.startswith("sha256:")


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
