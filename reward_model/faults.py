"""What is wrong with a reward model, found in the figures of its report card: each fault by a name of its own.

A fault is what makes the accuracy mean something else than it says. None rests on one figure alone: a good model may
agree with a shortcut where the data do, so a model only stands accused of following one if it also fails where that
one fails, and is not surely ahead of it. Want of evidence is no fault.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from prefline.data.figures import format_interval, format_share
from prefline.data.wording import count

Card = Mapping[str, Any]
Grade = Literal["fault", "warning", "good", "note"]

FEW = 100  # decided comparisons, below which it is no fault that nothing is sure
ENOUGH = 30  # cases; what fewer say is worth no sentence
_ALWAYS = 0.9  # a model that chooses as a shortcut so often follows it
_WHOLLY = 0.8  # scores of which a shortcut explains so much are hardly about anything else
_LEANS = 0.5  # the same, less plainly
_MOVED = 0.1  # deviations of all scores; rounding in half precision stays below
_CHANGED = 0.02  # of the comparisons, which rounding may turn
_LEAKED = 0.01  # of the prompts that are held out
_WORSE = 0.8  # times chance: below it lies what follows a shortcut that it is yet ahead of
_UNLIKELY = 2.0  # half intervals that dealt labels may lie off; so many deals go less than one, but for an error


class Finding(NamedTuple):
    """What was found, how bad it is, and a sentence or two for people."""

    finding: str
    grade: Grade
    text: str


def find_faults(card: Card) -> list[Finding]:
    """Return what makes the figures of a card mean something else than they say, worst first; and suspicions of it."""
    found = [finding for find in _FINDERS for finding in find(card)]
    if any(one.finding in _READINGS and one.grade == "fault" for one in found):
        # What it reads explains why it is wrong: nothing says that the labels are.
        return [one for one in found if one.finding != "labels-swapped"]
    return found


def beats_chance(share: Mapping[str, Any] | None) -> bool:
    """Whether a share is surely above that of a blind choice."""
    return share is not None and share["low"] > share["chance"]


def is_unseen(card: Card) -> bool:
    """Whether the comparisons were held out, and it is known what the model has learnt from."""
    return card["data"]["side"] == "held_out" and card["leak"] is not None


def describe_accuracy(card: Card) -> str:
    """Write how right a model is, and on how many comparisons, which are said to be held out where that is known."""
    accuracy = card["accuracy"]
    of = count(accuracy["of"], "comparison", "comparisons") + (" held out" if is_unseen(card) else "")
    return f"right in {describe_share(accuracy)} of {of}"


def describe_share(share: Mapping[str, Any]) -> str:
    """Write a share with its interval, and what a blind choice would have where that is known."""
    chance = share.get("chance")
    against = "" if chance is None else f", by chance {format_share(chance)}"
    return f"{format_share(share['share'])} ({format_interval(share)}{against})"


def _find_broken_measurement(card: Card) -> Iterator[Finding]:
    for probe, done in (("shuffled", "dealt anew by chance"), ("swapped", "turned round")):
        share = card["probes"][probe]
        if share is not None and _is_off(probe, share, card["accuracy"]):
            text = (
                f"With the labels {done} the accuracy is {describe_share(share)}: scores do not go with the "
                "responses that they are counted for, so believe no figure of this card."
            )
            yield Finding("measurement-broken", "fault", text)
            return


def _is_off(probe: str, share: Mapping[str, Any], accuracy: Mapping[str, Any]) -> bool:
    """Whether a probe found what cannot be: labels of chance that are predicted, or both labels and their opposite."""
    if probe == "swapped":
        return beats_chance(share) and beats_chance(accuracy)
    off, half = abs(share["share"] - share["chance"]), (share["high"] - share["low"]) / 2
    return off > _UNLIKELY * half


def _find_leak(card: Card) -> Iterator[Finding]:
    leak = card["leak"]
    if leak is None:
        return
    clean = f" On the others it is right in {describe_share(leak['clean'])}." if leak["clean"] else ""
    held_out = card["data"]["side"] == "held_out"
    split = "Split by prompt, as ingest does, and train anew." if held_out else "Ask it about what was held out."
    todo = f"so its accuracy is not of what is new to it.{clean} {split}"
    of = count(leak["of"], "prompt", "prompts") + (" held out" if held_out else "")
    if known := leak["prompts"]:
        grade = "fault" if known > _LEAKED * leak["of"] else "warning"
        shared = f"Of {of} it has learnt from {known:,} ({format_share(known / leak['of'])})"
        yield Finding("leak", grade, f"{shared}, {todo}")
    if near := leak["near"]:
        shared = f"Of {of} {near:,} ({format_share(near / leak['of'])}) are nearly such as it has learnt from"
        yield Finding("near-leak", "warning", f"{shared}, {todo}")


def _find_place(card: Card) -> Iterator[Finding]:
    order = card["probes"]["order"]
    if order and (order["worst"] > _MOVED or order["changed"] > _CHANGED * order["of"]):
        text = (
            f"Scores depend on the order in which responses are given: in another one they move by up to "
            f"{order['worst']:.2g} deviations of all scores, and {order['changed']:,} of "
            f"{count(order['of'], 'choice', 'choices')} change. It reads the place: look at its padding, and at where "
            "its score is read."
        )
        yield Finding("reads-position", "fault", text)
    if order is None:  # if it was scored in other orders, and no score moved, it cannot read the place
        todo = "it reads the place and not the text. Look at how its inputs are built."
        yield from _find_reading(card, "position", todo)


def _find_length(card: Card) -> Iterator[Finding]:
    todo = (
        "it reads length and not quality. Learn from responses of like length, or add some whose shorter one is best."
    )
    found = list(_find_reading(card, "length", todo))
    yield from found or _find_leaning(card)


def _find_systems(card: Card) -> Iterator[Finding]:
    todo = "it recognises who wrote a response. Learn from comparisons of one system, or hold out whole systems."
    yield from _find_reading(card, "system", todo)


def _find_reading(card: Card, kind: str, todo: str) -> Iterator[Finding]:
    """Accuse a model of following a shortcut of this kind, if it does nearly always and fails where that one fails.

    Suspect one that is wrong there more often than a blind choice is, or of which there is too little to tell. If
    labels are noisy even the best of models may be so, but it is ahead of the shortcut, and not wrong there by much.
    """
    if not (shortcuts := [one for one in card["shortcuts"] if one["kind"] == kind and one["agrees"]]):
        return
    most = max(shortcuts, key=lambda one: one["agrees"]["share"])
    if _is_below_chance(card["accuracy"]) and most["ahead"]["high"] < 0:
        return  # who has learnt nothing else cannot be worse than the shortcut: it is the labels
    follows = most["agrees"]["share"] >= _ALWAYS or (most["explained"] or 0.0) >= _WHOLLY
    explains = "" if most["explained"] is None else f", which explains {format_share(most['explained'])} of its scores"
    chooses = f"It chooses as '{most['name']}' does in {format_share(most['agrees']['share'])} of the cases{explains}"
    wrong = most["where_wrong"]
    if wrong is None or wrong["of"] < ENOUGH:
        if follows:
            text = f"{chooses}, and that is wrong too seldom to tell whether it has learnt anything else."
            yield Finding(_CODES[kind], "warning", text)
        return
    right = f"where that is wrong it is right in {describe_share(wrong)}"
    # Noise alone puts a model ahead of a shortcut that is below chance.
    ahead = most["ahead"]["low"] > 0 and beats_chance(card["accuracy"])
    if follows and not beats_chance(wrong):
        if ahead or wrong["share"] > wrong["chance"]:
            text = f"{chooses}, and {right}: that is too little to tell how much else it has learnt."
            yield Finding(_CODES[kind], "warning", text)
        else:
            yield Finding(_CODES[kind], "fault", f"{chooses}, and {right}: {todo}")
    elif wrong["high"] < wrong["chance"] * (_WORSE if ahead else 1.0) and beats_chance(card["accuracy"]):
        yield Finding(_CODES[kind], "warning", f"{chooses}, and {right}: that may be most of what it has learnt.")


def _find_leaning(card: Card) -> Iterator[Finding]:
    """Suspect a model whose scores go with length, and which does not tell apart responses of like length."""
    length = card["length"]
    matched = length and length["matched"]
    if not matched or beats_chance(matched) or _is_below_chance(matched):  # which no length makes it
        return
    if matched["of"] >= ENOUGH and abs(length["within"] or 0.0) >= _LEANS:
        text = (
            f"Its scores go with length (r = {length['within']:.2f} within comparisons), and of two responses of like "
            f"length it finds the better one in {describe_share(matched)}: length may be most of what it has learnt."
        )
        yield Finding("reads-length", "warning", text)


def _find_learning(card: Card) -> Iterator[Finding]:
    accuracy = card["accuracy"]
    if beats_chance(accuracy):
        return
    right = f"It is {describe_accuracy(card)}"
    if _is_below_chance(accuracy):
        text = (
            f"{right}: surely less often than a blind choice. The labels, here or where it has learnt, seem to be the "
            "wrong way round: look at which response they take for the best."
        )
        yield Finding("labels-swapped", "fault", text)
    elif accuracy["of"] >= FEW:
        text = (
            f"{right}: nothing shows that it has learnt anything. See whether the loss fell in training, and whether "
            "the labels belong to the responses."
        )
        yield Finding("nothing-learnt", "fault", text)


def _is_below_chance(share: Mapping[str, Any]) -> bool:
    return share["high"] < share["chance"]


_CODES = {"length": "reads-length", "position": "reads-position", "system": "recognises-systems"}
_READINGS = frozenset(_CODES.values())
_FINDERS = (_find_broken_measurement, _find_leak, _find_place, _find_length, _find_systems, _find_learning)
