"""Several heads on one body: each learns by itself, all score as one, and what is saved is what was learnt."""

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_comparisons import draw_comparisons
from plain_scorers import choose
from reward_stage import compare, ingest, prove_here, write
from reward_stage import train as train_stage
from tiny_encoders import ENCODERS, save_any
from tiny_scorers import CAUSAL, save_language_model
from transformers import AutoModelForSequenceClassification

from prefline.data.chance import from_seed
from prefline.data.comparison import Comparison
from prefline.data.errors import ConfigError, DataError
from prefline.pipeline import Store
from prefline.pipeline.proving import prove
from prefline.reward_model.combining import Rule, find_disagreement
from prefline.reward_model.config import Reading, RewardConfig
from prefline.reward_model.encoding import Pair, encode_comparisons
from prefline.reward_model.gradients import Numbered, add_gradient
from prefline.reward_model.heads import draw_shares
from prefline.reward_model.model import RewardModel
from prefline.reward_model.normalization import STANDARD, center, level, measure, normalize
from prefline.reward_model.preflight import check_pad, check_reading, choose_probes
from prefline.reward_model.training import Step, train

HEADS = 3
CHANCE = from_seed(3)
COMPARISONS = draw_comparisons(12)
PROMPTS = ["a b", "c", "a d e f a b c d", "f", "b b"]
RESPONSES = ["c d e", "f", "b", "a b c a b c d e f", "e"]
BY_HAND: dict[Rule, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean,
    "minimum": min,
    "cautious": lambda scores: statistics.fmean(scores) - 2 * statistics.pstdev(scores),
}


def build(kind: str, folder: Path, rule: Rule = "mean", heads: int = HEADS, **reading: Any) -> RewardModel:
    """Return a model of several heads, of which each has a gain and a bias of its own."""
    readout = reading.pop("readout", "first" if kind in ENCODERS else "last")
    caution = {"caution": 2.0} if rule == "cautious" else {}
    reads = Reading(readout=readout, rule=rule, **caution, **reading)
    model = RewardModel.from_pretrained(save_any(kind, folder / f"lm-{kind}"), reading=reads, heads=heads)
    with torch.no_grad():
        model.gain.copy_(torch.linspace(1.5, 2.5, heads))
        model.bias.copy_(torch.linspace(-0.5, 3.25, heads))
    return model


def weight_of(model: RewardModel) -> torch.Tensor:
    head: Any = model.inner.get_submodule(model.head)
    return head.weight


def encode(model: RewardModel) -> list[Pair]:
    return model.encoder.encode(PROMPTS, RESPONSES)


def number(model: RewardModel, shares: Sequence[tuple[float, ...]]) -> list[Numbered]:
    encoded = encode_comparisons(COMPARISONS, model.encoder)
    return [Numbered(place, one, own) for place, (one, own) in enumerate(zip(encoded, shares, strict=True), 1)]


# --- what heads are, and what they come to ---


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama", "roberta"])
def test_each_head_is_drawn_apart_and_the_first_is_that_of_a_model_of_one(kind: str, tmp_path: Path) -> None:
    folder = save_any(kind, tmp_path)
    one, three, four = (RewardModel.from_pretrained(folder, chance=CHANCE, heads=heads) for heads in (1, 3, 4))
    rows = [weight_of(model) for model in (one, three, four)]
    assert [[*weight.shape] for weight in rows] == [[1, 32], [3, 32], [4, 32]]
    assert torch.equal(rows[0], rows[1][:1])
    assert torch.equal(rows[1], rows[2][:3])
    assert torch.unique(rows[2], dim=0).shape[0] == 4
    assert (one.heads, four.heads) == (1, 4)
    assert one.gain.shape == one.bias.shape == torch.Size([])
    assert four.gain.shape == four.bias.shape == torch.Size([4])
    assert four.score_members(PROMPTS, RESPONSES)[0].tolist() == pytest.approx(one.score(PROMPTS, RESPONSES), abs=1e-5)


def test_a_single_head_is_drawn_as_it_was_before_there_were_several(tmp_path: Path) -> None:
    model = RewardModel.from_pretrained(save_any("gpt2", tmp_path), chance=CHANCE)
    draw = torch.Generator().manual_seed(CHANCE("head"))
    assert torch.equal(weight_of(model), torch.randn((1, 32), generator=draw) / 33**0.5)


