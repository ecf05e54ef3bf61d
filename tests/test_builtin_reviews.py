import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.errors import ConfigError
from prefline.pipeline.builtin import reviews
from prefline.pipeline.builtin.grammar import Grammar, polish
from prefline.pipeline.builtin.lexicon import DETAIL, SENTIMENT
from prefline.pipeline.builtin.review_kinds import KINDS
from prefline.pipeline.builtin.review_scores import score_descriptiveness, score_sentiment
from prefline.pipeline.builtin.reviews import measure_entropy, open_review, write_review

seeds = st.integers(0, 2**63 - 1)
TOY = Grammar({"s": ("3 * a <n>", "<n> and <n>"), "n": ("apple", "pear")})


def draw(number: int, seed: int = 0) -> list[reviews.Review]:
    generator = random.Random(seed)
    return [write_review(generator) for _ in range(number)]


def test_a_grammar_lists_what_it_can_write_with_its_probability() -> None:
    assert dict(TOY.list_all("s")) == {
        "a apple": 3 / 8,
        "a pear": 3 / 8,
        "apple and apple": 1 / 16,
        "apple and pear": 1 / 16,
        "pear and apple": 1 / 16,
        "pear and pear": 1 / 16,
    }


def test_the_entropy_and_the_length_of_a_grammar_are_exact() -> None:
    # -2 * 3/8 ln(3/8) - 4 * 1/16 ln(1/16); one blank in three quarters of the texts, two in the others.
    assert TOY.measure_entropy("s") == pytest.approx(0.75 * math.log(8 / 3) + 0.25 * math.log(16))
    assert TOY.count_words("s") == pytest.approx(0.75 * 1 + 0.25 * 2)


def test_a_grammar_writes_each_text_as_often_as_it_says() -> None:
    generator = random.Random(1)
    written = [TOY.write("s", generator) for _ in range(20_000)]
    probability = {polish(text): share for text, share in TOY.list_all("s")}
    for text, number in Counter(one.text for one in written).items():
        share = probability[text]
        assert abs(number / 20_000 - share) < 5 * math.sqrt(share / 20_000)
    assert all(one.nats == pytest.approx(-math.log(probability[one.text])) for one in written)


def test_a_symbol_without_a_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a rule for <naun>, which <s> names, found none \(did you mean 'noun'\?\)"):
        Grammar({"s": ("<naun>",), "noun": ("tree",)})


def test_polish_writes_articles_and_capitals() -> None:
    assert polish("a old film. a new one: a end.\nit was") == "An old film. A new one: An end.\nIt was"


@pytest.mark.parametrize("symbol", ["opening", "verdict good", "verdict bad", "object 1", "call bad", "claim 1 good"])
def test_no_two_derivations_write_one_text_and_all_together_are_certain(symbol: str) -> None:
    for grammar in reviews._make_grammars()[::7]:
        listed = list(grammar.list_all(symbol))
        assert sum(share for _, share in listed) == pytest.approx(1)
        assert len({polish(text) for text, _ in listed}) == len(listed)
        assert grammar.measure_entropy(symbol) == pytest.approx(-sum(share * math.log(share) for _, share in listed))


def test_the_orders_of_sentences_are_told_apart() -> None:
    listed = list(Grammar({"body": [order.replace("<", "(").replace(">", ")") for order in reviews._order()]})
                  .list_all("body"))  # fmt: skip
    assert len({text for text, _ in listed}) == len(listed)


def test_the_mean_of_the_nats_is_the_entropy() -> None:
    nats = np.array([review.nats for review in draw(4000)])
    assert abs(nats.mean() - measure_entropy()[0]) < 4 * nats.std() / math.sqrt(len(nats))


def test_the_language_is_easy_enough_to_learn() -> None:
    written = draw(6000)
    per_word = measure_entropy()[1]
    words = sum(len((review.opening + review.continuation).split()) for review in written)
    assert per_word == pytest.approx(sum(review.nats for review in written) / words, rel=0.01)
    assert 1.1 < per_word < 1.3  # a perplexity per word of 3.0 to 3.6
    text = " ".join(review.opening + review.continuation for review in written)
    found = set(re.findall(r"[a-z]+", text.lower()))
    assert 400 <= len(found) <= 600
    assert len({review.opening for review in written}) > 3000


