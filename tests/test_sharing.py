"""The prompt computed once: rows laid out by hand, and equality with each response computed by itself."""

import copy
import gc
import pickle
import random
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import ARCHITECTURES, WORDS, build_tiny
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from prefline.data.chance import from_seed
from prefline.reward_model.encoding import Pair
from prefline.reward_model.rows import count_tokens, lay_out, split_rows
from prefline.reward_model.scorers import draw_head
from prefline.reward_model.sharing import ATTENTION, find_window, read_states, share_prompts

A, B = (5, 6, 7), (8, 9)


def build_body(kind: str, **settings: Any) -> PreTrainedModel:
    """Return a tiny classifier of one architecture, with a head that can be told from zero."""
    config = build_tiny(kind, torch.float32, **settings).config
    config.num_labels = 1
    torch.manual_seed(3)
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa")
    draw_head(model.score, from_seed(1))
    return model.eval()


def draw_pairs(count: int, *, empty: bool = True) -> list[Pair]:
    """Return the pairs of some prompts, with unequal numbers of responses of unequal lengths."""
    draw = random.Random(count)
    pairs: list[Pair] = []
    for _ in range(count):
        prompt = tuple(draw.randrange(2, WORDS) for _ in range(draw.randint(1, 20)))
        for _ in range(draw.randint(2, 5)):
            length = draw.randint(0 if empty else 1, 9)
            pairs.append(Pair(prompt, tuple(draw.randrange(2, WORDS) for _ in range(length))))
    return pairs


def test_a_row_by_hand() -> None:
    row = lay_out([Pair(A, (1, 2)), Pair(A, (3,)), Pair(B, (4,)), Pair(A, ())], whole=False)
    assert row.tokens.tolist() == [[5, 6, 7, 1, 2, 3, 8, 9, 4, 5, 6, 7]]
    assert row.positions.tolist() == [[0, 1, 2, 3, 4, 3, 0, 1, 2, 0, 1, 2]]
    assert [block[:3] for block in row.layout.blocks] == [(0, 3, 6), (6, 8, 9), (9, 12, 12)]
    assert row.layout.blocks[0].mask.int().tolist() == [
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 1],
    ]
    assert row.places.tolist() == [4, 5, 8, 11]
    assert row.owners.tolist() == [0, 1, 2, 3]
    assert row.pairs == 4
    assert count_tokens([Pair(A, (1, 2)), Pair(A, (3,))]) == 6


def test_a_row_in_which_all_of_a_response_is_read() -> None:
    row = lay_out([Pair(A, (1, 2)), Pair(A, ()), Pair(A, ()), Pair(B, (4,))], whole=True)
    assert row.places.tolist() == [3, 4, 2, 2, 7]  # of empty responses the last of the prompt
    assert row.owners.tolist() == [0, 0, 1, 2, 3]
    assert row.layout.reads.tolist() == [2, 3, 4, 7]  # each once


def test_what_lies_behind_one_prompt_is_not_wider_than_is_good() -> None:
    pairs = [Pair(A, (1,) * 1000)] * 5
    row = lay_out(pairs, whole=False)
    assert [block.end - block.responses for block in row.layout.blocks] == [2000, 2000, 1000]
    assert row.tokens.shape == (1, 3 * 3 + 5000)
    assert count_tokens(pairs) == 3 * 3 + 5000


@given(
    st.lists(st.tuples(st.sampled_from([A, B, (9,) * 3]), st.integers(0, 1500)), min_size=1, max_size=9),
    st.integers(1, 6000),
)
def test_runs_are_as_long_as_they_were_counted(drawn: list[tuple[tuple[int, ...], int]], most: int) -> None:
    pairs = [Pair(prompt, (1,) * length) for prompt, length in drawn]
    runs = split_rows(pairs, most)
    assert [place for run in runs for place in run] == [*range(len(pairs))]
    for run in runs:
        some = [pairs[place] for place in run]
        size = lay_out(some, whole=False).tokens.shape[1]
        assert size == count_tokens(some)
        assert size <= most or len(run) == 1


def test_a_pair_without_a_token_is_refused() -> None:
    with pytest.raises(ValueError, match="pair 1: expected a token at least, found none"):
        lay_out([Pair((), (1,)), Pair((), ())], whole=False)


def score_alone(model: Any, pairs: list[Pair]) -> torch.Tensor:
    scores = []
    for prompt, response in pairs:
        tokens = torch.tensor([prompt + response])
        scores.append(model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0, 0])
    return torch.stack(scores)


def score_row(model: Any, pairs: list[Pair]) -> torch.Tensor:
    return model.score(read_states(model.base_model, lay_out(pairs, whole=False)))[:, 0]