@pytest.mark.parametrize("rule", sorted(BY_HAND))
@pytest.mark.parametrize("readout", ["last", "mean"])
def test_the_score_is_what_the_heads_come_to_by_the_rule(rule: Rule, readout: str, tmp_path: Path) -> None:
    model = build("gpt2", tmp_path, rule, readout=readout)
    members = model.score_members(PROMPTS, RESPONSES)
    assert members.shape == (HEADS, len(PROMPTS))
    expected = [BY_HAND[rule](own) for own in members.T.tolist()]
    assert model.score(PROMPTS, RESPONSES) == pytest.approx(expected, abs=1e-5)
    assert model.score(PROMPTS, RESPONSES, tokens_at_once=1) == pytest.approx(expected, abs=1e-5)
    with torch.no_grad():
        assert model(model.pad(encode(model))).tolist() == pytest.approx(expected, abs=1e-5)
    # The score of a head is its gain times what its row says, and its bias.
    alone = RewardModel.from_pretrained(tmp_path / "lm-gpt2", reading=model.reading.model_copy(update={"rule": "mean"}))
    for place in range(HEADS):
        with torch.no_grad():
            weight_of(alone).copy_(weight_of(model)[place])
            alone.gain.copy_(model.gain[place])
            alone.bias.copy_(model.bias[place])
        assert members[place].tolist() == pytest.approx(alone.score(PROMPTS, RESPONSES), abs=1e-5)


@pytest.mark.parametrize("rule", sorted(BY_HAND))
def test_heads_that_agree_score_as_one_whatever_the_rule(rule: Rule, tmp_path: Path) -> None:
    model = build("llama", tmp_path, rule)
    with torch.no_grad():
        for same in (model.gain, model.bias, weight_of(model)):
            same.copy_(same[:1].expand(same.shape).clone())
    assert find_disagreement(model.score_members(PROMPTS, RESPONSES)).max() < 1e-6
    model_of_one = RewardModel.from_pretrained(tmp_path / "lm-llama")
    with torch.no_grad():
        model_of_one.gain.copy_(model.gain[0])
        model_of_one.bias.copy_(model.bias[0])
    assert model.score(PROMPTS, RESPONSES) == pytest.approx(model_of_one.score(PROMPTS, RESPONSES), abs=1e-5)


def test_a_single_head_has_members_too_and_no_rule(tmp_path: Path) -> None:
    folder = save_language_model("gpt2", tmp_path)
    model = RewardModel.from_pretrained(folder)
    assert model.score_members(PROMPTS, RESPONSES).tolist() == [model.score(PROMPTS, RESPONSES)]
    with pytest.raises(ConfigError, match="rule: 'minimum' is for the scores of several heads, found one"):
        RewardModel.from_pretrained(folder, reading=Reading(readout="last", rule="minimum"))
    with pytest.raises(ConfigError, match="heads: expected at least one, found 0"):
        RewardModel.from_pretrained(folder, heads=0)
    with pytest.raises(DataError, match=r"offset: expected a number for each of 1 heads, found \(1\.0, 2\.0\)"):
        RewardModel.from_pretrained(folder, reading=Reading(readout="last", offset=(1.0, 2.0)))
    with pytest.raises(ConfigError, match="caution is for the rule 'cautious', found 'mean': leave it out"):
        Reading.parse({"readout": "last", "caution": 2.0})


@pytest.mark.parametrize("rule", sorted(BY_HAND))
@pytest.mark.parametrize("kind", ["bert", "gpt2", "mistral"])
def test_where_the_score_is_read_is_proved(kind: str, rule: Rule, tmp_path: Path) -> None:
    model = build(kind, tmp_path, rule)
    assert check_reading(model, choose_probes(encode(model))) < 1e-4
    check_pad(model, [Pair((2, 4), (model.fill,))])  # which plain transformers, that read by it, cannot load


# --- learning ---


