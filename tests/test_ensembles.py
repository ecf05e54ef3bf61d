"""Ensembles: how scores are combined, what each member sees, and that a folder gives back what was saved."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain_scorers import score_plainly
from tiny_scorers import build_scorer, save_language_model, set_affine
from transformers import AutoModelForSequenceClassification

from prefline.data.comparison import Comparison
from prefline.data.contents import Message
from prefline.data.errors import ConfigError, DataError, NotFiniteError
from prefline.reward_model import Ensemble, RewardModel, load_tokenizer, open_scorer
from prefline.reward_model.combining import Combination, Rule, combine, find_disagreement, find_dissent
from prefline.reward_model.config import Reading
from prefline.reward_model.ensembles import encode_candidates, score_candidates, score_comparisons
from prefline.reward_model.pretrained import load_causal_lm

PROMPTS = ("a b", "c d e f", "a b", "f")
RESPONSES = ("c d", "a", "e f a", "b b b")
RULES: tuple[Rule, ...] = ("mean", "minimum", "cautious")
FINITE = st.floats(-1e3, 1e3, width=32)


# --- several scores as one ---


@pytest.mark.parametrize(
    ("rule", "caution", "expected"),
    [
        ("mean", 1.0, [2.0, 0.5]),
        ("minimum", 1.0, [1.0, -1.0]),
        ("cautious", 1.0, [2.0 - math.sqrt(2 / 3), 0.5 - math.sqrt(6.5 / 3)]),
        ("cautious", 0.5, [2.0 - math.sqrt(2 / 3) / 2, 0.5 - math.sqrt(6.5 / 3) / 2]),
        ("cautious", 0.0, [2.0, 0.5]),
    ],
    ids=str,
)
def test_scores_are_combined_by_hand(rule: Rule, caution: float, expected: list[float]) -> None:
    # Of the first response the distances from the mean are 1, 0, 1; of the second 1.5, 0.5, 2: in squares 2 and 6.5.
    apart = torch.tensor([[1.0, -1.0], [2.0, 0.0], [3.0, 2.5]])
    assert combine(apart, rule, caution).tolist() == pytest.approx(expected)
    assert find_disagreement(apart).tolist() == pytest.approx([math.sqrt(2 / 3), math.sqrt(6.5 / 3)])


@given(st.lists(FINITE, min_size=1, max_size=5), st.sampled_from(RULES), st.floats(0, 10))
def test_the_scores_of_a_single_one_stay_as_they_are_bit_by_bit(
    scores: list[float], rule: Rule, caution: float
) -> None:
    alone = torch.tensor([scores])
    assert torch.equal(combine(alone, rule, caution), alone[0])
    assert torch.equal(find_disagreement(alone), torch.zeros(len(scores)))


@given(st.lists(st.lists(FINITE, min_size=3, max_size=3), min_size=2, max_size=6), st.floats(0, 3))
def test_caution_never_raises_a_score_and_nobody_is_below_the_minimum(apart: list[list[float]], caution: float) -> None:
    scores = torch.tensor(apart, dtype=torch.float64)
    mean, least, careful = (combine(scores, rule, caution) for rule in RULES)
    assert bool((least <= mean + 1e-9).all())
    assert bool((careful <= mean + 1e-9).all())
    # That nobody is further from the mean than sqrt(M - 1) deviations is Samuelson's inequality.
    most = math.sqrt(len(apart) - 1)
    assert bool((least >= combine(scores, "cautious", most) - 1e-6).all())


@given(
    st.lists(st.lists(FINITE, min_size=2, max_size=2), min_size=2, max_size=4),
    st.floats(0.1, 10),
    FINITE,
    st.sampled_from(RULES),
)
def test_a_change_of_scale_of_all_members_is_one_of_the_result(
    apart: list[list[float]], gain: float, shift: float, rule: Rule
) -> None:
    scores = torch.tensor(apart, dtype=torch.float64)
    changed = combine(scores * gain + shift, rule, 0.7)
    assert torch.allclose(changed, combine(scores, rule, 0.7) * gain + shift, atol=1e-6)
    assert torch.allclose(find_disagreement(scores * gain + shift), find_disagreement(scores) * gain, atol=1e-6)


def test_caution_is_refused_where_it_does_nothing() -> None:
    with pytest.raises(ConfigError, match=r"caution is for the rule 'cautious', found 'mean': leave it out"):
        Combination.parse({"caution": 0.5})
    with pytest.raises(ConfigError, match=r"caution: .*greater than or equal to 0, found -1"):
        Combination.parse({"rule": "cautious", "caution": -1})
    with pytest.raises(ConfigError, match=r"rule: .*'mean', 'minimum' or 'cautious', found 'median'"):
        Combination.parse({"rule": "median"})
    assert Combination.parse({"rule": "cautious", "caution": 0.5}).caution == 0.5


# --- models together ---


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[RewardModel]:
    """Three models that read in three ways, two of them with one tokenizer."""
    folder = tmp_path_factory.mktemp("members")
    return [
        set_affine(build_scorer("llama", folder, prompt_length=3, end=True), 2.0, -1.0),
        set_affine(build_scorer("gpt2", folder, readout="mean", lead=" "), 0.5, 0.25),
        build_scorer("bert", folder, response_length=2),
    ]


@pytest.mark.parametrize("rule", RULES)
def test_an_ensemble_scores_as_its_members_do_one_by_one(members: list[RewardModel], rule: Rule) -> None:
    ensemble = Ensemble(members, rule, 2.0 if rule == "cautious" else 1.0)
    apart = torch.tensor([member.score(PROMPTS, RESPONSES) for member in members])
    assert len({*apart.flatten().tolist()}) == 12  # so that no two could be exchanged unseen
    assert torch.equal(ensemble.score_members(PROMPTS, RESPONSES), apart)
    assert ensemble.score(PROMPTS, RESPONSES) == combine(apart, rule, 2.0).tolist()
    for size in (1, 7):
        again = ensemble.score(PROMPTS, RESPONSES, tokens_at_once=size)
        assert again == pytest.approx(ensemble.score(PROMPTS, RESPONSES), abs=1e-5)


def test_an_ensemble_lies_where_its_members_are_put(members: list[RewardModel]) -> None:
    ensemble = Ensemble(members).to("cpu").eval()
    assert ensemble.device == torch.device("cpu")
    assert not any(member.training for member in ensemble.members)


@pytest.mark.parametrize("number", [0, 1])
def test_one_model_is_no_ensemble(members: list[RewardModel], number: int) -> None:
    with pytest.raises(ConfigError, match=rf"expected at least 2 models for an ensemble, found {number}"):
        Ensemble(members[:number])


def test_token_ids_need_one_tokenizer(members: list[RewardModel], tmp_path: Path) -> None:
    alike = Ensemble(members)
    each = [member.score([(4, 5)], [(6,)]) for member in members]
    assert alike.score_members([(4, 5)], [(6,)]).tolist() == each
    members[0].save_pretrained(tmp_path)
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_bytes())
    words = tokenizer["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    differing = Ensemble([*members, RewardModel.from_pretrained(tmp_path)])
    for prompt, response in (("a", (4, 5)), ((4, 5), "a"), ((4,), (5,))):
        with pytest.raises(
            DataError, match=r"expected texts, as the members .* differ in their tokenizers, found token"
        ):
            differing.score([prompt], [response])
        with pytest.raises(DataError, match=r"found token ids"):
            encode_candidates(differing, [prompt], [[response]])
    chat = (Message("user", "a b"),)
    assert math.isfinite(differing.score([chat], ["c"])[0])


def group(found: Sequence[float], sizes: Sequence[int]) -> list[list[float]]:
    values = iter(found)
    return [[next(values) for _ in range(size)] for size in sizes]


def test_candidates_are_scored_by_an_ensemble_and_by_a_single_model_alike(members: list[RewardModel]) -> None:
    prompts, groups = ("a b c d e", "f"), (("a", "b c", "d e f a"), ("c", "c"))
    flat = [prompt for prompt, own in zip(prompts, groups, strict=True) for _ in own]
    texts = [text for own in groups for text in own]
    ensemble = Ensemble(members, "cautious", 0.5)
    seen = encode_candidates(ensemble, prompts, groups)
    assert [[candidates.prompt_cut for candidates in own] for own in seen] == [[True, False, False], [False] * 3]
    found = score_candidates(ensemble, seen)
    assert [list(one.scores) for one in found] == group(ensemble.score(flat, texts), (3, 2))
    doubts = find_disagreement(ensemble.score_members(flat, texts)).tolist()
    assert [list(one.disagreement or ()) for one in found] == group(doubts, (3, 2))

    alone = score_candidates(members[1], encode_candidates(members[1], prompts, groups))
    assert [list(one.scores) for one in alone] == group(members[1].score(flat, texts), (3, 2))
    assert [one.disagreement for one in alone] == [None, None]
    assert [score_candidates(one, []) for one in (ensemble, members[0])] == [[], []]


def test_the_heads_of_a_model_disagree_as_members_do(members: list[RewardModel], tmp_path: Path) -> None:
    reading = Reading(readout="last", rule="minimum")
    model = RewardModel.from_pretrained(save_language_model("gpt2", tmp_path), reading=reading, heads=3)
    apart = model.score_members(PROMPTS, RESPONSES)
    assert apart.shape == (3, 4)
    found = score_candidates(model, encode_candidates(model, PROMPTS, [[text] for text in RESPONSES]))
    assert [one.scores[0] for one in found] == apart.amin(0).tolist()
    assert [list(one.disagreement or ()) for one in found] == [[doubt] for doubt in find_disagreement(apart).tolist()]
    # To an ensemble it is one member, with the score that its heads come to.
    ensemble = Ensemble([members[0], model])
    assert ensemble.score_members(PROMPTS, RESPONSES)[1].tolist() == apart.amin(0).tolist()


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused(broken: float, members: list[RewardModel], tmp_path: Path) -> None:
    members[0].save_pretrained(tmp_path)
    model = RewardModel.from_pretrained(tmp_path)
    with torch.no_grad():
        model.bias.fill_(broken)
    comparisons = [Comparison("a b", ("c", "d e"), (0,))]
    # The minimum of the two is finite where one is infinite.
    for scorer, scores in ((model, 2), (Ensemble([model, members[1]], "minimum"), 4)):
        with pytest.raises(NotFiniteError, match=f"expected finite scores, found 2 of {scores} that are not"):
            score_comparisons(scorer, comparisons)


# --- as a folder ---


@pytest.fixture(scope="module")
def saved(members: list[RewardModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "ensemble"
    Ensemble(members, "cautious", 0.5).save_pretrained(folder)
    return folder


def test_a_saved_ensemble_gives_the_same_scores(members: list[RewardModel], saved: Path) -> None:
    document = {"schema": "prefline.ensemble/1", "members": 3, "rule": "cautious", "caution": 0.5}
    assert json.loads((saved / "ensemble.json").read_bytes()) == document
    assert sorted(path.name for path in saved.iterdir()) == ["ensemble.json", "members"]
    found = open_scorer(saved)
    assert isinstance(found, Ensemble)
    assert found.combination == Combination(rule="cautious", caution=0.5)
    expected = Ensemble(members, "cautious", 0.5)
    assert found.score(PROMPTS, RESPONSES) == pytest.approx(expected.score(PROMPTS, RESPONSES), abs=1e-5)
    found.save_pretrained(saved.with_name("again"))
    for path in (path for path in saved.rglob("*") if path.is_file()):
        assert (saved.with_name("again") / path.relative_to(saved)).read_bytes() == path.read_bytes(), path


def test_members_load_alone_and_by_plain_transformers(members: list[RewardModel], saved: Path) -> None:
    first = saved / "members" / "1"
    assert isinstance(open_scorer(first), RewardModel)
    plain = AutoModelForSequenceClassification.from_pretrained(first)
    given = members[0].encoder.encode(["a b"], ["c d"])[0]
    with torch.no_grad():
        score = plain(torch.tensor([given.prompt + given.response])).logits.item()
    assert score - 1.0 == pytest.approx(members[0].score(["a b"], ["c d"])[0], abs=1e-5)  # its offset
    bert = AutoModelForSequenceClassification.from_pretrained(saved / "members" / "3")
    short = ("c d", "a", "e f", "b b")  # as it is cut
    assert score_plainly(bert, saved / "members" / "3", PROMPTS, short) == pytest.approx(
        members[2].score(PROMPTS, RESPONSES), abs=1e-5
    )


def test_where_one_model_is_wanted_an_ensemble_is_refused_with_what_to_take(saved: Path) -> None:
    message = rf"{saved}: expected .* found none: it is an ensemble, .* take a member, such as {saved}/members/1$"
    for load in (RewardModel.from_pretrained, load_causal_lm, load_tokenizer):
        with pytest.raises(DataError, match=message):
            load(saved)


def test_a_language_model_is_no_scorer_and_no_member(saved: Path, tmp_path: Path) -> None:
    model = save_language_model("gpt2", tmp_path / "lm")
    with pytest.raises(
        DataError, match=r"lm: expected a scorer \(its config names a .*\), found GPT2LMHeadModel: train"
    ):
        open_scorer(model)
    describe(tmp_path, members=2)
    (tmp_path / "members").mkdir()
    (tmp_path / "members" / "1").symlink_to(saved / "members" / "1")
    (tmp_path / "members" / "2").symlink_to(model)
    with pytest.raises(DataError, match=r"members/2: expected a scorer"):
        open_scorer(tmp_path)


def describe(folder: Path, **about: Any) -> None:
    (folder / "ensemble.json").write_text(json.dumps({"schema": "prefline.ensemble/1", **about}))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"schema": "prefline.ensemble/2"}, "expected the schema 'prefline.ensemble/1', found 'prefline.ensemble/2'"),
        ({}, "'members' is missing"),
        ({"members": 1}, "members: .*greater than or equal to 2, found 1"),
        ({"members": 2, "rule": "best"}, "rule: .*found 'best'"),
        ({"members": 2, "weights": [1, 2]}, "unknown key 'weights'"),
        ({"members": 2}, "members/1: expected the folder of a model, found nothing"),
    ],
    ids=str,
)
def test_a_folder_that_is_not_as_it_should_be_is_refused(about: dict[str, Any], message: str, tmp_path: Path) -> None:
    describe(tmp_path, **about)
    with pytest.raises(DataError, match=rf"^{tmp_path}/.*{message}"):
        open_scorer(tmp_path)


def test_an_ensemble_is_no_member(saved: Path, tmp_path: Path) -> None:
    describe(tmp_path, members=2)
    (tmp_path / "members").mkdir()
    for number in ("1", "2"):
        (tmp_path / "members" / number).symlink_to(saved)
    with pytest.raises(DataError, match=r"members/1: expected a config.json .*: it is an ensemble"):
        open_scorer(tmp_path)


def test_dissent_by_hand() -> None:
    scores = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [2.0, 0.0, 2.0], [5.0, 0.0, 4.0]])
    assert find_dissent(scores, scores.mean(0)) == 0.25  # the second member would choose the second response
    assert find_dissent(scores, torch.tensor([1.0, 1.0, 0.0])) == 0  # two that tie: each member has one of them
    assert find_dissent(scores, torch.tensor([0.0, 0.0, 1.0])) == 0.75  # the third has it level with the first
