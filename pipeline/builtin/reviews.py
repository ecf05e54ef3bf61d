"""Reviews: an opening, and what follows it. The opening says what the thing is; all that counts is in what follows.

What follows is two or three sentences: claims about parts of the thing, something to be pictured, a verdict. Claims
joined by "and" agree, claims joined by "but" do not, and the verdict never contradicts claims that agree. Wherever
a text may name something to be pictured, it may say as many words that show nothing: a longer text is no richer one.
"""

import functools
import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from prefline.pipeline.builtin.grammar import Grammar, Written
from prefline.pipeline.builtin.lexicon import COLOURS, SENTIMENT, SIZES, STRONG, SURFACES, THINGS_ABOUT, THINGS_SENT
from prefline.pipeline.builtin.review_kinds import KINDS, Kind

_TONES = ("good", "bad")
_OF_ANYTHING = (
    "nice decent good lovely impressive superb excellent wonderful splendid",
    "poor mediocre bad unpleasant disappointing awful terrible dreadful horrible",
)

Rules = dict[str, Sequence[str]]


def _order() -> list[str]:
    """List what may follow an opening: a verdict, or a word on the whole, is of the tone of claims that agree."""
    weights: Counter[str] = Counter()
    for order in (
        "{claims}<detail>{verdict}", "<detail>{claims}{verdict}", "{call}{claims}<detail>", "{call}<detail>{claims}",
        "<detail>{call}{claims}", "{claims}<detail>", "<detail>{claims}",
    ):  # fmt: skip
        for tone in _TONES:
            for weight, claims in ((2, f"<agreeing {tone}>"), (3, "<mixed>")):
                weights[order.format(claims=claims, verdict=f"<verdict {tone}>", call=f"<call {tone}>")] += weight
    return [f"{weight} * {text}" for text, weight in weights.items()]


_COMMON: Rules = {
    "opening": ("<when> <we> <did> <this> <sort> <thing> <where>.", "<we> <did> <this> <sort> <thing> <where> <when>."),
    "when": ("last week", "last month", "last year", "yesterday", "two days ago", "on Monday", "on Friday", "in May",
             "in March", "in the autumn", "over the summer", "a while ago", "on Sunday", "in April", "three weeks ago",
             "in the spring", "a month ago", "one morning"),
    "we": ("2 * I", "2 * we", "my <kin> and I"),
    "kin": ("sister", "brother", "mother", "father", "aunt", "uncle", "cousin", "neighbour"),
    "review": ("<opening><body>",),
    "body": _order(),
    "mixed": tuple(
        template.format(*parts)
        for template in (" {}, but {}.", " {}, yet {}.", " although {}, {}.", " while {}, {}.")
        for one, other in (_TONES, _TONES[::-1])
        for parts in ((f"<claim 1 {one}>", f"<claim 2 {other}>"), (f"<claim 2 {one}>", f"<claim 1 {other}>"))
    ),
    "surely": ("simply", "truly"),
    "degree": ("very", "really", "extremely", "rather", "fairly", "quite"),
    "not": ("not", "hardly"),
    "surface": SURFACES,
    "colour": COLOURS,
    "size": SIZES,
    "overall": ("all in all", "on the whole", "in the end", "to my mind", "for the most part", "if you ask me"),
    "people": ("anyone", "my friends", "my parents", "other people", "our guests", "most families", "my cousins",
               "a friend"),
    "so long": ("from start to finish", "from the first moment", "to the very end"),
    "price": ("the price", "the money", "the time", "the trouble"),
    "verdict good": (
        " I would recommend <them> to <people>.",
        " I enjoyed <them> <so long>.",
        " <they> <were> worth <price>.",
        " I would love to <do> <them> again.",
        " <they> <were> a joy <so long>.",
    ),
    "verdict bad": (
        " I would not recommend <them> to <people>.",
        " I did not enjoy <them> at all.",
        " <they> <were> not worth <price>.",
        " I would hate to <do> <them> again.",
        " <they> <were> a waste of money.",
    ),
    "little 1": ("something or other", "something else entirely", "something quite ordinary", "something hard to name",
                 "something I have forgotten", "something one would expect"),
    "little 2": ("some other thing", "another such thing", "something like that", "one thing or another",
                 "something of the kind", "something much like it"),
}  # fmt: skip
_ABOUT = (
    "there was <object 1> near the door and <object 2> by the wall.",
    "I remember <object 1> and, next to it, <object 2>.",
    "on one side stood <object 1>, on the other <object 2>.",
    "somebody had put <object 1> beside <object 2>.",
    "we sat between <object 1> and <object 2>.",
    "<object 1> was the first thing I saw, <object 2> the last.",
)
_SENT = (
    "inside the parcel I found <object 1> and <object 2>.",
    "<they> came with <object 1> and <object 2>.",
    "the seller had added <object 1> and <object 2>.",
    "the price included <object 1> and <object 2>.",
    "<object 1> lay on top, <object 2> at the bottom.",
    "there was <object 1> in the parcel, and <object 2> under it.",
)


class Review(NamedTuple):
    """A review in its two parts, and minus the logarithm of the probability of the whole."""

    opening: str
    continuation: str  # begins with a blank, so that the two together are the text
    nats: float


