"""What is looked at before a training: a sound model passes, and of a broken one it is said what is wrong."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_scorers import CAUSAL, KINDS, build_scorer, set_affine

from prefline.data.errors import ConfigError, DataError, PreflineError
from prefline.reward_model.batching import Batch
from prefline.reward_model.encoding import Pair
from prefline.reward_model.model import RewardModel
from prefline.reward_model.preflight import check_pad, check_reading, check_same, choose_probes
from prefline.reward_model.rows import Row

PROMPTS = ("a b", "c", "a d e f a b c d", "f")
RESPONSES = ("c d e", "f", "b", "a b c a b c d e f")
Read = Callable[[RewardModel, Batch], torch.Tensor]


def encode(model: RewardModel) -> list[Pair]:
    return model.encoder.encode(PROMPTS, RESPONSES)


@pytest.mark.parametrize("readout", ["own", "mean"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_model_passes_whatever_its_gain_and_bias(kind: str, readout: str, tmp_path: Path) -> None:
    model = build_scorer(kind, tmp_path, **({"readout": "mean"} if readout == "mean" else {})).train()
    pairs = encode(model)
    for gain, bias in ((1.0, 0.0), (1e-6, 0.0), (50.0, -400.0)):
        assert check_reading(set_affine(model, gain, bias), choose_probes(pairs)) < 1e-5
    check_pad(model, pairs)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def call(model: RewardModel, batch: Batch) -> torch.Tensor:
    inner: Any = model.inner
    given = {"attention_mask": batch.mask.long(), "position_ids": batch.positions}
    return inner.score(inner.base_model(batch.tokens, **given).last_hidden_state)


def break_padded(model: RewardModel, read: "Read", monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model read padded texts wrongly, and rows as it should."""
    right = model.read
    monkeypatch.setattr(model, "read", lambda batch: right(batch) if isinstance(batch, Row) else read(model, batch))


def read_early(model: RewardModel, batch: Batch) -> torch.Tensor:
    last = (torch.arange(batch.mask.shape[1]) * batch.mask).argmax(1)
    return call(model, batch)[torch.arange(len(last)), last - 1]


def read_at_the_edge(model: RewardModel, batch: Batch) -> torch.Tensor:
    return call(model, batch)[:, -1]


def count_the_padding(model: RewardModel, batch: Batch) -> torch.Tensor:
    places = torch.arange(batch.mask.shape[1]).expand_as(batch.positions)
    return RewardModel.read(model, batch._replace(positions=places))


def ignore_the_mask(model: RewardModel, batch: Batch) -> torch.Tensor:
    last = (torch.arange(batch.mask.shape[1]) * batch.mask).argmax(1)
    scores = call(model, batch._replace(mask=torch.ones_like(batch.mask)))
    return scores[torch.arange(len(last)), last]


def see_the_response_alone(model: RewardModel, batch: Batch) -> torch.Tensor:
    return RewardModel.read(model, batch._replace(mask=batch.responses))


def see_the_prompt_alone(model: RewardModel, batch: Batch) -> torch.Tensor:
    return RewardModel.read(model, batch._replace(mask=batch.mask & ~batch.responses))


def mix_the_batch(model: RewardModel, batch: Batch) -> torch.Tensor:
    scores = RewardModel.read(model, batch)
    return scores - 0.01 * scores.mean()


def say_the_same(_: RewardModel, batch: Batch) -> torch.Tensor:
    return torch.ones(len(batch.tokens), 1)


BROKEN: dict[Read, str] = {
    read_early: "does not depend on the last token of the response: it is read before that",
    read_at_the_edge: "another score with padding on its right: that is looked at, or the score is read there",
    count_the_padding: "another score with padding on its left: positions count that, or it is looked at",
    ignore_the_mask: "another score with padding on its left",
    see_the_response_alone: "does not depend on the prompt: the model sees the response alone",
    see_the_prompt_alone: "does not depend on the last token of the response",
    mix_the_batch: "another score beside others in a batch",
    say_the_same: "does not depend on the prompt",
}