@pytest.mark.parametrize("kind", ["gpt2", "llama", "roberta"])
def test_the_gradient_is_that_of_the_mean_loss_of_heads_with_shares_of_their_own(kind: str, tmp_path: Path) -> None:
    model = build(kind, tmp_path).double()
    shares = [draw_shares(CHANCE, place, HEADS) for place in range(len(COMPARISONS))]
    total = torch.zeros((), dtype=torch.float64)
    losses: list[float] = []
    for one, own in zip(COMPARISONS, shares, strict=True):
        scores = model.score_heads(model.pad(encode_comparisons([one], model.encoder)[0].pairs))
        each = [choose(head, one) for head in scores]
        losses.append(statistics.fmean(loss.item() for loss in each))
        total = total + one.weight * sum(share * loss for share, loss in zip(own, each, strict=True))
    weights = [one.weight for one in COMPARISONS]
    (total / (HEADS * sum(weights))).backward()
    expected = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    assert {"gain", "bias"} < expected.keys()
    for tokens_at_once in (1, 60, 100_000):
        model.zero_grad()
        found, _ = add_gradient(model, number(model, shares), RewardConfig(), tokens_at_once, 0)
        assert found.losses == pytest.approx(losses, rel=1e-6)
        assert found.loss == pytest.approx(statistics.fmean(losses, weights), rel=1e-6)
        scale = sum(gradient.norm() for gradient in expected.values())
        for name, one in model.named_parameters():
            if name in expected:
                assert one.grad is not None
                assert (one.grad - expected[name]).norm() < 1e-6 * (expected[name].norm() + 1e-3 * scale), name


def test_the_credit_of_a_step_is_that_of_what_the_heads_come_to(tmp_path: Path) -> None:
    model = build("gpt2", tmp_path, "minimum")
    found, _ = add_gradient(model, number(model, [(1.0,)] * len(COMPARISONS)), RewardConfig(), 1024, 0)
    for one, credit in zip(COMPARISONS, found.credit, strict=True):
        scores = model.score([one.prompt] * len(one.responses), one.responses)
        assert credit == float(scores.index(max(scores)) in one.best) or len(one.best) == len(scores)


def test_shares_follow_from_the_number_of_a_comparison_and_have_the_mean_1() -> None:
    drawn = torch.tensor([draw_shares(CHANCE, place, 4) for place in range(4000)], dtype=torch.float64)
    assert draw_shares(CHANCE, 7, 4) == tuple(drawn[7].tolist())
    assert draw_shares(CHANCE, 7, 2) == tuple(drawn[7, :2].tolist())
    assert draw_shares(from_seed(4), 7, 4) != draw_shares(CHANCE, 7, 4)
    assert drawn.min() > 0
    # The mean of 4,000 exponential numbers has the deviation .016, and one in e is above their mean.
    assert drawn.mean(0).tolist() == pytest.approx([1] * 4, abs=0.06)
    assert (drawn > 1).double().mean().item() == pytest.approx(0.3679, abs=0.02)
    assert (torch.corrcoef(drawn.T) - torch.eye(4)).abs().max() < 0.07
    assert draw_shares(CHANCE, 7, 1) == (1.0,)


def adapt(folder: Path, **settings: Any) -> tuple[RewardModel, RewardConfig]:
    config = RewardConfig(**{"batch": 4, "epochs": 2, "learning_rate": 1e-2} | settings)
    model = build("llama", folder)
    if config.lora_rank:
        model.adapt(config, CHANCE)
    return model, config


@pytest.mark.parametrize("rank", [0, 2])
def test_training_goes_on_bit_for_bit(rank: int, tmp_path: Path) -> None:
    if rank:
        pytest.importorskip("peft")
    model, config = adapt(tmp_path, lora_rank=rank)
    before = model.score_members(PROMPTS, RESPONSES)
    saved: dict[str, Any] = {}
    steps: list[Step] = []
    for step in train(model, COMPARISONS, config, CHANCE):
        steps.append(step)
        if step.index == 4:
            saved = clone(step.save())
    again, config = adapt(tmp_path, lora_rank=rank)
    assert list(train(again, COMPARISONS, config, CHANCE, saved=saved)) == steps[4:]
    assert again.score(PROMPTS, RESPONSES) == model.score(PROMPTS, RESPONSES)
    moved = (model.score_members(PROMPTS, RESPONSES) - before).abs().amin(1)
    assert (moved > 1e-3).all()  # each head has learnt