class Opening(NamedTuple):
    """The opening of a review, and the grammar of whatever may follow it."""

    text: str
    nats: float
    grammar: Grammar

    def follow(self, generator: random.Random) -> Written:
        """Write one continuation."""
        return self.grammar.write("body", generator)


def open_review(generator: random.Random) -> Opening:
    """Write an opening."""
    grammars = _make_grammars()
    grammar = grammars[int(generator.random() * len(grammars))]
    text, nats = grammar.write("opening", generator)
    return Opening(text, nats + math.log(len(grammars)), grammar)


def write_review(generator: random.Random) -> Review:
    """Write a review."""
    opening = open_review(generator)
    continuation = opening.follow(generator)
    return Review(opening.text, continuation.text, opening.nats + continuation.nats)


def could_follow(opening: str, continuation: str) -> bool:
    """Say whether a continuation is one that the grammar could have written after an opening."""
    grammars = [grammar for grammar in _make_grammars() if grammar.accepts("opening", opening)]
    return any(grammar.accepts("body", continuation) for grammar in grammars)


def measure_entropy() -> tuple[float, float]:
    """Return the entropy of a review in nats, and of each of its words, exactly."""
    grammars = _make_grammars()
    nats = sum(grammar.measure_entropy("review") for grammar in grammars) / len(grammars) + math.log(len(grammars))
    words = sum(grammar.count_words("review") + 1 for grammar in grammars) / len(grammars)
    return nats, nats / words


@functools.cache
def _make_grammars() -> tuple[Grammar, ...]:
    """Make a grammar for each thing there is."""
    return tuple(Grammar(_COMMON | _speak_of(kind, thing)) for kind in KINDS for thing in kind.things.split())


def _speak_of(kind: Kind, thing: str) -> Rules:
    """Return the rules that depend on what the review is about."""
    it = ("these", "they", "them", "were") if kind.plural else ("this", "it", "it", "was")
    rules: Rules = {
        **{symbol: (word,) for symbol, word in zip(("this", "they", "them", "were"), it, strict=True)},
        "thing": (thing,),
        "sort": tuple(kind.sorts.split()),
        "did": kind.did,
        "do": (kind.again,),
        "where": kind.where,
        "detail": tuple(" " + scene for scene in (_SENT if kind.sent else _ABOUT)),
    }
    for group, things in enumerate(THINGS_SENT if kind.sent else THINGS_ABOUT, 1):
        rules[f"thing {group}"] = tuple(things)
        rules[f"object {group}"] = (
            f"a <surface> <thing {group}>",
            f"a <size> <colour> <thing {group}>",
            f"2 * <little {group}>",
        )
    for tone, general, special in zip(_TONES, _OF_ANYTHING, kind.adjectives, strict=True):
        rules |= _judge(tone, f"{general} {special}".split(), "" if kind.plural else "a ")
    for group, parts in (("1", kind.first), ("2", kind.second)):
        rules |= _claim(group, parts, kind.seemed)
    return rules


def _judge(tone: str, adjectives: list[str], article: str) -> Rules:
    """Return the rules for words of praise or of blame."""
    other = "bad" if tone == "good" else "good"
    return {
        f"mild {tone}": tuple(word for word in adjectives if abs(SENTIMENT[word]) < STRONG),
        f"strong {tone}": tuple(word for word in adjectives if abs(SENTIMENT[word]) == STRONG),
        f"quality {tone}": (
            f"3 * <mild {tone}>",
            f"3 * <degree> <mild {tone}>",
            f"2 * <strong {tone}>",
            f"<surely> <strong {tone}>",
        ),
        f"call {tone}": (f" <overall> <they> <were> {article}<mild {tone}> <thing>.",),
        **{
            f"claim {group} {tone}": (
                f"5 * <part {group} seemed> <quality {tone}>",
                f"<part {group} was> <not> <mild {other}>",
            )
            for group in "12"
        },
        f"agreeing {tone}": tuple(
            template.format(f"<claim {first} {tone}>", f"<claim {second} {tone}>")
            for template in (" {} and {}.", " {}, and besides {}.", " I thought {} and {}.", " for me {} and {}.")
            for first, second in ("12", "21")
        ),
    }


def _claim(group: str, parts: dict[str, str], seemed: str) -> Rules:
    """Return the rules for the parts of a thing, seen or only named, with the verbs that agree with them."""
    rules: Rules = {}
    seems: list[str] = []
    plain: list[str] = []
    for marked, looks in parts.items():
        name, plural = marked.removeprefix("*"), marked.startswith("*")
        was, self = ("were", "themselves") if plural else ("was", "itself")
        rules[f"look of {name}"] = tuple(looks.split())
        rules[name] = (f"3 * the {name} {self}", f"the actual {name}", f"4 * the <look of {name}> {name}")
        seems += [f"2 * <{name}> {was}", f"<{name}> seemed", f"<{name}> {seemed}"]
        plain.append(f"<{name}> {was}")
    return rules | {f"part {group} seemed": tuple(seems), f"part {group} was": tuple(plain)}