@pytest.mark.parametrize("gain", [1e-6, 1.0, 1e3])
@pytest.mark.parametrize("read", BROKEN, ids=lambda read: read.__name__)
def test_a_broken_model_is_refused_with_the_cause(
    read: Read, gain: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = set_affine(build_scorer("gpt2", tmp_path), gain, 0.0)
    break_padded(model, read, monkeypatch)
    with pytest.raises(ConfigError, match=f"^GPT2ForSequenceClassification: .*{BROKEN[read]}"):
        check_reading(model, choose_probes(encode(model)))


def test_responses_behind_one_prompt_that_see_each_other_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_scorer("gpt2", tmp_path)
    right = model.read

    def see_all(batch: Batch | Row) -> torch.Tensor:
        if isinstance(batch, Row):
            for block in batch.layout.blocks:
                block.mask.fill_(True)
        return right(batch)

    monkeypatch.setattr(model, "read", see_all)
    with pytest.raises(ConfigError, match="where its prompt is computed once for several: they see each other"):
        check_reading(model, choose_probes(encode(model)))


def test_an_encoder_that_looks_at_its_padding_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_scorer("bert", tmp_path)
    seen = RewardModel.read
    monkeypatch.setattr(model, "read", lambda batch: seen(model, batch._replace(mask=torch.ones_like(batch.mask))))
    with pytest.raises(ConfigError, match="with padding on its right"):
        check_reading(model, encode(model))


@pytest.mark.parametrize("read", [read_at_the_edge, count_the_padding], ids=lambda read: read.__name__)
def test_padding_is_tried_even_where_all_texts_are_equally_long(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_scorer("gpt2", tmp_path)
    pairs = model.encoder.encode(["a b", "c d"], ["e f", "a c"])
    assert check_reading(model, pairs) < 1e-5
    break_padded(model, read, monkeypatch)
    with pytest.raises(ConfigError, match="with padding on its"):
        check_reading(model, pairs)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_weights_that_are_not_finite_are_refused(kind: str, value: float, tmp_path: Path) -> None:
    model = build_scorer(kind, tmp_path)
    with torch.no_grad():
        next(model.inner.base_model.parameters())[4:] = value  # of all words
    with pytest.raises(DataError, match="its scores are not finite: its weights are broken"):
        check_reading(model, encode(model))


def test_what_cannot_be_exchanged_is_not_asked_for(tmp_path: Path) -> None:
    model = build_scorer("gpt2", tmp_path)
    assert check_reading(model, [Pair((), (4, 5)), Pair((), (4,))]) < 1e-5  # there is no prompt
    assert check_reading(model, [Pair((4, 4), (4,))]) < 1e-5  # there is no other token
    assert check_reading(model, [Pair((4, 5), ())]) < 1e-5
    assert check_reading(model, [Pair((), (4, 5)), Pair((4, 6), ())]) < 1e-5  # of the two, one has nothing to share


@pytest.mark.parametrize("kind", CAUSAL)
def test_padding_by_the_end_of_a_text_is_refused_where_a_text_ends_with_it(kind: str, tmp_path: Path) -> None:
    """Plain Transformers would read the token before the end: that is tried here too."""
    model = build_scorer(kind, tmp_path, end=True)
    pairs = encode(model)
    assert all(pair.response[-1] == 3 for pair in pairs)
    check_pad(model, pairs)
    model.inner.config.pad_token_id = 3
    with pytest.raises(ConfigError, match=r"3 of 4 texts end with '</s>' \(3\), which is the token for padding too"):
        check_pad(model, [*pairs[:3], Pair((3,), (3, 4))])
    check_pad(model, [Pair((3, 3), (3, 4))])
    inner: Any = model.inner
    whole = torch.tensor([pairs[0].prompt + pairs[0].response])
    early, right = model.score_pairs([Pair(pairs[0].prompt, pairs[0].response[:-1]), pairs[0]]).tolist()
    plain = inner(whole).logits.item()
    assert plain == pytest.approx(early, abs=1e-5)
    assert plain != pytest.approx(right, abs=1e-3)


def test_a_model_without_padding_is_refused_where_others_would_load_it(tmp_path: Path) -> None:
    model = build_scorer("gpt2", tmp_path)
    model.inner.config.pad_token_id = None
    with pytest.raises(ConfigError, match="names no token for padding"):
        check_pad(model, encode(model))
    mean = build_scorer("gpt2", tmp_path, readout="mean", end=True)
    mean.inner.config.pad_token_id = 3
    check_pad(mean, encode(mean))  # which nobody reads but prefline, by the mask
    bert = build_scorer("bert", tmp_path)
    bert.inner.config.pad_token_id = 3
    check_pad(bert, encode(bert))  # its head reads the first token


def test_probes_are_the_shortest_the_longest_and_some_between() -> None:
    pairs = [Pair((1,) * length, (2,)) for length in (5, 1, 9, 3, 7, 2)]
    lengths = lambda most: [len(pair.prompt) for pair in choose_probes(pairs, most)]  # noqa: E731
    assert lengths(8) == [1, 2, 3, 5, 7, 9]
    assert lengths(3) == [1, 3, 9]  # places 0, 5 // 2 and 5
    assert lengths(2) == [1, 9]
    assert lengths(1) == [9]
    assert choose_probes([pairs[0]] * 9) == [pairs[0]]
    with pytest.raises(ValueError, match="expected pairs"):
        choose_probes([])


def test_probes_of_long_texts_are_their_last_tokens() -> None:
    long = Pair(tuple(range(1000)), (1,))
    both = Pair(tuple(range(300)), tuple(range(400)))
    short = Pair((1,), (2,))
    # 257 tokens are left of the first and 512 of the second.
    assert choose_probes([both, long, short]) == [
        short,
        Pair(tuple(range(744, 1000)), (1,)),
        Pair(tuple(range(44, 300)), tuple(range(144, 400))),
    ]
    assert choose_probes([both, both._replace(prompt=(7, *both.prompt))]) == [
        Pair(tuple(range(44, 300)), tuple(range(144, 400)))
    ]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1), st.integers(1, 9))