@given(seeds)
def test_every_sentence_is_correct(seed: int) -> None:
    review = write_review(random.Random(seed))
    text = review.opening + review.continuation
    assert review.continuation.startswith(" ")
    assert "  " not in text
    assert not re.search(r"[<>{}*]", text)
    sentences = re.split(r"(?<=\.) ", text)
    assert len(sentences) in (3, 4)
    for sentence in sentences:
        assert re.fullmatch(r"[A-Z][A-Za-z, ]*[a-z]\.", sentence), sentence
    assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", text)
    assert not re.search(r"\b(\w+) \1\b", text)
    assert 14 <= len(review.continuation.split()) <= 45


def numbers() -> tuple[set[str], set[str]]:
    """Return the nouns in the singular, and those in the plural."""
    parts = {part for kind in KINDS for part in (*kind.first, *kind.second)}
    one = {part for part in parts if part[0] != "*"} | {x for k in KINDS if not k.plural for x in k.things.split()}
    many = {part[1:] for part in parts if part[0] == "*"} | {x for k in KINDS if k.plural for x in k.things.split()}
    return one, many


@given(seeds)
def test_verbs_pronouns_and_articles_agree_in_number(seed: int) -> None:
    one, many = (rf"\b(?:{'|'.join(nouns)})\b" for nouns in numbers())
    text = "".join(write_review(random.Random(seed))[:2])
    assert not re.search(rf"{one} (?:themselves )?were|{one} themselves|{many} (?:itself )?was|{many} itself", text)
    assert not re.search(r"(?i)\bit were|\bthey was|\bI were|\bthere were", text)
    opening, rest = text.split(".", 1)
    assert not re.search(rf"this \w+ {many}|these \w+ {one}", opening)
    if "these" in opening:
        assert not re.search(r"(?i)\bit (?:was|came|again)|(?:recommend|enjoyed?|buy) it\b", rest)
    else:
        assert not re.search(r"(?i)\bthey\b|\bthem\b", rest)


def test_no_noun_is_in_both_numbers() -> None:
    one, many = numbers()
    assert not one & many
    assert all(noun.endswith("s") or noun == "mushrooms" for noun in many)


@given(seeds)
def test_a_sentence_speaks_of_two_parts_and_of_two_things(seed: int) -> None:
    one, many = numbers()
    for sentence in write_review(random.Random(seed)).continuation.split("."):
        nouns = [word for word in re.findall(r"[a-z]+", sentence) if word in one | many]
        assert len(set(nouns)) == len(nouns)


CLAIMS = re.compile(
    r"(?:Although |While |For me |I thought )?(the .+?)(,? and besides|, but|, yet|,| and) (the .+)\.", re.IGNORECASE
)


def test_and_joins_claims_that_agree_and_but_those_that_do_not() -> None:
    seen: Counter[str] = Counter()
    for review in draw(1000):
        for sentence in re.split(r"(?<=\.) ", review.continuation.strip()):
            if claims := CLAIMS.fullmatch(sentence):
                one, joint, other = claims.groups()
                seen[joint] += 1
                agree = score_sentiment("", one) * score_sentiment("", other) > 0
                assert agree == ("and" in joint), sentence
    assert sum(seen.values()) == 1000
    assert seen.keys() == {", and besides", ", but", ", yet", ",", " and"}


def test_words_are_weighted_in_mirrored_sets_and_none_is_in_both_tables() -> None:
    assert not SENTIMENT.keys() & DETAIL.keys()
    for good, bad in [reviews._OF_ANYTHING, *(kind.adjectives for kind in KINDS)]:
        assert sorted(SENTIMENT[word] for word in good.split()) == sorted(-SENTIMENT[word] for word in bad.split())


