"""What a report card means, in plain words: whether the model may be trusted and for what, and what it merely learnt.

The first finding is the answer; then come faults, warnings, what speaks for the model, and what is good to know.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from prefline.data.figures import format_coefficient
from prefline.data.wording import count, shorten
from prefline.reward_model.faults import (
    ENOUGH,
    FEW,
    Card,
    Finding,
    beats_chance,
    describe_accuracy,
    describe_share,
    find_faults,
)

_PROOF = 1.5  # half intervals above chance: of models that have learnt nothing, one in 600 comes so far
_SHARP, _FLAT = 1.25, 0.8  # temperatures beyond which probabilities are off by more than a little
_GAIN = 0.005  # nats that the right temperature must gain to be worth a word
_GAP = 0.1  # between the accuracy on what was learnt from and on what was not
_MOST = 3  # slices that are named

_ORDER = ("fault", "warning", "good", "note")
_DOES = {
    "measurement-broken": "it was not measured rightly",
    "leak": "it has seen what it was judged by",
    "reads-position": "it reads the place of a response",
    "reads-length": "it reads length",
    "recognises-systems": "it recognises who wrote a response",
    "labels-swapped": "it prefers what is worse",
    "nothing-learnt": "it has learnt nothing that shows",
    "loses-by-gold": "what it chooses is worse by gold than what chance would",
}


def judge(card: Card) -> list[dict[str, str]]:
    """Say of a card without its verdict what it means: findings with their grades and sentences."""
    found = [*find_faults(card), *(finding for find in _FINDERS for finding in find(card))]
    if any(one.grade == "fault" for one in found):
        found = [one for one in found if one.grade != "good"]  # of figures that mean something else
    found.sort(key=lambda one: _ORDER.index(one.grade))
    return [one._asdict() for one in (_conclude(card, found), *found)]


def _conclude(card: Card, found: list[Finding]) -> Finding:
    """Return the sentence that a person reads if nothing else."""
    accuracy = card["accuracy"]
    faults = list(dict.fromkeys(_DOES[one.finding] for one in found if one.grade == "fault"))
    if faults:
        return Finding("do-not-trust", "fault", f"Do not trust this model: {' and '.join(faults)}.")
    right = describe_accuracy(card)
    if accuracy["share"] - accuracy["chance"] < _PROOF * (accuracy["share"] - accuracy["low"]):
        text = f"It is not proven that this model has learnt anything: {right}, too near to chance to be sure."
        return Finding("unproven", "warning", text)
    but = ", with what is said against it below" if any(one.grade == "warning" for one in found) else ""
    return Finding("trust", "good", f"It may be trusted to choose among responses like these{but}: {right}.")


def _find_size(card: Card) -> Iterator[Finding]:
    decided, effective = card["accuracy"]["of"], card["accuracy"]["effective"]
    if min(decided, effective) < FEW:
        prompts = count(card["data"]["prompts"], "prompt", "prompts")
        only = f"{count(decided, 'comparison was', 'comparisons were')} decided"
        as_few = f", on {prompts}, which say as much as {effective:.0f} on prompts of their own would"
        text = (
            f"Only {only}{'' if decided < FEW else as_few}: intervals are wide, and faults may go unseen. Measure it "
            "on more (`prefline ingest --held-out`)."
        )
        yield Finding("few-comparisons", "warning", text)


def _find_equals(card: Card) -> Iterator[Finding]:
    """Name the best of the shortcuts that the model is not surely better than."""
    for shortcut in card["shortcuts"]:  # the best first
        if shortcut["ahead"]["low"] <= 0 and beats_chance(shortcut["accuracy"]):
            behind = shortcut["ahead"]["high"] < 0
            text = (
                f"'{shortcut['name']}' alone is right in {describe_share(shortcut['accuracy'])}, and the model "
                + ("surely less often" if behind else "not surely more often")
                + ", comparison by comparison: "
                + ("there is more to learn." if behind else "what it has learnt beyond that does not show.")
            )
            yield Finding(f"no-better-than-{shortcut['kind']}", "warning", text)
            return


def _find_memory(card: Card) -> Iterator[Finding]:
    train, accuracy = card["train"], card["accuracy"]
    if train and train["low"] > accuracy["high"] and train["share"] - accuracy["share"] > _GAP:
        text = (
            f"On what it has learnt from it is right in {describe_share(train)}, on these comparisons in "
            f"{describe_share(accuracy)}: it remembers more than it has understood. Fewer epochs may help, or more "
            "comparisons to learn from."
        )
        yield Finding("memorised", "warning", text)


def _find_blind_categories(card: Card) -> Iterator[Finding]:
    blind = [one for one in card["negatives"] or () if one["of"] >= ENOUGH and one["low"] <= 0.5]
    if blind:
        named = ", ".join(f"{shorten(one['category'])} ({format_coefficient(one['auc'])})" for one in blind)
        text = f"It does not surely tell these negatives from the best (AUC, by chance 0.5): {shorten(named, 300)}."
        yield Finding("blind-category", "warning", text)


def _find_gain(card: Card) -> Iterator[Finding]:
    gain = card["best_of_n"]
    best = gain and gain["curve"][-1]
    if not best or best["low"] is None or best["low"] > 0:
        return
    gains = (
        f"The best of {best['n']} by its scores gains {best['gold']:.2f} deviations ({best['low']:.2f} to "
        f"{best['high']:.2f}) by {shorten(gain['by'])}"
    )
    if best["high"] < 0:
        text = f"{gains}: that is a sure loss. It chooses what is worse, or this gold is no measure of what is good."
        yield Finding("loses-by-gold", "fault", text)
    else:
        yield Finding("no-gain", "warning", f"{gains}: not surely anything, where {best['most']:.2f} could be had.")


def _find_ceiling(card: Card) -> Iterator[Finding]:
    accuracy, ceiling = card["accuracy"], card["ceiling"]
    if ceiling is None or ceiling["share"] is None:
        if "human" in (card["data"]["feedback"] or ()):
            text = "How far people agree is not known here, so nobody can say how much more there is to learn."
            yield Finding("ceiling-unknown", "note", text)
        return
    people = f"a single annotator agrees with the others in {describe_share(ceiling)}"
    if accuracy["low"] > ceiling["high"]:
        text = f"It is right more often than {people}: that is the ceiling of one annotator, not of their majority."
        yield Finding("above-ceiling", "note", text)
    elif accuracy["high"] < ceiling["share"]:
        yield Finding("below-ceiling", "note", f"There is more to learn: {people}.")
    elif accuracy["of"] >= FEW:
        text = f"No more can be expected of it, as far as its interval tells: {people}."
        yield Finding("near-ceiling", "good", text)


def _find_disagreement(card: Card) -> Iterator[Finding]:
    found = card["disagreement"]
    if found is None:
        return
    auc, margin = found["auc"], found["margin"]["auc"]
    tells = f"(AUC {auc:.3f}, {found['low']:.3f} to {found['high']:.3f}, by chance 0.5)"
    if found["low"] <= 0.5:
        text = f"Where its members disagree it is not surely wrong more often {tells}."
        yield Finding("disagreement-says-nothing", "note", text)
    else:
        but = (
            f"; a small margin, which costs no ensemble, tells at least as much (AUC {margin:.3f})"
            if margin >= auc
            else ""
        )
        text = f"Where its members disagree it is wrong more often {tells}{but}."
        yield Finding("disagreement-helps", "good", text)


def _find_confidence(card: Card) -> Iterator[Finding]:
    calibration, loss = card["calibration"], card["log_loss"]
    temperature = calibration and calibration["temperature"]
    if not temperature or loss["loss"] - calibration["loss_at_temperature"] < _GAIN:
        return
    better = f"the softmax of its saved scores times {calibration['factor']:.2f} would fit"
    if temperature > _SHARP:
        yield Finding(
            "overconfident", "note", f"By the softmax that it has learnt it is surer than it is right; {better}."
        )
    elif temperature < _FLAT:
        yield Finding(
            "underconfident", "note", f"By the softmax that it has learnt it is less sure than it may be; {better}."
        )


def _find_weak_slices(card: Card) -> Iterator[Finding]:
    """Name slices that are surely worse than the whole, each measured by how far it is from chance to certainty."""
    whole = _find_skill(card["accuracy"], "low")
    weak = [
        (_find_skill(one, "high"), name, one)
        for name, values in card["slices"].items()
        for one in values
        if one["of"] >= ENOUGH and _find_skill(one, "high") < whole
    ]
    for _, name, one in sorted(weak, key=lambda found: found[0])[:_MOST]:
        right = f"it is right in only {describe_share(one)} of {count(one['of'], 'comparison', 'comparisons')}"
        yield Finding("weak-slice", "note", f"Where {name} is {shorten(str(one['value']))}, {right}.")


def _find_skill(share: Mapping[str, Any], end: str) -> float:
    return (share[end] - share["chance"]) / (1 - share["chance"])


_FINDERS = (
    _find_size,
    _find_equals,
    _find_memory,
    _find_blind_categories,
    _find_gain,
    _find_ceiling,
    _find_disagreement,
    _find_confidence,
    _find_weak_slices,
)
