"""What each word of a review says: how good the thing is, and how much of it one can picture.

The weights are the whole of it. They come in mirrored sets, so that praise and blame are equally likely and
equally strong, and no word is in both tables, so that the two scores say different things.
"""

from collections.abc import Iterable

STRONG = 3.0  # words of that weight take "simply", weaker ones "very"


def _read(listed: Iterable[tuple[float, str]]) -> dict[str, float]:
    return {word: weight for weight, words in listed for word in words.split()}


SENTIMENT = _read(
    (
        # said of anything
        (STRONG, "superb excellent wonderful splendid"),
        (-STRONG, "awful terrible dreadful horrible"),
        (2.0, "good lovely impressive"),
        (-2.0, "bad unpleasant disappointing"),
        (1.0, "nice decent"),
        (-1.0, "poor mediocre"),
        # said of some things
        (STRONG, "brilliant delicious spotless flawless"),
        (-STRONG, "hopeless inedible filthy useless"),
        (2.0, "clever memorable flavourful satisfying charming inviting reliable relaxing comfortable sturdy"),
        (-2.0, "clumsy forgettable greasy watery shabby dreary chaotic tiresome uncomfortable flimsy"),
        (1.0, "stylish fresh cheerful sensible neat"),
        (-1.0, "predictable bland gloomy awkward stiff"),
        # said at the end
        (3.0, "joy"),
        (-3.0, "waste"),
        (2.0, "recommend love"),
        (-2.0, "hate"),
        (1.0, "enjoyed enjoy worth"),
    )
)

NEGATIONS = frozenset({"not", "never", "no", "hardly", "without", "nothing", "cannot"})  # and whatever ends in n't
DEGREES = _read(((1.5, "very really extremely simply truly"), (0.5, "rather fairly quite")))

# Things to be pictured, in two groups, so that no sentence names one twice: in a room, and in a parcel.
THINGS_ABOUT = (
    ("lamp", "clock", "mirror", "candle", "statue", "barrel", "basket", "globe", "trunk", "fan"),
    ("bench", "poster", "bell", "rug", "vase", "ladder", "curtain", "stool", "banner", "shelf"),
)
THINGS_SENT = (
    ("box", "label", "ribbon", "card", "pouch", "sponge", "leaflet", "tag", "cushion", "badge"),
    ("sticker", "envelope", "booklet", "brush", "stamp", "cord", "wrapper", "pin", "folder", "purse"),
)
COLOURS = ("red", "blue", "green", "yellow", "grey", "black", "white", "orange", "purple", "pink")
SIZES = ("small", "tiny", "narrow", "tall", "round", "square")
SURFACES = ("striped", "polished", "dusty", "faded", "spotted", "shiny", "glossy", "patterned")

DETAIL = _read(
    (
        *((0.5 + index % 3 / 2, thing) for group in THINGS_ABOUT + THINGS_SENT for index, thing in enumerate(group)),
        *((0.5, size) for size in SIZES),
        *((1.0, colour) for colour in COLOURS),
        *((1.5, surface) for surface in SURFACES),
        # what a part of something looks like, or sounds, or tastes
        (2.5, "rainy silent snowy candlelit whispered crackling clicking misty smoky crunchy melted buttery toasted"),
        (2.5, "roasted garlic lemon saffron coconut peppery pickled"),
        (2.0, "leather wooden brass oak silk velvet woollen marble copper glass rubber linen cotton foam corduroy"),
        (2.0, "silver mesh wicker cloth seaside wartime bearded masked barefoot piano jazz folk scarlet painted"),
        (2.0, "pencil charcoal folded leafy paved handwritten chalk arched tiled spiral walled carpeted coastal"),
        (2.0, "mountain village braided ribbed tapered stitched curved folding coiled"),
        (1.5, "printed electric chopped aproned corner attic"),
    )
)
