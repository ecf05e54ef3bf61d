"""What an artifact was made from, and why two artifacts are not the same one."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from prefline.data.errors import ArtifactError, ManifestError, StoreError, UnknownArtifactError
from prefline.pipeline.canonical import canonical_json
from prefline.pipeline.manifest import Manifest
from prefline.pipeline.store import Artifact, Store

NOT_MADE = "the new one"  # stands for an artifact that has no id yet
Verdict = Literal["same artifact", "same recipe, other bytes: not reproducible", "other recipe"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not the same in both."""

    field: str
    first: Any
    second: Any
    only_in: Literal["first", "second"] | None = None  # the side that has it, where the other one lacks it


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two artifacts differ: fields of their recipes or, where those agree, files and circumstances."""

    first: str
    second: str
    verdict: Verdict
    recipe: tuple[Difference, ...] = ()
    files: tuple[Difference, ...] = ()
    circumstances: tuple[Difference, ...] = ()
    # For each input that differs and is an artifact on both sides: why those two differ.
    inputs: Mapping[str, "Explanation"] = field(default_factory=dict)


def explain_difference(
    store: Store, first_id: str, second_id: str, _explained: set[tuple[str, str]] | None = None
) -> Explanation:
    """Compare two artifacts field by field, and the inputs in which they differ, all the way back.

    A pair is explained where it is met first: two roles may lead to the same pair at every step, and
    forged manifests can be each other's inputs, since an id does not cover the recipe.
    """
    explained = set() if _explained is None else _explained
    explained.add((first_id, second_id))
    if first_id == second_id:
        return Explanation(first_id, second_id, "same artifact")
    first, second = store.get(first_id).manifest, store.get(second_id).manifest
    if first.key == second.key:
        return Explanation(
            first_id,
            second_id,
            "same recipe, other bytes: not reproducible",
            files=tuple(compare(_content(first), _content(second))),
            circumstances=tuple(compare(first.environment, second.environment)),
        )
    recipes = tuple(compare(first.recipe.model_dump(), second.recipe.model_dump()))
    return Explanation(
        first_id, second_id, "other recipe", recipe=recipes, inputs=_explain_inputs(store, recipes, explained)
    )


def explain_recipe(store: Store, earlier: str, differences: tuple[Difference, ...]) -> Explanation:
    """Explain why a recipe that was never made is not answered by an artifact of nearly the same."""
    inputs = _explain_inputs(store, differences, set())
    return Explanation(earlier, NOT_MADE, "other recipe", recipe=differences, inputs=inputs)


def _explain_inputs(
    store: Store, differences: Iterable[Difference], explained: set[tuple[str, str]]
) -> dict[str, Explanation]:
    inputs: dict[str, Explanation] = {}
    for difference in differences:
        role = difference.field.removeprefix("inputs.")
        pair = (str(difference.first), str(difference.second))
        if role != difference.field and pair not in explained and all(store.has(source) for source in pair):
            inputs[role] = explain_difference(store, *pair, explained)
    return inputs


def _content(manifest: Manifest) -> dict[str, Any]:
    files = {file.path: f"{file.sha256} ({file.size} bytes)" for file in manifest.files}
    return {"files": files, "data": manifest.data, "feedback": list(manifest.feedback), "kind": manifest.kind}


def compare(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> Iterator[Difference]:
    """Yield the fields that differ, in order, with dots where they are nested."""
    for name in sorted({*first, *second}):
        one, other = first.get(name), second.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from compare(one, other, f"{prefix}{name}.")
        elif isinstance(one, str) and one == other:
            continue  # most are alike; what is equal in Python may differ in JSON, as 1 and true do, but not texts
        elif (name in first) != (name in second) or canonical_json(one) != canonical_json(other):
            only_in = "second" if name not in first else "first" if name not in second else None
            yield Difference(f"{prefix}{name}", one, other, only_in)


def find_other_recipes(store: Store, artifact: Artifact) -> list[Manifest]:
    """Return the manifests of all other recipes that led to the same bytes: the artifact itself holds one."""
    found: list[Manifest] = []
    for record in store.entries("keys"):
        with contextlib.suppress(OSError, ManifestError):  # `verify` counts what cannot be read
            raw = record.read_bytes()
            if artifact.id.encode() in raw:  # most are not about this artifact and need no parsing
                found.append(Manifest.from_bytes(raw))
    return [other for other in found if other.id == artifact.id and other.key != artifact.manifest.key]


def read_manifest_of(store: Store, artifact_id: str) -> Manifest | None:
    """Return the manifest of an artifact, or None where it is elsewhere or cannot be read."""
    try:
        return store.get(artifact_id).manifest
    except (ArtifactError, StoreError):
        return None


@dataclass(frozen=True, slots=True)
class Node:
    """An artifact, or what an artifact was made from and the store does not hold."""

    id: str
    kind: str
    stage: str
    feedback: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """`source` was the input `role` of `target`."""

    source: str
    target: str
    role: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """Artifacts and what they were made from. Inputs stand before what was made from them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def trace(store: Store, ids: list[str]) -> Lineage:
    """Follow artifacts back to all that they were made from."""
    named = store.names.by_id()
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    pending = [(artifact_id, "") for artifact_id in reversed(ids)]
    entered: set[str] = set()
    while pending:  # depth first without recursion: a chain may be longer than Python's stack
        current, label = pending[-1]
        if current in nodes:
            pending.pop()
            continue
        manifest = read_manifest_of(store, current)
        if manifest is None and not label and not store.folder_of(current).exists():
            raise UnknownArtifactError(f"no artifact {current} in {store.root}")
        if manifest is not None and current not in entered:
            entered.add(current)
            sources = manifest.source_names
            pending += [
                (
                    source,
                    str(sources.get(role, "not in this store" if source.startswith("sha256:") else "name unknown")),
                )
                for role, source in sorted(manifest.recipe.inputs.items(), reverse=True)
            ]
            continue
        pending.pop()
        nodes[current] = _node(current, manifest, label, named.get(current, ()))
        if manifest is not None:
            # An input that has no place yet closes a circle of forged manifests: the circle is cut there.
            edges += [
                Edge(source, current, role)
                for role, source in sorted(manifest.recipe.inputs.items())
                if source in nodes and source != current
            ]
    return Lineage(tuple(nodes.values()), tuple(edges))


def _node(node_id: str, manifest: Manifest | None, label: str, names: tuple[str, ...]) -> Node:
    if manifest is None:
        scheme = node_id.partition(":")[0]
        kind = scheme if scheme != "sha256" else "absent" if label else "unreadable"
        return Node(node_id, kind, label, (), names)
    return Node(node_id, manifest.kind, manifest.recipe.stage, manifest.feedback, names)