def clone(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    return value.clone() if isinstance(value, torch.Tensor) else value


def test_the_shares_of_a_training_are_those_of_the_numbers_of_its_comparisons(tmp_path: Path) -> None:
    nobody = Comparison("a", ("b", "c"), (), undecided="skipped")
    runs = []
    for comparisons in (COMPARISONS[:4], [nobody, *COMPARISONS[:4]]):
        model = build("gpt2", tmp_path)
        runs.append([step.gradient_norm for step in train(model, comparisons, RewardConfig(steps=1), CHANCE)])
    assert runs[0] != pytest.approx(runs[1], rel=1e-3)
    model = build("gpt2", tmp_path)
    batch = number(model, [draw_shares(CHANCE, place, HEADS) for place in range(1, 13)])[:4]
    add_gradient(model, batch, RewardConfig(), 10_000, 0)
    norms = [one.grad.norm() for one in model.parameters() if one.grad is not None]
    assert runs[0] == pytest.approx([torch.stack(norms).norm().item()], rel=1e-4)


# --- the scale of scores ---


@pytest.mark.parametrize("rule", sorted(BY_HAND))
def test_heads_are_levelled_before_what_they_come_to_is_normalised(rule: Rule, tmp_path: Path) -> None:
    model = build("gpt2", tmp_path, rule)
    pairs = encode(model)
    level(model, pairs)
    for scores in model.score_apart(pairs):
        assert measure(scores) == pytest.approx(STANDARD, abs=1e-5)
    normalize(model, pairs)
    assert measure(model.score_pairs(pairs)) == pytest.approx(STANDARD, abs=1e-5)
    moments = [measure(scores) for scores in model.score_apart(pairs)]
    for found in moments:  # what is said of all cannot be of one head more than of another
        assert found == pytest.approx(moments[0], abs=1e-5)


def test_pairs_are_scored_once_whatever_the_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("gpt2", tmp_path, "minimum")
    pairs, scored = encode(model), 0
    score_apart = RewardModel.score_apart

    def watch(model: RewardModel, pairs: Sequence[Pair], **settings: Any) -> torch.Tensor:
        nonlocal scored
        scored += len(pairs)
        return score_apart(model, pairs, **settings)

    monkeypatch.setattr(RewardModel, "score_apart", watch)
    for number, scale in enumerate((level, normalize, center), 1):
        scale(model, pairs)
        assert scored == number * len(pairs)


def test_references_come_to_0_for_each_head_and_for_all(tmp_path: Path) -> None:
    model = build("gpt2", tmp_path, "minimum")
    pairs = encode(model)
    before, gain = model.score_apart(pairs), model.gain.clone()
    assert center(model, pairs) == pytest.approx(before.amin(0).mean().item(), abs=1e-5)
    assert model.score_pairs(pairs).mean().item() == pytest.approx(0, abs=1e-5)
    means = model.score_apart(pairs).mean(1)
    assert means.tolist() == pytest.approx([means[0].item()] * HEADS, abs=1e-5)
    assert torch.equal(model.gain, gain)


# --- what is saved ---


@pytest.mark.parametrize("kind", [*CAUSAL, *ENCODERS])
def test_what_is_saved_gives_the_same_scores_to_us_and_is_refused_by_plain_transformers(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_here(monkeypatch)
    model = build(kind, tmp_path, "cautious")
    expected = model.score_members(PROMPTS, RESPONSES)
    model.save_pretrained(tmp_path / "scorer")
    with pytest.raises(ValueError, match=f"prefline-{kind}"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "scorer")
    again = RewardModel.from_pretrained(tmp_path / "scorer", chance=from_seed(9))
    assert (again.heads, again.loads_anywhere) == (HEADS, False)
    assert (again.reading.rule, again.reading.caution) == ("cautious", 2.0)
    assert again.gain.tolist() == [1] * HEADS
    torch.testing.assert_close(again.score_members(PROMPTS, RESPONSES), expected, rtol=1e-5, atol=1e-5)
    proof = prove(tmp_path / "scorer", model, encode(model), [], model.score_pairs(encode(model)).tolist())
    assert proof.plain is None
    assert proof.own < 1e-5
    again.save_pretrained(tmp_path / "again")
    third = RewardModel.from_pretrained(tmp_path / "again")
    assert torch.equal(third.score_members(PROMPTS, RESPONSES), again.score_members(PROMPTS, RESPONSES))
    for file in (tmp_path / "scorer").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_a_config_names_the_heads_and_their_rule_where_there_are_several_alone(tmp_path: Path) -> None:
    for heads, labels in ((1, ["score"]), (2, ["score 1", "score 2"])):
        model = RewardModel.from_pretrained(save_language_model("llama", tmp_path / "lm"), heads=heads)
        model.save_pretrained(tmp_path / "scorer")
        document = json.loads((tmp_path / "scorer" / "config.json").read_bytes())
        assert list(document["id2label"].values()) == labels
        assert ("rule" in document["prefline"]) == (heads > 1)
        assert document["prefline"]["offset"] == (0 if heads == 1 else [0, 0])


def test_a_saved_scorer_keeps_the_heads_it_has(tmp_path: Path) -> None:
    build("gpt2", tmp_path).save_pretrained(tmp_path / "scorer")
    assert RewardModel.from_pretrained(tmp_path / "scorer", heads=HEADS).heads == HEADS
    for heads in (1, 2):
        with pytest.raises(ConfigError, match=f"heads: expected 3, which the scorer has, found {heads}: leave it out"):
            RewardModel.from_pretrained(tmp_path / "scorer", heads=heads)


def test_adapters_are_merged_with_all_heads(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    model, config = adapt(tmp_path, lora_rank=2)
    list(train(model, COMPARISONS, config, CHANCE))
    expected = model.score_members(PROMPTS, RESPONSES)
    model.merge()
    model.save_pretrained(tmp_path / "scorer")
    again = RewardModel.from_pretrained(tmp_path / "scorer")
    torch.testing.assert_close(again.score_members(PROMPTS, RESPONSES), expected, rtol=1e-4, atol=1e-4)


# --- the stage ---


def test_the_stage_trains_heads_and_trains_them_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prove_here(monkeypatch)
    store = Store.create(tmp_path / "store")
    comparisons = ingest(store, write(tmp_path / "rows.jsonl", compare(40)))
    model = save_language_model("gpt2", tmp_path / "lm")
    with pytest.raises(ConfigError, match="rule: 'minimum' is for the scores of several heads, found one"):
        train_stage(store, comparisons, model, rule="minimum")
    with pytest.raises(ConfigError, match=r"normalize: expected a scale that 2 heads have in common, found 'none'"):
        train_stage(store, comparisons, model, heads=2, normalize="none")
    first = train_stage(
        store, comparisons, model, heads=2, rule="cautious", caution=0.5, normalize="responses", samples=10_000
    )
    data = first.manifest.data
    assert (data["reading"]["rule"], data["reading"]["caution"]) == ("cautious", 0.5)
    assert [len(data["gain"]), len(data["bias"]), len(data["reading"]["offset"])] == [2, 2, 2]
    scorer = RewardModel.from_pretrained(first.path)
    rows = map(json.loads, (comparisons.path / "train.jsonl").read_text().splitlines())
    pairs = [(row["prompt"], response) for row in rows for response in row["responses"]]
    scores = scorer.score(*zip(*pairs, strict=True))
    assert statistics.fmean(scores) == pytest.approx(0, abs=1e-5)
    assert statistics.pstdev(scores) == pytest.approx(1, abs=1e-5)
    further = train_stage(store, comparisons, first.path, rule="minimum", steps=1)
    assert further.manifest.data["reading"] | {"offset": None} == {
        **data["reading"],
        "rule": "minimum",
        "caution": 1.0,
        "offset": None,
    }
    with pytest.raises(ConfigError, match=r"normalize: expected a scale that 2 heads have in common, found 'none'"):
        train_stage(store, comparisons, first.path, normalize="none")
    assert train_stage(store, comparisons, first.path, steps=1).manifest.data["reading"]["caution"] == 0.5
    with pytest.raises(ConfigError, match="heads: expected 2, which the scorer has, found 3"):
        train_stage(store, comparisons, first.path, heads=3, steps=1)
