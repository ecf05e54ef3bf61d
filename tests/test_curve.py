"""Accuracy by the number of comparisons: what is trained, what is reused, what is refused, and what comes of it."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_stage import compare, ingest, prove_here, train, write
from tiny_scorers import save_language_model
from typer.main import get_command

from prefline.data.chance import from_seed
from prefline.data.comparison import Comparison
from prefline.data.errors import ConfigError, DataError, StoreError
from prefline.pipeline import Artifact, Store, making
from prefline.pipeline.cli import app
from prefline.pipeline.curve import Design, count_seen, list_trainings
from prefline.pipeline.curve_page import render_curve
from prefline.pipeline.labels import Labels, draw_labels, read_labels
from prefline.reward_model.model import RewardModel
from prefline.reward_model.scored import Scored, measure_accuracy

SETTINGS = {"batch": 8, "learning_rate": 3e-3, "normalize": "responses", "samples": 16}


class World(NamedTuple):
    """A store with comparisons, and a language model beside it."""

    root: Path
    store: Store
    comparisons: Artifact
    model: Path

    def draw(self, output: str, *words: str, sizes: str = "10,all") -> Any:
        """Run the verb, and return what it has written."""
        settings = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
        given = ["--model", self.model, "--sizes", sizes, "--output", self.root / output, "--store", self.store.root]
        line = ["curve", self.comparisons.id, *map(str, given), *settings, "--device", "cpu", *words]
        get_command(app).main(line, standalone_mode=False)
        return json.loads((self.root / output / "curve.json").read_bytes())

    @property
    def held_out(self) -> list[Comparison]:
        """What is held out."""
        lines = (self.comparisons.path / "held_out.jsonl").read_text().splitlines()
        return [Comparison.from_row(json.loads(line)) for line in lines]

    @property
    def size(self) -> int:
        """How many comparisons there are to learn from."""
        return len((self.comparisons.path / "train.jsonl").read_text().splitlines())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("curve")
    store = Store.create(root / "my störe ✓")
    model = save_language_model("gpt2", root / "lm", n_layer=1, n_embd=16)
    return World(root, store, ingest(store, write(root / "rows.jsonl", compare(60))), model)


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    prove_here(monkeypatch)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is trained, and not reused."""
    names: list[str] = []
    run = making._run

    def note(store: Any, stage: Any, job: Any, name: Any) -> Any:
        names.append(job.label)
        return run(store, stage, job, name)

    monkeypatch.setattr(making, "_run", note)
    return names


# --- the comparisons that are drawn ---


def label(number: int, responses: int = 3) -> Comparison:
    """A comparison of which all that is said of its responses follows from one order."""
    texts = tuple(f"{number}.{place}" for place in range(responses))
    ranks = tuple((place + number) % responses for place in range(responses))
    best = (ranks.index(0),)
    votes = tuple(float(responses - rank) for rank in ranks)
    ratings = tuple(10.0 - rank for rank in ranks)
    systems = tuple(f"system {place}" for place in range(responses))
    return Comparison(f"p{number}", texts, best, ranks=ranks, votes=votes, ratings=ratings, systems=systems)


@given(st.integers(1, 40), st.integers(1, 45), st.integers(1, 45), st.integers(0, 99))
def test_a_larger_draw_holds_a_smaller_one_in_the_order_of_all(there: int, one: int, other: int, seed: int) -> None:
    labels = Labels([label(number) for number in range(there)], [label(99)])
    fewer, more = (draw_labels(labels, most, from_seed(seed)) for most in sorted((one, other)))
    assert len(fewer.train) == min(one, other, there)
    prompts = [found.prompt for found in more.train]
    assert [prompt for prompt in prompts if prompt in {found.prompt for found in fewer.train}] == [
        found.prompt for found in fewer.train
    ]
    assert prompts == [found.prompt for found in labels.train if found.prompt in set(prompts)]
    assert more.held_out == labels.held_out
    if max(one, other) >= there:
        assert more == labels == draw_labels(labels, None, from_seed(seed))


def test_another_seed_draws_others() -> None:
    labels = Labels([label(number) for number in range(40)], [])
    assert draw_labels(labels, 10, from_seed(1)) != draw_labels(labels, 10, from_seed(2))


