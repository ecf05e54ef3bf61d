"""Packing: nothing is lost, nothing leaks, and hardly anything is empty."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import ARCHITECTURES, build_tiny, draw_examples

from prefline.data.errors import ConfigError, DataError
from prefline.policy.encoding import Example
from prefline.policy.model import check_length, choose_reading
from prefline.policy.packing import IGNORED, Row, collate, count_learnt, pack


def example(length: int, start: int = 1) -> Example:
    return Example(tuple(range(length)), start)


lengths = st.lists(st.integers(2, 20), max_size=200)


@given(lengths)
def test_every_example_is_in_one_row_and_no_row_is_too_long(sizes: list[int]) -> None:
    examples = [Example((number,) * size, 1, number) for number, size in enumerate(sizes)]
    rows = pack(examples, 20)
    assert sorted(one for row in rows for one in row) == sorted(examples)
    assert all(sum(len(one.tokens) for one in row) <= 20 for row in rows)


@given(lengths)
def test_no_two_rows_would_have_fitted_into_one_where_few_are_open(sizes: list[int]) -> None:
    rows = pack([example(size) for size in sizes[:60]], 20)  # fewer than rows may be open
    fills = sorted(sum(len(one.tokens) for one in row) for row in rows)
    assert len(fills) < 2 or fills[0] + fills[1] > 20


def test_the_first_row_with_room_is_taken() -> None:
    rows = pack([example(6), example(7), example(3), example(4), example(2)], 10)
    # 6+3 leaves one; 7 and then 4 do not fit together; 2 goes to the 7.
    assert [[len(one.tokens) for one in row] for row in rows] == [[6, 3], [7, 2], [4]]


def test_long_streams_keep_few_rows_open_and_still_leave_little_empty() -> None:
    examples = draw_examples(3000, longest=60)
    rows = pack(examples, 64)
    filled = sum(len(one.tokens) for one in examples) / (64 * len(rows))
    assert filled > 0.95


@pytest.mark.parametrize("wrong", [example(1), example(21), example(5, start=0), example(5, start=5)], ids=range(4))
def test_what_cannot_be_learnt_is_refused(wrong: Example) -> None:
    with pytest.raises(ValueError, match="expected an example of up to 20 tokens"):
        pack([wrong], 20)


def test_a_batch_by_hand() -> None:
    rows = [[Example((5, 6, 7), 1), Example((8, 9), 1)], [Example((4, 3, 2), 2)]]
    batch = collate(rows)
    assert batch.tokens.tolist() == [[5, 6, 7, 8, 9], [4, 3, 2, 0, 0]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1], [0, 1, 2, 0, 0]]
    assert batch.labels.tolist() == [
        [IGNORED, 6, 7, IGNORED, 9],
        [IGNORED, IGNORED, 2, IGNORED, IGNORED],
    ]
    assert batch.mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 1, 1],
    ]
    assert batch.mask[1, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    assert count_learnt(rows) == 2 + 1 + 1


def packed_logits(model: torch.nn.Module, rows: Sequence[Row]) -> torch.Tensor:
    batch = collate(rows)
    with torch.no_grad():
        return model.eval()(
            input_ids=batch.tokens, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
        ).logits


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_packed_logits_are_those_of_each_example_alone(kind: str) -> None:
    model = build_tiny(kind)
    rows = pack(draw_examples(12, longest=30), 40)
    packed = packed_logits(model, rows)
    assert len({len(row) for row in rows}) > 1
    for row, logits in zip(rows, packed, strict=True):
        at = 0
        for one in row:
            with torch.no_grad():
                alone = model(input_ids=torch.tensor([one.tokens])).logits[0]
            torch.testing.assert_close(logits[at : at + len(one.tokens)], alone, atol=1e-5, rtol=1e-5)
            at += len(one.tokens)
    assert packed.isfinite().all()
    assert packed.std() > 0.1  # large enough for 1e-5 to mean something


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_no_logit_and_no_gradient_depends_on_a_neighbour(kind: str) -> None:
    model = build_tiny(kind)
    first, second, third = (Example(tuple(range(low, low + 9)), 1) for low in (2, 20, 40))
    changed = Example(tuple(range(30, 39)), 1)
    before, after = (packed_logits(model, [[first, middle, third]])[0] for middle in (second, changed))
    for part in (slice(0, 9), slice(18, 27)):
        torch.testing.assert_close(before[part], after[part], atol=1e-6, rtol=1e-6)
    assert (before[9:18] - after[9:18]).abs().max() > 0.1  # the change was one
    # The loss of the third alone moves the embedding of no token of the others.
    batch = collate([[first, second, third]])
    labels = batch.labels.clone()
    labels[:, :18] = IGNORED
    choose_reading(model)(batch._replace(labels=labels)).sum().backward()
    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, torch.nn.Embedding)
    gradient = embeddings.weight.grad
    assert gradient is not None
    if kind != "gpt2":  # there the head is tied to the embeddings, and moves all of them
        assert gradient[40:49].abs().sum() > 0
        assert gradient[:40].abs().sum() == 0


def test_a_model_whose_examples_see_each_other_is_refused() -> None:
    model = build_tiny("mamba", hidden_size=32, num_hidden_layers=2, state_size=4)
    with pytest.raises(ConfigError, match=r"^MambaForCausalLM: .* cannot be trained here"):
        choose_reading(model)


def test_a_model_whose_positions_do_not_begin_anew_is_refused() -> None:
    model = build_tiny("bloom", hidden_size=32, n_layer=2, n_head=4)
    with pytest.raises(ConfigError, match=r"^BloomForCausalLM: .* cannot be trained here"):
        choose_reading(model)


@pytest.mark.parametrize(
    ("kind", "limit", "name"),
    [("gpt2", 64, "max_position_embeddings"), ("mistral", 40, "sliding_window")],
    ids=["positions", "window"],
)
def test_rows_longer_than_the_model_sees_are_refused(kind: str, limit: int, name: str) -> None:
    model = build_tiny(kind)
    check_length(model, limit)
    expected = f"length: expected at most {limit}, the {name} of the model, found {limit + 1}"
    with pytest.raises(ConfigError, match=expected):
        check_length(model, limit + 1)


def test_a_model_that_caps_its_logits_is_read_through_its_own_head() -> None:
    # Gemma 2 squeezes logits after the head; the states alone would give others.
    model = build_tiny(
        "gemma2",
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        final_logit_softcapping=1.0,
        sliding_window=40,
        max_position_embeddings=64,
    )
    rows = [[Example((5, 6, 7, 8), 1), Example((9, 10, 11), 1)]]
    with torch.no_grad():
        found = choose_reading(model)(collate(rows))
        expected = [
            -model(input_ids=torch.tensor([one.tokens])).logits[0].log_softmax(-1)[place, one.tokens[place + 1]]
            for one in rows[0]
            for place in range(len(one.tokens) - 1)
        ]
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_a_model_whose_weights_are_no_numbers_is_not_taken_for_one_that_leaks() -> None:
    model = build_tiny("gpt2")
    model.lm_head.weight.data[3] = float("nan")
    with pytest.raises(DataError, match=r"^GPT2LMHeadModel: it computes numbers that are not finite"):
        choose_reading(model)