def find_gradient(model: Any, scores: torch.Tensor) -> torch.Tensor:
    """Return the gradient of all weights in one line, of a sum in which each score has another weight."""
    model.zero_grad()
    (scores * torch.linspace(-1, 2, len(scores))).sum().backward()
    return torch.cat([weights.grad.flatten() for weights in model.parameters() if weights.grad is not None])


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", [*ARCHITECTURES, "qwen3"])
def test_scores_and_gradients_are_those_of_each_response_alone(kind: str, checkpointing: bool) -> None:
    settings = ARCHITECTURES["qwen2"] if kind == "qwen3" else {}
    model, pairs = build_body(kind, **settings), draw_pairs(4)
    alone = score_alone(model, pairs)
    expected = find_gradient(model, alone)
    assert share_prompts(model) is None
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        model.train()
    shared = score_row(model, pairs)
    torch.testing.assert_close(shared, alone, rtol=1e-5, atol=1e-5)
    found = find_gradient(model, shared)
    assert (found - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_what_a_model_computes_otherwise_stays_the_same(kind: str) -> None:
    model, pairs = build_body(kind), draw_pairs(3, empty=False)
    tokens = torch.tensor([[1, 1, *A, *B], [*A, *B, *B]])  # padded on the left
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1], [1] * 7])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    before = model.base_model(input_ids=tokens, attention_mask=mask, position_ids=positions).last_hidden_state
    assert share_prompts(model) is None
    assert model.config._attn_implementation == ATTENTION
    score_row(model, pairs)
    after = model.base_model(input_ids=tokens, attention_mask=mask, position_ids=positions).last_hidden_state
    assert torch.equal(before[:, -1], after[:, -1])


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_last_block_computes_no_more_than_what_is_read(kind: str) -> None:
    model, pairs = build_body(kind), draw_pairs(3, empty=False)
    assert share_prompts(model) is None
    rows: list[list[int]] = []
    for name, part in model.base_model.named_modules():
        if name.endswith("mlp"):
            part.register_forward_hook(lambda _part, _given, made: rows.append([*made.shape[:2]]))
    row = lay_out(pairs, whole=False)
    read_states(model.base_model, row)
    assert rows == [[1, row.tokens.shape[1]], [1, len(pairs)]]


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_last_attention_is_asked_only_for_what_is_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_body(kind)
    assert share_prompts(model) is None
    row = lay_out([Pair(A, (1, 2)), Pair(A, (3,)), Pair(A, ()), Pair(B, (4, 9, 9)), Pair((), (5, 6))], whole=False)
    asked: list[int] = []
    compute = torch.nn.functional.scaled_dot_product_attention

    def count(query: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        asked.append(query.shape[2])
        return compute(query, *given, **named)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", count)
    read_states(model.base_model, row)
    whole = [3, 3, 2, 3, 2]  # a prompt, its responses, and so on; the last has no prompt
    assert asked == whole * (model.config.num_hidden_layers - 1) + [3, 1, 1]


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_model_is_used_by_several_threads_at_once(kind: str) -> None:
    model = build_body(kind)
    assert share_prompts(model) is None
    sets = [draw_pairs(count, empty=False) for count in range(1, 9)]
    with torch.no_grad():
        expected = [score_row(model, pairs) for pairs in sets]

    def score(pairs: list[Pair]) -> torch.Tensor:
        with torch.no_grad():
            return score_row(model, pairs)

    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(score, sets * 5), expected * 5, strict=True):
            assert torch.equal(found, wanted)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_copy_of_a_model_computes_by_itself(kind: str) -> None:
    model, pairs = build_body(kind), draw_pairs(3, empty=False)
    assert share_prompts(model) is None
    expected = score_row(model, pairs)
    twin = copy.deepcopy(model)
    twin.activation_checkpointing_enable({"use_reentrant": False})
    twin.train()
    for other in (twin, pickle.loads(pickle.dumps(model))):  # noqa: S301  ours
        torch.testing.assert_close(score_row(other, pairs), expected, rtol=1e-5, atol=1e-6)
        find_gradient(other, score_row(other, pairs))
    assert share_prompts(model) is None  # once is enough
    torch.testing.assert_close(score_row(model, pairs), expected)


def test_what_ends_in_the_last_block_holds_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pairs = build_body("llama"), draw_pairs(3, empty=False)
    assert share_prompts(model) is None
    expected = score_row(model, pairs)
    made: list[weakref.ref[torch.Tensor]] = []
    body: Any = model.base_model
    first, last = body.layers
    handle = first.register_forward_hook(lambda _part, _given, states: made.append(weakref.ref(states)))
    with monkeypatch.context() as full:
        full.setattr(last.mlp, "forward", lambda _: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
        with pytest.raises(torch.OutOfMemoryError):
            score_row(model, pairs)
    handle.remove()
    gc.collect()
    assert [states() for states in made] == [None]
    assert torch.equal(score_row(model, pairs), expected)


def test_attention_that_depends_on_more_is_refused_and_nothing_is_left_behind() -> None:
    settings = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(
        "bert", vocab_size=WORDS, num_labels=1, max_position_embeddings=64, initializer_range=0.2, **settings
    )
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa").eval()
    reason = share_prompts(model)
    assert reason is not None
    assert "see each other" in reason
    assert model.config._attn_implementation == "sdpa"
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in model.modules())


def test_what_is_computed_by_other_means_is_not_shared() -> None:
    model = build_body("gpt2")
    model.config._attn_implementation = "eager"
    assert share_prompts(model) == "its attention is computed by 'eager'"


def test_how_far_attention_reaches() -> None:
    assert find_window(build_body("mistral", sliding_window=40)) == 40
    assert find_window(build_body("llama")) is None
    model = build_body("llama")
    model.config.sliding_window = 0  # how some say that there is none
    assert find_window(model) is None