def test_probes_are_few_different_and_of_those_given(sizes: list[tuple[int, int]], most: int) -> None:
    pairs = [Pair((prompt,) * prompt, (number,) * response) for number, (prompt, response) in enumerate(sizes)]
    probes = choose_probes(pairs, most)
    lengths = [len(pair.prompt + pair.response) for pair in pairs]
    found = [len(pair.prompt + pair.response) for pair in probes]
    assert len(probes) == len(set(probes)) == min(most, len(pairs))
    assert set(probes) <= set(pairs)
    assert found == sorted(found)
    assert found[-1] == max(lengths)
    assert most == 1 or found[0] == min(lengths)


def test_equal_scores_are_told_from_others_by_how_far_they_lie_apart() -> None:
    # The deviation of 1, 2, 3 is sqrt(2/3), a tenth of the largest 0.3: 1e-4 of 1.1165 is 1.1165e-4.
    expected = [1.0, 2.0, 3.0]
    assert check_same(expected, expected, "x") == 0
    assert check_same([1.0, 2.0, 3.0001], expected, "x") == pytest.approx(1e-4 / 1.1165, rel=1e-4)
    with pytest.raises(DataError, match=r"^folder: text 2 should have the score 2, and has 2.00012: this is not"):
        check_same([1.0, 2.00012, 3.0], expected, "folder")
    with pytest.raises(DataError):  # the same error, a thousand times smaller like all else
        check_same([0.001, 0.00200012, 0.003], [0.001, 0.002, 0.003], "x")
    assert check_same([5.0], [5.0], "x") == 0
    assert check_same([0.0, 0.0], [0.0, 0.0], "x") == 0
    with pytest.raises(DataError, match="text 1 should have the score 0, and has 1e-09"):
        check_same([1e-9, 0.0], [0.0, 0.0], "x")


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [
        ([1.0, math.nan], [1.0, 2.0], "the scores are not finite"),
        ([math.inf, 2.0], [1.0, 2.0], "the scores are not finite"),
        ([1.0, 2.0], [1.0, math.nan], "text 2 should have the score nan, and has 2"),
        ([1.0, 2.0, 1.0, 2.0], [1.0, 2.0], "expected 2 scores, found 4: the head must have one output"),
    ],
    ids=["nan", "inf", "before", "two"],
)
def test_what_is_no_score_equals_none(found: list[float], expected: list[float], message: str) -> None:
    with pytest.raises(PreflineError, match=f"^it: {message}"):
        check_same(found, expected, "it")
