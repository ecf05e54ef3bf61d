"""The report card accuses a model of what is wrong with it, and an honest one of nothing."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prefline.data import ingest
from prefline.data.comparison import Comparison
from prefline.data.contents import Prompt, Response
from prefline.reward_model.card import write_card
from prefline.reward_model.findings import judge
from prefline.reward_model.scored import Scored, measure_accuracy

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
WORDS = [f"word{number}" for number in range(60)]
SYSTEMS = {"old": -0.6, "small": -0.2, "middle": 0.2, "large": 0.6}

sizes = pytest.mark.parametrize("size", [2, 4])
seeds = pytest.mark.parametrize("seed", [1, 2])


class World(NamedTuple):
    """Comparisons, and how good each response truly is."""

    comparisons: list[Comparison]
    qualities: list[list[float]]

    def score(self, rate: Callable[[Comparison, int, float], float]) -> list[Scored]:
        """Score each response by its comparison, its place and its quality."""
        return [
            Scored(one, tuple(rate(one, place, quality) for place, quality in enumerate(qualities)))
            for one, qualities in zip(self.comparisons, self.qualities, strict=True)
        ]


def draw(seed: int, size: int = 4, of: int = 300, *, name: str = "held out") -> World:
    """Draw comparisons as people make them: quality goes a little with length, and with who wrote the response.

    People see quality dimly: of four responses a perfect model finds what they chose three times in four.
    """
    chance = random.Random(f"{seed} {name}")
    comparisons, qualities = [], []
    for number in range(of):
        lengths = [chance.randint(8, 40) for _ in range(size)]
        systems = chance.sample(list(SYSTEMS), size)
        good = [chance.gauss(SYSTEMS[system] + 0.02 * length) for system, length in zip(systems, lengths, strict=True)]
        felt = [quality + chance.gauss(0, 0.5) for quality in good]
        comparisons.append(
            Comparison(
                f"{name} prompt {number}: {' '.join(chance.choices(WORDS, k=12))}",
                tuple(" ".join(chance.choices(WORDS, k=length)) for length in lengths),
                (felt.index(max(felt)),),
                systems=tuple(systems),
            )
        )
        qualities.append(good)
    return World(comparisons, qualities)


def find(scored: Sequence[Scored], grade: str = "fault", **known: Any) -> set[str]:
    """Return what a card finds of this grade, but for the sentence above all, which must fit."""
    first, *found = write_card(scored, **known)["verdict"]
    assert (first["finding"] == "do-not-trust") == any(one["grade"] == "fault" for one in found)
    return {one["finding"] for one in found if one["grade"] == grade}


@seeds
@sizes
@pytest.mark.parametrize("noise", [0.0, 1.0, 1.5])
def test_an_honest_model_is_accused_of_nothing(noise: float, size: int, seed: int) -> None:
    chance = random.Random(seed)
    scored = draw(seed, size).score(lambda _one, _place, quality: quality + chance.gauss(0, noise))
    accuracy = measure_accuracy(scored)
    assert accuracy
    assert 0.4 < accuracy["share"] < 0.9
    assert find(scored) == set()


@pytest.mark.parametrize(("size", "of"), [(2, 300), (3, 600)])
def test_an_honest_model_is_accused_of_nothing_where_it_is_known_what_it_has_learnt_from(size: int, of: int) -> None:
    chance = random.Random(3)
    train = draw(3, size, name="train").comparisons
    scored = draw(3, size, of).score(lambda _one, _place, quality: quality + chance.gauss(0, 1))
    assert find(scored, train=train, learnt=train) == set()


@sizes
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shape", [float, math.log, math.exp], ids=["linear", "log", "exp"])
def test_a_model_that_only_reads_length_is_found_out(shape: Callable[[float], float], sign: int, size: int) -> None:
    chance = random.Random(1)
    scored = draw(1, size).score(
        lambda one, place, _quality: sign * shape(len(one.responses[place]) / 30) + chance.gauss(0, 1e-3)
    )
    assert find(scored) - {"nothing-learnt"} == {"reads-length"}  # which here is hardly better than chance


def test_a_model_that_reads_hardly_anything_but_length_is_suspected() -> None:
    chance = random.Random(1)
    scored = draw(1, 2, 600).score(
        lambda one, place, quality: len(one.responses[place]) / 50 + 0.5 * quality + chance.gauss(0, 0.5)
    )
    assert find(scored) == set()
    assert "reads-length" in find(scored, "warning")


@sizes
@pytest.mark.parametrize("of", [300, 600])
def test_a_model_that_has_learnt_from_shuffled_labels_is_found_out(of: int, size: int) -> None:
    chance = random.Random(1)
    scored = draw(1, size, of).score(lambda _one, _place, _quality: chance.gauss(0, 1))
    assert find(scored) == {"nothing-learnt"}


def test_hardly_one_of_a_thousand_models_that_have_learnt_nothing_is_trusted() -> None:
    chance = random.Random(1)
    world = draw(1)
    card = write_card(world.score(lambda _one, _place, _quality: chance.gauss(0, 1)))
    card |= {"shortcuts": [], "length": None, "slices": {}, "calibration": None}
    first: Counter[str] = Counter()
    for _ in range(1000):
        accuracy = measure_accuracy(world.score(lambda _one, _place, _quality: chance.random()))
        first[judge(card | {"accuracy": accuracy})[0]["finding"]] += 1
    assert first["do-not-trust"] > 960  # 975 are expected: those that are not surely above chance
    assert first["trust"] <= 5


@seeds
@sizes
def test_swapped_labels_are_found_out(size: int, seed: int) -> None:
    chance = random.Random(seed)
    scored = draw(seed, size).score(lambda _one, _place, quality: -quality + chance.gauss(0, 0.5))
    assert find(scored) == {"labels-swapped"}


@sizes
@pytest.mark.parametrize("sign", [1, -1], ids=["last", "first"])
def test_scores_that_follow_the_place_are_found_out(sign: int, size: int) -> None:
    chance = random.Random(1)
    scored = draw(1, size).score(lambda _one, place, _quality: sign * place + chance.gauss(0, 0.1))
    assert find(scored) - {"nothing-learnt"} == {"reads-position"}


def test_a_scorer_that_reads_the_place_of_a_response_is_found_out_though_it_is_right_too() -> None:
    world = draw(1)
    good = {
        text: quality
        for one, qualities in zip(world.comparisons, world.qualities, strict=True)
        for text, quality in zip(one.responses, qualities, strict=True)
    }

    def score_in_place(_prompts: Sequence[Prompt], responses: Sequence[Response]) -> list[float]:
        return [good[str(response)] + 0.5 * (place % 4) for place, response in enumerate(responses)]

    def score_alone(_prompts: Sequence[Prompt], responses: Sequence[Response]) -> list[float]:
        return [good[str(response)] for response in responses]

    scored = world.score(lambda _one, place, quality: quality + 0.5 * place)
    assert find(scored, score=score_in_place) == {"reads-position"}
    assert find(world.score(lambda _one, _place, quality: quality), score=score_alone) == set()


@seeds
@sizes
@pytest.mark.parametrize("has_train", [True, False])
def test_a_model_that_recognises_systems_is_found_out(has_train: bool, size: int, seed: int) -> None:
    chance = random.Random(seed)
    scored = draw(seed, size).score(
        lambda one, place, _quality: SYSTEMS[str((one.systems or ())[place])] + chance.gauss(0, 0.05)
    )
    # The words of the train comparisons would have to be learnt: what systems win is known from the responses alone.
    train = [replace(one, responses=("a", *"b" * (size - 1))) for one in draw(seed, size, name="train").comparisons]
    assert find(scored, train=train if has_train else ()) == {"recognises-systems"}


def draw_pairs(longest: float, of: int, *, first: float = 0.5, seed: int = 1) -> World:
    """Draw pairs of which the longer is truly better in a share of them, and the first in another."""
    chance = random.Random(seed)
    comparisons, qualities = [], []
    for number in range(of):
        is_long = chance.random() < longest  # the better one
        texts = [" ".join(chance.choices(WORDS, k=20 + 15 * (sign == is_long))) for sign in (True, False)]
        good = [1.0, -1.0]
        if chance.random() >= first:
            texts, good = texts[::-1], good[::-1]
        comparisons.append(Comparison(f"prompt {number}", (texts[0], texts[1]), (good.index(1.0),)))
        qualities.append(good)
    return World(comparisons, qualities)


@seeds
def test_want_of_evidence_is_no_fault(seed: int) -> None:
    chance = random.Random(seed)
    world = draw_pairs(0.9, 400, seed=seed)

    def rate(one: Comparison, place: int, quality: float) -> float:
        """Find what is better surely if it is longer, and in three of five of the others."""
        longer = len(one.responses[place]) == max(map(len, one.responses))
        sees = longer == (quality > 0) or hash_of(one) < 0.6
        return quality * (1 if sees else -1) + chance.gauss(0, 0.1)

    scored = world.score(rate)
    accuracy = measure_accuracy(scored)
    assert accuracy
    assert accuracy["share"] > 0.93  # where the longest is right in 90 %
    assert find(scored) == set()


def hash_of(one: Comparison) -> float:
    return random.Random(str(one.prompt)).random()


@pytest.mark.parametrize("noise", [1.0, 2.0])
def test_the_best_of_models_is_not_suspected_if_labels_are_noisy_and_love_length(noise: float) -> None:
    chance = random.Random(1)
    comparisons, truth = [], []
    for number in range(3000):
        lengths = [chance.randint(8, 40) for _ in range(2)]
        good = [0.07 * length + chance.gauss(0, 1) for length in lengths]
        felt = [quality + chance.gauss(0, noise) for quality in good]
        texts = tuple(letter * length for letter, length in zip("xy", lengths, strict=True))
        comparisons.append(Comparison(f"prompt {number}", texts, (felt.index(max(felt)),)))
        truth.append(good)
    scored = World(comparisons, truth).score(lambda _one, _place, quality: quality)
    assert find(scored) == set()
    assert "reads-length" not in find(scored, "warning")


def test_a_model_that_gives_the_same_scores_in_any_order_does_not_read_the_place() -> None:
    world = draw_pairs(0.5, 300, first=0.93)
    good = {
        text: quality
        for one, qualities in zip(world.comparisons, world.qualities, strict=True)
        for text, quality in zip(one.responses, qualities, strict=True)
    }
    scored = world.score(lambda _one, _place, quality: quality)
    found = write_card(scored, score=lambda _, responses: [good[str(response)] for response in responses])
    assert (found["probes"]["order"]["worst"], found["probes"]["order"]["changed"]) == (0.0, 0)
    assert "reads-position" not in [one["finding"] for one in found["verdict"]]


@seeds
@pytest.mark.parametrize("longest", [0.93, 0.95])
def test_swapped_labels_are_found_out_where_what_is_better_is_longer(longest: float, seed: int) -> None:
    world = draw_pairs(longest, 400, seed=seed)
    turned = [replace(one, best=(1 - one.best[0],)) for one in world.comparisons]
    scored = world._replace(comparisons=turned).score(lambda _one, _place, quality: quality)
    scored[:4] = [one._replace(scores=one.scores[::-1]) for one in scored[:4]]  # it is wrong in one of a hundred
    assert find(scored) == {"labels-swapped"}
    assert "reads-length" not in find(scored, "warning")


def test_held_out_prompts_that_were_learnt_from_are_a_leak() -> None:
    world = draw(1, 2)
    other = draw(1, 2, 100, name="train").comparisons
    scored = world.score(lambda _one, _place, quality: quality)
    leaked = [*other, *world.comparisons[:15]]  # 5 % of those held out
    assert find(scored, learnt=leaked) == {"leak"}
    assert find(scored) == set()  # nobody says that the model has learnt from them
    hardly = [*other, *world.comparisons[:3]]
    assert find(scored, learnt=hardly) == set()
    assert "leak" in find(scored, "warning", learnt=hardly)


def test_on_summeval_who_goes_by_systems_is_found_out_and_who_reads_is_not() -> None:
    path = SHARED / "summeval_bo4" / "comparisons_by_annotator.jsonl.gz"
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    experts: defaultdict[Any, dict[str, Comparison]] = defaultdict(dict)
    for one in ingest(path).comparisons:
        experts[one.prompt, one.responses][str(one.annotator)] = one
    judged = [said for said in experts.values() if len(said) == 3]

    def rate(one: Comparison, place: int) -> float:
        return float((one.ratings or ())[place] or 0)

    wins: defaultdict[str, list[float]] = defaultdict(list)
    for said in judged:
        for place, system in enumerate(said["expert1"].systems or ()):
            wins[str(system)].append(rate(said["expert1"], place))
    by_system = [
        Scored(
            said["expert0"],
            tuple(sum(wins[str(system)]) / len(wins[str(system)]) for system in said["expert0"].systems or ()),
        )
        for said in judged
    ]
    others = [(said["expert0"], said["expert1"], said["expert2"]) for said in judged]
    by_others = [
        Scored(one, tuple(rate(second, place) + rate(third, place) for place in range(4)))
        for one, second, third in others
    ]
    assert find(by_system) == {"recognises-systems"}
    assert find(by_others) == set()