@given(st.integers(2, 5), st.integers(0, 99))
def test_labels_that_are_dealt_anew_stay_together_and_texts_stay_where_they_are(responses: int, seed: int) -> None:
    labels = Labels([label(number, responses) for number in range(8)], [label(9, responses)])
    dealt = draw_labels(labels, None, from_seed(seed), shuffled=True)
    assert dealt.held_out == labels.held_out
    for before, after in zip(labels.train, dealt.train, strict=True):
        assert (after.prompt, after.responses, after.systems) == (before.prompt, before.responses, before.systems)
        said = [list(zip(one.ranks or (), one.votes or (), one.ratings or (), strict=True)) for one in (before, after)]
        assert Counter(said[0]) == Counter(said[1])
        assert after.ranks is not None
        assert after.best == (after.ranks.index(0),)


def test_every_response_becomes_best_as_often_as_any_other() -> None:
    labels = Labels([label(0) for _ in range(3000)], [])
    places = Counter(one.best[0] for one in draw_labels(labels, None, from_seed(3), shuffled=True).train)
    # Each is best in 1000 cases; the deviation is sqrt(3000 x 1/3 x 2/3) = 25.8.
    assert all(abs(places[place] - 1000) < 4 * 25.8 for place in range(3))


# --- the verb ---


