"""Made from what, inherited what, and why not the same: the questions that manifests are for."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from prefline.data.errors import UnknownArtifactError
from prefline.pipeline import Artifact, Store, explain_difference, trace
from prefline.pipeline.collection import sweep_store
from prefline.pipeline.copying import pull, push
from prefline.pipeline.drawing import draw_dot, draw_text, short
from prefline.pipeline.drawing_svg import draw_svg
from prefline.pipeline.lineage import Difference
from prefline.pipeline.listing import summarize
from prefline.pipeline.remotes import Remote
from prefline.pipeline.terminal import format_artifact, format_explanation, format_list

Publish = Callable[..., Artifact]


@pytest.fixture
def chain(store: Store, publish: Publish) -> dict[str, Artifact]:
    """Labels and prompts, a reward model from the labels, a policy from both."""
    labels = publish(store, {"a.jsonl": b"1"}, kind="comparisons", stage="ingest", feedback=("human",),
                     inputs={"source": "file:sha256:" + "1" * 64})  # fmt: skip
    prompts = publish(store, {"p.jsonl": b"1"}, kind="prompts", stage="ingest")
    reward = publish(
        store, {"r.json": b"1"}, kind="reward-model", stage="train-reward", inputs={"comparisons": labels.id}
    )
    policy = publish(store, {"p.json": b"1"}, kind="policy", stage="train-policy", name="best-one",
                     inputs={"reward": reward.id, "prompts": prompts.id})  # fmt: skip
    return {"labels": labels, "prompts": prompts, "reward": reward, "policy": policy}


def test_feedback_is_inherited_from_every_input(store: Store, publish: Publish, chain: dict[str, Artifact]) -> None:
    assert chain["prompts"].manifest.feedback == ()
    assert chain["policy"].manifest.feedback == ("human",)
    rehearsal = publish(store, {"a.jsonl": b"2"}, feedback=("mock",))
    mixed = publish(
        store, {"r.json": b"2"}, inputs={"one": chain["labels"].id, "other": rehearsal.id}, feedback=("rule",)
    )
    assert mixed.manifest.feedback == ("human", "mock", "rule")


def test_an_input_that_is_not_here_is_refused(store: Store, publish: Publish) -> None:
    with pytest.raises(UnknownArtifactError, match="no artifact sha256:000"):
        publish(store, {"a.txt": b"1"}, inputs={"thing": "sha256:" + "0" * 64})


def test_the_same_artifact_needs_no_explanation(store: Store, chain: dict[str, Artifact]) -> None:
    assert explain_difference(store, chain["reward"].id, chain["reward"].id).verdict == "same artifact"


def test_why_names_the_field_that_differs_all_the_way_back(
    store: Store, publish: Publish, chain: dict[str, Artifact]
) -> None:
    labels = publish(store, {"a.jsonl": b"2"}, kind="comparisons", stage="ingest", params={"max_rejected": 3},
                     inputs={"source": "file:sha256:" + "1" * 64})  # fmt: skip
    reward = publish(
        store, {"r.json": b"2"}, kind="reward-model", stage="train-reward", inputs={"comparisons": labels.id}
    )
    why = explain_difference(store, chain["reward"].id, reward.id)
    assert why.verdict == "other recipe"
    assert why.recipe == (Difference("inputs.comparisons", chain["labels"].id, labels.id),)
    assert why.inputs["comparisons"].recipe == (Difference("params.max_rejected", None, 3, "second"),)
    assert format_explanation(why).splitlines() == [
        f"{short(chain['reward'].id)} and {short(reward.id)}: other recipe",
        "  recipe:",
        f"    inputs.comparisons: {chain['labels'].id} -> {labels.id}",
        "  the input comparisons:",
        f"    {short(chain['labels'].id)} and {short(labels.id)}: other recipe",
        "      recipe:",
        "        params.max_rejected: absent -> 3",
    ]


def test_the_same_recipe_with_other_bytes_is_called_not_reproducible(
    store: Store, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(store, {"model.json": b"1", "config.json": b"{}"}, params={"lr": 1e-5})
    monkeypatch.setattr("prefline.pipeline.publishing.describe_environment", lambda: {"packages": {"torch": "9.9"}})
    second = publish(store, {"model.json": b"2", "config.json": b"{}"}, params={"lr": 1e-5})
    why = explain_difference(store, first.id, second.id)
    assert why.verdict == "same recipe, other bytes: not reproducible"
    assert [difference.field for difference in why.files] == ["files.model.json"]
    assert "packages.torch" in [difference.field for difference in why.circumstances]
    assert asdict(why)["recipe"] == ()


def test_why_takes_no_longer_for_two_roles_that_lead_to_the_same(store: Store, publish: Publish) -> None:
    pair = (publish(store, {"a.txt": b"1"}, params={"n": 1}), publish(store, {"a.txt": b"2"}, params={"n": 2}))
    for number in range(24):  # 2 ** 24 ways back
        pair = tuple(
            publish(
                store,
                {"a.txt": f"{artifact.id}{number}".encode()},
                inputs={"policy": artifact.id, "reference": artifact.id},
            )
            for artifact in pair
        )
    text = format_explanation(explain_difference(store, pair[0].id, pair[1].id))
    assert text.count("params.n: 1 -> 2") == 1


def test_true_and_one_are_not_the_same_setting(store: Store, publish: Publish) -> None:
    first = publish(store, {"a.txt": b"1"}, params={"whiten": True})
    second = publish(store, {"a.txt": b"2"}, params={"whiten": 1})
    assert explain_difference(store, first.id, second.id).recipe == (Difference("params.whiten", True, 1),)


def test_a_trace_puts_inputs_before_what_was_made_from_them(store: Store, chain: dict[str, Artifact]) -> None:
    lineage = trace(store, [chain["policy"].id])
    order = [node.id for node in lineage.nodes]
    assert all(order.index(edge.source) < order.index(edge.target) for edge in lineage.edges)
    assert {node.kind for node in lineage.nodes} == {"file", "comparisons", "reward-model", "prompts", "policy"}
    assert {edge.role for edge in lineage.edges} == {"source", "comparisons", "reward", "prompts"}


def test_a_chain_longer_than_the_stack_of_python_is_no_trouble(store: Store, publish: Publish) -> None:
    artifact = publish(store, {"a.txt": b"0"})
    for number in range(1, 1200):
        artifact = publish(store, {"a.txt": str(number).encode()}, inputs={"before": artifact.id})
    lineage = trace(store, [artifact.id])
    assert len(lineage.nodes) == 1200
    assert draw_text(lineage).count("\n") == 1200
    assert draw_svg(lineage).count("<rect") == 1200


def test_a_lineage_is_drawn_as_text(store: Store, chain: dict[str, Artifact]) -> None:
    ids = {name: short(artifact.id) for name, artifact in chain.items()}
    assert draw_text(trace(store, [chain["policy"].id])) == (
        f"policy best-one  {ids['policy']}  train-policy · human\n"
        f"├─ prompts: prompts  {ids['prompts']}  ingest\n"
        f"└─ reward: reward-model  {ids['reward']}  train-reward · human\n"
        f"   └─ comparisons: comparisons  {ids['labels']}  ingest · human\n"
        f"      └─ source: file  111111111111  name unknown\n"
    )


def test_what_is_used_twice_is_drawn_in_full_once(store: Store, publish: Publish, chain: dict[str, Artifact]) -> None:
    report = publish(
        store, {"r.md": b"1"}, kind="report", inputs={"policy": chain["policy"].id, "reward": chain["reward"].id}
    )
    text = draw_text(trace(store, [report.id]))
    assert text.count("(drawn above)") == 1
    assert text.count("source: file") == 1


def test_a_lineage_is_drawn_as_svg_with_every_name_escaped(
    store: Store, publish: Publish, chain: dict[str, Artifact]
) -> None:
    odd = publish(store, {"a.txt": b"9"}, stage='<script>"&', inputs={"policy": chain["policy"].id})
    svg = draw_svg(trace(store, [odd.id]))
    root = ElementTree.fromstring(svg)  # noqa: S314
    boxes = root.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(boxes) == 6
    assert "<script>" not in svg
    places = {(box.get("x"), box.get("y")) for box in boxes}
    assert len(places) == 6
    assert svg == draw_svg(trace(store, [odd.id]))


def test_a_lineage_is_drawn_as_dot_that_graphviz_could_read(store: Store, chain: dict[str, Artifact]) -> None:
    dot = draw_dot(trace(store, [chain["policy"].id]))
    assert dot.count(" -> ") == 4
    assert dot.count("{") == dot.count("}") == 1
    assert all(re.fullmatch(r'  "[^"]+"( -> "[^"]+")? \[label="(\\.|[^"\\])*"(, style=dashed)?\];', line)
               for line in dot.splitlines() if line.startswith('  "'))  # fmt: skip


def test_an_input_left_elsewhere_is_drawn_as_absent(store: Store, chain: dict[str, Artifact], tmp_path: Path) -> None:
    subprocess.run(["mv", chain["labels"].path, tmp_path / "away"], check=True)
    lineage = trace(store, [chain["reward"].id])
    assert [(node.kind, node.stage) for node in lineage.nodes] == [
        ("absent", "not in this store"),
        ("reward-model", "train-reward"),
    ]


@pytest.mark.parametrize("run", [{}, {"environment": 3, "sources": "none"}, {"sources": ["a"], "started": {}}])
def test_a_run_of_any_form_can_be_shown_drawn_and_compared(store: Store, publish: Publish, run: dict[str, Any]) -> None:
    first = publish(store, {"a.txt": b"1"}, inputs={"source": "file:sha256:" + "1" * 64})
    second = publish(store, {"a.txt": b"2"}, inputs={"source": "file:sha256:" + "1" * 64})
    (first.path / "manifest.json").chmod(0o644)
    (first.path / "manifest.json").write_bytes(first.manifest.model_copy(update={"run": run}).to_bytes())
    assert "not reproducible" in format_explanation(explain_difference(store, first.id, second.id))
    assert "name unknown" in draw_text(trace(store, [first.id]))
    assert "file:sha256:111" in format_artifact(store.get(first.id), [], [])
    assert len(format_list(summarize(store)).splitlines()) == 3


def test_forged_manifests_that_are_each_other_s_inputs_do_no_harm(
    store: Store, publish: Publish, tmp_path: Path
) -> None:
    one, other = publish(store, {"a.txt": b"1"}, name="one"), publish(store, {"a.txt": b"2"})
    for artifact, source in ((one, other), (other, one)):
        recipe = artifact.manifest.recipe.model_copy(update={"inputs": {"before": source.id}})
        forged = artifact.manifest.model_copy(update={"recipe": recipe, "key": recipe.key})
        (artifact.path / "manifest.json").chmod(0o644)
        (artifact.path / "manifest.json").write_bytes(forged.to_bytes())
    lineage = trace(store, [one.id])
    assert len(lineage.nodes) == len(draw_text(lineage).splitlines()) == 2
    assert draw_svg(lineage).count("<rect") == 2
    assert draw_dot(lineage).count(" -> ") == 1
    assert explain_difference(store, one.id, other.id).recipe == (Difference("inputs.before", other.id, one.id),)
    push(store, one.id, Remote(f"file://{tmp_path}/remote"), alone=False, name=None, say=lambda _: None)
    pull(Store.create(tmp_path / "other"), one.id, Remote(f"file://{tmp_path}/remote"), alone=False, name=None,
         say=lambda _: None)  # fmt: skip
    assert not sweep_store(store, grace=timedelta(0), now=datetime.now(UTC)).artifacts
