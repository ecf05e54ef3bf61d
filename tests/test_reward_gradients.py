"""The gradient of a step is that of a plain implementation, however candidates are put together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_comparisons import draw_comparisons
from plain_scorers import Plain, choose
from tiny_encoders import ENCODERS, build_any
from tiny_scorers import CAUSAL, set_affine
from torch.nn import functional

from prefline.data.comparison import Comparison
from prefline.reward_model.config import RewardConfig
from prefline.reward_model.encoding import encode_comparisons
from prefline.reward_model.gradients import Found, Numbered, add_gradient
from prefline.reward_model.model import RewardModel
from prefline.reward_model.objectives import Loss
from prefline.reward_model.optimising import checkpoint_gradients

LOSSES: tuple[Loss, ...] = ("choice", "ranking", "rating", "difference")
COMPARISONS = draw_comparisons(12)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("scorers")
    for kind in (*CAUSAL, *ENCODERS):
        build_any(kind, root).save_pretrained(root / kind)
    return {kind: root / kind for kind in (*CAUSAL, *ENCODERS)}


def load(folder: Path) -> RewardModel:
    return set_affine(RewardModel.from_pretrained(folder), 1.5, 0.25)


def number(model: RewardModel, comparisons: Sequence[Comparison] = COMPARISONS) -> list[Numbered]:
    encoded = encode_comparisons(comparisons, model.encoder)
    return [Numbered(place, one) for place, one in enumerate(encoded, 1)]


def compute(
    model: RewardModel, tokens_at_once: int = 1024, comparisons: Sequence[Comparison] = COMPARISONS, **settings: Any
) -> tuple[Found, dict[str, torch.Tensor]]:
    model.zero_grad()
    found, _ = add_gradient(model, number(model, comparisons), RewardConfig(**settings), tokens_at_once, 0)
    gradients = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    return found, gradients


def check_near(found: dict[str, torch.Tensor], expected: dict[str, Any], tolerance: float = 1e-6) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        # Of a bias before a softmax or a norm nothing is left but rounding: whole gradients set the scale.
        scale = gradient.norm() + 1e-6 * sum(other.norm() for other in expected.values())
        assert (found[name] - gradient).norm() < tolerance * scale, name


@pytest.mark.parametrize(
    ("kind", "loss"),
    [*((kind, loss) for kind in CAUSAL for loss in LOSSES), *((kind, "choice") for kind in ENCODERS)],
)
def test_loss_and_gradients_are_those_of_a_plain_implementation(folders: Any, kind: str, loss: Loss) -> None:
    plain = Plain(folders[kind], 1.5, 0.25).eval()
    expected = plain.find_loss(COMPARISONS, loss)
    expected.backward()
    gradients = {name: one.grad for name, one in plain.named_parameters()}
    model = load(folders[kind]).double()
    for shares in {model.shares, False}:
        model.share(shares)
        for tokens_at_once in (1, 60, 100_000):
            found, ours = compute(model, tokens_at_once, loss=loss)
            assert found.loss == pytest.approx(expected.item(), rel=1e-7)
            check_near(ours, gradients)


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_the_mean_has_the_gradient_of_a_plain_implementation(kind: str, tmp_path: Path) -> None:
    model = build_any(kind, tmp_path, readout="mean").double()
    total = torch.zeros(())
    for one in COMPARISONS:
        scores = []
        for prompt, response in encode_comparisons([one], model.encoder)[0].pairs:
            types = (
                {"token_type_ids": torch.tensor([[0] * len(prompt) + [1] * len(response)])} if kind == "bert" else {}
            )
            states = model.inner.base_model(torch.tensor([[*prompt, *response]]), **types).last_hidden_state
            head: Any = model.inner.get_submodule(model.head)
            scores.append(
                states[0, len(prompt) :].mean(0) @ head.weight[0] + (0 if head.bias is None else head.bias[0])
            )
        total = total + one.weight * choose(torch.stack(scores), one)
    (total / sum(one.weight for one in COMPARISONS)).backward()
    expected = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    for tokens_at_once in (1, 100_000):
        _, ours = compute(model, tokens_at_once)
        ours = {name: one for name, one in ours.items() if name not in ("gain", "bias")}
        check_near(ours, expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_of_candidates_and_of_comparisons_changes_nothing(folders: Any, loss: Loss) -> None:
    model = load(folders["llama"]).double()
    expected, gradients = compute(model, 60, loss=loss)
    backwards = [reverse(one) for one in COMPARISONS]
    for comparisons in (COMPARISONS[::-1], backwards):
        found, ours = compute(model, 60, comparisons, loss=loss)
        assert found.loss == pytest.approx(expected.loss, rel=1e-9)
        assert sorted(found.losses) == pytest.approx(sorted(expected.losses), rel=1e-6)
        assert found.accuracy == pytest.approx(expected.accuracy)
        check_near(ours, gradients)


def reverse(one: Comparison) -> Comparison:
    size = len(one.responses)
    best = tuple(size - 1 - place for place in reversed(one.best))
    ranks, ratings = one.ranks, one.ratings
    assert ranks is not None
    assert ratings is not None
    return Comparison(
        one.prompt, one.responses[::-1], best, ranks=ranks[::-1], ratings=ratings[::-1], weight=one.weight
    )


@pytest.mark.parametrize("loss", ["choice", "ranking", "difference"])
def test_a_constant_added_to_the_scores_changes_nothing(folders: Any, loss: Loss) -> None:
    model = load(folders["gpt2"]).double()
    expected, gradients = compute(model, loss=loss)
    assert gradients["bias"].abs() < 1e-12  # so no step moves it
    found, ours = compute(set_affine(model, 1.5, 40.0), loss=loss)
    assert found.losses == pytest.approx(expected.losses, rel=1e-9)
    check_near(ours, gradients)


def test_weights_count_as_often_as_they_say(folders: Any) -> None:
    model = load(folders["gpt2"]).double()

    def draw(weight: float, *, other: bool = False) -> Comparison:
        return Comparison("a b", ("f a", "b") if other else ("c", "d e"), (0,), weight=weight)

    thrice, gradients = compute(model, comparisons=[draw(1), draw(1), draw(1), draw(1, other=True)])
    for scale in (1, 0.25):
        found, ours = compute(model, comparisons=[draw(3 * scale), draw(scale, other=True)])
        assert found.loss == pytest.approx(thrice.loss, rel=1e-9)
        assert found.loss == pytest.approx((3 * found.losses[0] + found.losses[1]) / 4, rel=1e-12)
        check_near(ours, gradients)


def test_computing_twice_changes_no_gradient(folders: Any) -> None:
    model = load(folders["llama"])
    expected, gradients = compute(model.train())
    checkpoint_gradients(model.inner)
    found, ours = compute(model)
    assert found.losses == pytest.approx(expected.losses, rel=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("readout", ["last", "mean"])
def test_half_precision_is_near(readout: str, tmp_path: Path) -> None:
    model = build_any("llama", tmp_path, readout=readout)
    expected, gradients = compute(model)
    found, ours = compute(model, dtype="bfloat16")
    assert found.loss == pytest.approx(expected.loss, rel=0.03)
    assert found.loss != expected.loss
    whole, half = (torch.cat([one.flatten() for one in some.values()]) for some in (gradients, ours))
    assert functional.cosine_similarity(whole, half, dim=0) > 0.99
    assert {one.dtype for one in ours.values()} == {torch.float32}