def test_the_curve_says_what_its_models_say(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    curve = world.draw("whole", "--seeds", "1,2", "--shuffled", "--set", "epochs=4")
    assert curve["schema"] == "prefline.curve/1"
    assert curve["settings"] == SETTINGS | {"epochs": 4}
    points = [(found["size"], found["seed"]) for found in curve["trainings"]]
    assert points == [(10, 1), (10, 2), (world.size, 1), (world.size, 2)]
    for found in [*curve["trainings"], curve["shuffled"]]:
        artifact = world.store.get(found["artifact"])
        model = RewardModel.from_pretrained(artifact.path)
        scored = [
            Scored(one, tuple(model.score([one.prompt] * len(one.responses), one.responses))) for one in world.held_out
        ]
        accuracy = measure_accuracy(scored)
        assert accuracy is not None
        assert {name: found[name] for name in accuracy} == pytest.approx(accuracy)
        assert found["loss"] == artifact.manifest.data["after"]["loss"]
        assert found["learnt"] == found["size"] == artifact.manifest.data["comparisons"]
    for number, found in enumerate(curve["sizes"]):
        shares = [one["share"] for one in curve["trainings"][2 * number : 2 * number + 2]]
        assert found["share"] == pytest.approx(sum(shares) / 2)
        assert (found["least"], found["most"]) == (min(shares), max(shares))
    first, last = curve["sizes"]
    assert first["ahead"] is None
    assert last["ahead"]["difference"] == pytest.approx(last["share"] - first["share"])
    assert last["share"] > 0.6 > last["chance"]
    assert curve["shuffled"]["low"] < curve["shuffled"]["chance"]
    assert curve["shuffled"]["share"] < last["least"]
    out, err = capsys.readouterr()
    assert out.split() == [*(found["artifact"] for found in curve["trainings"]), curve["shuffled"]["artifact"]]
    assert "5 stages: 5 to make, 0 to reuse" in err
    assert f"to be read: {world.root / 'whole' / 'curve.html'}" in err


def test_what_was_made_is_reused_and_more_sizes_cost_what_they_cost(
    world: World, made: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plain = train(world.store, world.comparisons, world.model, **SETTINGS, seed=5)
    made.clear()
    curve = world.draw("reused", "--seeds", "5", sizes="12,all")
    assert made == ["12, seed 5"]  # all of them are a plain training
    assert curve["trainings"][1]["artifact"] == plain.id
    before = (world.root / "reused" / "curve.json").read_bytes(), (world.root / "reused" / "curve.html").read_bytes()
    made.clear()
    capsys.readouterr()
    again = world.draw("reused", "--seeds", "5", sizes=f"{world.size},12,12")
    assert again == curve
    assert (made, sorted(path.name for path in (world.root / "reused").iterdir())) == ([], ["curve.html", "curve.json"])
    assert before == (
        (world.root / "reused" / "curve.json").read_bytes(),
        (world.root / "reused" / "curve.html").read_bytes(),
    )
    assert "2 stages: 0 to make, 2 to reuse" in capsys.readouterr().err
    assert [found["size"] for found in world.draw("reused", "--seeds", "5", sizes="12,14,all")["sizes"]] == [
        12,
        14,
        world.size,
    ]
    assert made == ["14, seed 5"]


def test_a_stop_loses_no_training_that_was_done(world: World, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run = making._run

    def fail(store: Any, stage: Any, job: Any, name: Any) -> Any:
        if job.label == "16, seed 7":
            raise RuntimeError("killed")
        return run(store, stage, job, name)

    with monkeypatch.context() as patch:
        patch.setattr(making, "_run", fail)
        with pytest.raises(RuntimeError, match="killed"):
            world.draw("stopped", "--seeds", "6,7", sizes="16")
    assert not (world.root / "stopped").exists()
    made.clear()
    assert len(world.draw("stopped", "--seeds", "6,7", sizes="16")["trainings"]) == 2
    assert made == ["16, seed 7"]


def test_it_is_said_where_steps_let_no_training_see_as_many_as_it_could(world: World) -> None:
    def count(**settings: Any) -> int | None:
        design = Design(world.comparisons, world.model, (10, 30), (1,), settings)
        return count_seen(list_trainings(design, read_labels(world.comparisons)))

    assert count(batch=8) is None  # as many as there are
    assert count(batch=8, steps=4) is None
    assert count(batch=8, steps=3) == 24


# --- what is refused, before anything is trained ---


@pytest.mark.parametrize(
    ("words", "sizes", "said"),
    [
        ((), "10,1000", r"--sizes: expected at most \d+, as many as there are to learn from, found 1,000: take all"),
        ((), "0", "expected whole numbers from 1 or 'all' with commas between them, found '0'"),
        ((), "ten", "found 'ten'"),
        (("--seeds", "1,x"), "10", "expected whole numbers from 0 with commas between them, found 'x'"),
        (("--set", "most=3"), "10", "--set most: the curve sets that itself: say --sizes"),
        (("--set", "shuffle-labels=true"), "10", "say --shuffled"),
        (("--set", "seed=3"), "10", "seed: say --seeds"),
        (("--set", "epoch=3"), "10", r"a setting of train-reward, found 'epoch' \(did you mean 'epochs'\?\)"),
        (("--set", "epochs"), "10", "expected NAME=VALUE of a setting of train-reward, found 'epochs'"),
        (("--set", "epochs=1", "--set", "epochs=2"), "10", "expected epochs once, found it 2 times"),
        (("--set", "epochs=0"), "10", "epochs: Input should be greater than or equal to 1"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused(
    words: tuple[str, ...], sizes: str, said: str, world: World, made: list[str]
) -> None:
    with pytest.raises(Exception, match=said):
        world.draw("refused", *words, sizes=sizes)
    assert made == []
    assert not (world.root / "refused").exists()


def test_a_folder_of_something_else_is_refused(world: World, made: list[str]) -> None:
    (world.root / "other").mkdir()
    (world.root / "other" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="expected a new folder, or one of a curve, found 1 other file: name another"):
        world.draw("other")
    (world.root / "other" / "notes.txt").rename(world.root / "other" / "curve.json")
    with pytest.raises(StoreError, match=r"found another curve\.json"):
        world.draw("other")
    assert (world.root / "other" / "curve.json").read_text() == "mine"
    with pytest.raises(StoreError, match="expected a folder, or nothing there"):
        world.draw("other/curve.json")
    with pytest.raises(StoreError, match="is inside the store"):
        world.draw(f"{world.store.root.name}/curve")
    assert made == []


def test_comparisons_of_which_none_are_held_out_are_refused(world: World, made: list[str]) -> None:
    comparisons = ingest(world.store, world.root / "rows.jsonl", held_out=0.0)
    made.clear()
    with pytest.raises(DataError, match="expected held-out comparisons in which somebody chose"):
        world._replace(comparisons=comparisons).draw("none")
    assert made == []


def test_an_artifact_of_another_kind_is_refused(world: World, made: list[str]) -> None:
    model = train(world.store, world.comparisons, world.model, **SETTINGS, seed=5)
    made.clear()
    with pytest.raises(ConfigError, match="expected an artifact of the kind comparisons, found the kind reward-model"):
        world._replace(comparisons=model).draw("kind")
    assert made == []


# --- the page ---


class Tags(HTMLParser):
    """Whether tags are closed in order, and what the page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.fetched += [
            value or "" for name, value in attrs if name in ("src", "href") and not (value or "").startswith("#")
        ]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def share(middle: float, **also: Any) -> dict[str, Any]:
    low, high = max(0.0, middle - 0.03), min(1.0, middle + 0.03)
    return {"right": 400 * middle, "of": 400, "share": middle, "low": low, "high": high, "chance": 0.25, **also}


def sketch(
    shares: Iterable[float], *, trainings: int = 3, ceiling: float | None = 0.7, shuffled: float | None = 0.24
) -> Any:
    """A curve with one share for each size."""
    sizes: list[Any] = []
    points: list[Any] = []
    for number, middle in enumerate(shares):
        size = 250 * 4**number
        ahead = {"difference": 0.05, "low": 0.02, "high": 0.08, "of": 400} if sizes else None
        least, most = max(0.0, middle - 0.01), min(1.0, middle + 0.01)
        sizes.append({"size": size, **share(middle, trainings=trainings, least=least, most=most, ahead=ahead)})
        about = {"size": size, "learnt": size - 1, "artifact": f"sha256:{'ab' * 32}", "loss": 1.25}
        points += [about | {"seed": seed, **share(middle)} for seed in range(trainings)]
    return {
        "schema": "prefline.curve/1",
        "comparisons": f"sha256:{'cd' * 32}",
        "settings": {"lead": "<script>alert(1)</script>"},
        "data": {"train": 4000, "held_out": 420, "decided": 400, "prompts": 390, "feedback": ["human"]},
        "ceiling": None if ceiling is None else share(ceiling),
        "sizes": sizes,
        "trainings": points,
        "shuffled": None if shuffled is None else points[-1] | share(shuffled),
    }


@pytest.mark.parametrize(
    "curve",
    [
        sketch([0.4, 0.5, 0.6]),
        sketch([0.4], trainings=1, ceiling=None, shuffled=None),
        sketch([0.0, 1.0], ceiling=1.0, shuffled=1.0),
    ],
    ids=["rich", "sparse", "extreme"],
)
def test_the_page_is_whole_and_needs_nothing_else(curve: Any) -> None:
    page = render_curve(json.loads(json.dumps(curve)))
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.fetched == []
    assert "script" not in tags.seen
    assert "&lt;script&gt;" in page
    assert not re.search(r"\bnan\b|\binf\b|None", page)
    for title in ("In short", "Accuracy", "Trainings", "Data and settings"):
        assert f"<h2>{title}</h2>" in page
    assert ("People agree" in page) == (curve["ceiling"] is not None)
    assert ("shuffled labels" in page) == (curve["shuffled"] is not None)


CONCLUSIONS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda curve: curve, "from 4,000 comparisons, the model is right in 60.0 % (57.0 to 63.0 %) of what is held out"),
    (lambda curve: curve, "chance is 25.0 %; people agree in 70.0 %."),
    (lambda curve: curve, "changes by +5.0 points (+2.0 to +8.0): they have helped so far, and more may help further."),
    (lambda curve: curve["sizes"][-1]["ahead"].update(low=-0.01), "cannot be told from these."),
    (lambda curve: curve["sizes"][-1]["ahead"].update(high=-0.01, low=-0.02), "it falls, so look at the settings"),
    (lambda curve: curve, "where chance is 25.0 %: nothing shows that it has learnt anything, as should be."),
    (lambda curve: curve["shuffled"].update(share(0.4)), "if it is above chance with all of them"),
    (lambda curve: curve["sizes"][-1].update(trainings=1), "There is one seed"),
    (lambda curve: curve, "measured on the same 400 comparisons, so they err together"),
]


@pytest.mark.parametrize(("change", "said"), CONCLUSIONS, ids=[said for _, said in CONCLUSIONS])
def test_what_is_concluded(change: Callable[[Any], Any], said: str) -> None:
    curve = sketch([0.4, 0.5, 0.6])
    change(curve)
    assert said in render_curve(curve)