def test_every_weighted_word_can_be_written() -> None:
    written = {
        word
        for grammar in reviews._make_grammars()
        for alternatives in grammar._rules.values()
        for alternative in alternatives
        for piece, is_symbol in alternative.pieces
        if not is_symbol
        for word in re.findall(r"[a-z]+", piece.lower())
    }
    assert not (SENTIMENT.keys() | DETAIL.keys()) - written


@pytest.mark.parametrize(
    ("response", "score"),
    [
        ("", 0),
        ("The plot was good.", 2),
        ("The plot was not good.", -2),
        ("The plot wasn't good.", -2),
        ("The plot wasn\u2019t good.", -2),
        ("It was never not good.", 2),
        ("It was not a very good film.", -3),  # 1.5 * 2, denied
        ("It was simply superb, and rather nice.", 5),  # 4.5 + 0.5
        ("It was not dull. Good.", 2),  # nothing is denied across sentences
        ("Not long, good.", 2),
        ("It was not what we had all hoped for good.", 2),  # too far away
        ("Good, GOOD, good!", 3.5),  # 2 + 1 + 0.5
        ("good bad", 0),
        ("goodness, badly", 0),
        ("I would not recommend it, but I enjoyed it.", -1),
        ("looked looked awfu \u00e9\u00e9 superb", 3),
    ],
)
def test_sentiment_of_texts_scored_by_hand(response: str, score: float) -> None:
    assert score_sentiment("A superb opening counts for nothing.", response) == score


@pytest.mark.parametrize(
    ("response", "score"),
    [
        ("", 0),
        ("There was something or other near the door.", 0),
        ("A small red lamp.", 0.5 + 1 + 0.5),
        ("A red bell by a red wall", 1 + 1.5 + 0.5),  # red again counts half
        ("not a leather seat", 2),  # what is not there can be pictured, too
    ],
)
def test_descriptiveness_of_texts_scored_by_hand(response: str, score: float) -> None:
    assert score_descriptiveness("a red lamp", response) == score


@given(st.text(max_size=80), st.text(max_size=80))
def test_scores_are_finite_for_any_text_and_forget_the_prompt(prompt: str, response: str) -> None:
    for score in (score_sentiment, score_descriptiveness):
        assert math.isfinite(score(prompt, response))
        assert score(prompt, response) == score("", response)


@given(st.integers(1, 50))
def test_saying_a_word_again_and_again_gains_less_than_saying_it_twice_would(times: int) -> None:
    assert score_sentiment("", "superb " * times) < 2 * 3


def test_sentiment_descriptiveness_and_length_hardly_correlate() -> None:
    written = [review.continuation for review in draw(6000)]
    columns = [
        [len(text.split()) for text in written],
        [score_sentiment("", text) for text in written],
        [score_descriptiveness("", text) for text in written],
    ]
    for one, other in itertools.combinations(columns, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.06
    sentiment = np.array(columns[1])
    assert abs((sentiment > 0).mean() - (sentiment < 0).mean()) < 0.04
    assert abs(sentiment.mean()) < 0.05 * sentiment.std()


@pytest.mark.parametrize("score", [score_sentiment, score_descriptiveness], ids=["sentiment", "descriptiveness"])
def test_noisy_labellers_choose_and_agree_as_measured(score: Callable[[str, str], float]) -> None:
    generator = random.Random(7)
    openings = [open_review(generator) for _ in range(2000)]
    scores = np.array([[score("", opening.follow(generator).text) for _ in range(4)] for opening in openings])
    best = scores == scores.max(1, keepdims=True)
    assert 0.05 < (best.sum(1) > 1).mean() < 0.12
    gumbel = np.random.default_rng(7).gumbel(size=(10, *scores.shape))
    for noise, picked, agreed in ((0.25, 0.86, 0.78), (0.5, 0.71, 0.59), (1.0, 0.55, 0.41)):
        labels = (scores / (noise * scores.std()) + gumbel).argmax(-1)
        right = np.take_along_axis(best[None].repeat(10, 0), labels[..., None], -1).mean()
        agree = np.mean([(one == other).mean() for one, other in itertools.combinations(labels, 2)])
        assert right == pytest.approx(picked, abs=0.03)
        assert agree == pytest.approx(agreed, abs=0.03)
