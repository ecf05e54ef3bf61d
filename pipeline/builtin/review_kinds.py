"""What reviews are about: kinds of things, each with its parts, and what may be said of them.

The parts of a thing are in two groups, so that two claims of one sentence never speak of the same part. Behind
each part stand words for what it may look like; a part in the plural has a * before it.
"""

from dataclasses import dataclass

_STORY = ("stylish clever memorable brilliant", "predictable clumsy forgettable hopeless")
_ROOM = ("cheerful charming inviting spotless", "gloomy shabby dreary filthy")
_GOODS = ("neat comfortable sturdy flawless", "stiff uncomfortable flimsy useless")
_DEVICE = ("neat reliable sturdy flawless", "awkward clumsy flimsy useless")
_SHOPPING = ("for my work", "in the sales", "for my holiday", "online", "at a small shop", "at the market",
             "as a present", "from a friend")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing, and the words that go with it."""

    things: str
    sorts: str  # what may stand before the thing in an opening
    did: tuple[str, ...]  # how one meets it
    again: str  # the same, as something to be done again
    where: tuple[str, ...]
    first: dict[str, str]
    second: dict[str, str]
    adjectives: tuple[str, str]  # of praise, of blame
    seemed: str = "felt"
    sent: bool = False  # comes in a parcel, rather than being somewhere
    plural: bool = False


KINDS = (
    Kind(
        things="film comedy thriller",
        sorts="French Italian short new old popular",
        did=("watched", "saw"),
        again="watch",
        where=("at the old cinema", "on a long flight", "with two friends", "at home", "at a festival",
               "in the afternoon", "after work", "with a large crowd"),
        first={"plot": "seaside wartime", "ending": "rainy silent", "*actors": "bearded masked",
               "*scenes": "snowy candlelit"},
        second={"soundtrack": "piano jazz", "dialogue": "whispered crackling", "*costumes": "velvet scarlet",
                "*sets": "painted wooden"},
        adjectives=_STORY,
    ),
    Kind(
        things="concert musical opera",
        sorts="French Italian modern short old popular",
        did=("saw", "heard"),
        again="hear",
        where=("in a small theatre", "in the town hall", "with two friends", "in York", "at a festival",
               "in the afternoon", "after work", "with a large crowd"),
        first={"orchestra": "brass masked", "finale": "candlelit silent", "*singers": "bearded barefoot",
               "*songs": "whispered folk"},
        second={"lighting": "scarlet misty", "choir": "village masked", "*costumes": "silk velvet",
                "*dancers": "barefoot masked"},
        adjectives=_STORY,
    ),
    Kind(
        things="novel biography memoir",
        sorts="French Irish short new long popular",
        did=("read", "finished"),
        again="read",
        where=("on the train", "for my book club", "on a quiet beach", "at home", "in the garden", "in the library",
               "on a long flight", "after work"),
        first={"story": "seaside wartime", "ending": "rainy silent", "*characters": "bearded barefoot",
               "*chapters": "snowy seaside"},
        second={"cover": "leather scarlet", "binding": "linen cloth", "*drawings": "pencil charcoal",
                "*maps": "folded painted"},
        adjectives=_STORY,
        sent=True,
    ),
    Kind(
        things="curry stew risotto",
        sorts="Thai spicy plain mild popular French",
        did=("ordered", "tried"),
        again="order",
        where=("at the corner cafe", "in a busy market", "for lunch", "with two friends", "for dinner",
               "near the river", "in the canteen", "at a festival"),
        first={"sauce": "lemon peppery", "rice": "saffron coconut", "*vegetables": "roasted crunchy",
               "*mushrooms": "smoky buttery"},
        second={"bread": "garlic toasted", "cheese": "melted smoky", "*onions": "pickled crunchy",
                "*herbs": "chopped roasted"},
        adjectives=("fresh flavourful satisfying delicious", "bland greasy watery inedible"),
        seemed="tasted",
    ),
    Kind(
        things="restaurant pub bakery",
        sorts="French Irish modern busy small popular",
        did=("visited", "tried"),
        again="visit",
        where=("near the river", "for lunch", "with two friends", "by the station", "in York", "for dinner",
               "after work", "on the way home"),
        first={"terrace": "leafy paved", "menu": "handwritten chalk", "*waiters": "bearded aproned",
               "*windows": "misty arched"},
        second={"carpet": "striped woollen", "counter": "marble copper", "*tables": "round oak",
                "*chairs": "wicker velvet"},
        adjectives=_ROOM,
        seemed="looked",
    ),
    Kind(
        things="hotel cabin hostel",
        sorts="modern quiet cheap new small popular",
        did=("visited", "booked"),
        again="book",
        where=("near the lake", "by the sea", "for a weekend", "with two friends", "near York", "in the mountains",
               "for one night", "with a small group"),
        first={"room": "attic corner", "bathroom": "tiled marble", "*beds": "brass oak", "*stairs": "spiral carpeted"},
        second={"kitchen": "tiled painted", "garden": "walled leafy", "*chairs": "wicker velvet",
                "*corridors": "carpeted arched"},
        adjectives=_ROOM,
        seemed="looked",
    ),
    Kind(
        things="train ferry coach",
        sorts="slow late early cheap small crowded",
        did=("took", "caught"),
        again="take",
        where=("to the coast", "to the city", "across the border", "with two friends", "to the airport", "to a wedding",
               "after work", "with a small group"),
        first={"route": "coastal mountain", "timetable": "printed handwritten", "*seats": "leather striped",
               "*announcements": "whispered crackling"},
        second={"heating": "electric silent", "cabin": "carpeted wooden", "*stops": "village seaside",
                "*doors": "glass folding"},
        adjectives=("sensible reliable relaxing flawless", "awkward tiresome chaotic hopeless"),
    ),
    Kind(
        things="boots shoes sandals",
        sorts="brown cheap Italian modern light warm",
        did=("bought", "ordered"),
        again="buy",
        where=_SHOPPING,
        first={"lining": "woollen silk", "padding": "foam cotton", "*straps": "leather braided",
               "*soles": "rubber ribbed"},
        second={"shape": "tapered curved", "trim": "scarlet woollen", "*buckles": "brass square",
                "*edges": "stitched ribbed"},
        adjectives=_GOODS,
        sent=True,
        plural=True,
    ),
    Kind(
        things="jacket coat raincoat",
        sorts="brown cheap Italian long light warm",
        did=("bought", "ordered"),
        again="buy",
        where=_SHOPPING,
        first={"lining": "woollen silk", "collar": "velvet corduroy", "*pockets": "square stitched",
               "*sleeves": "ribbed striped"},
        second={"hood": "woollen folded", "belt": "leather braided", "*buttons": "wooden silver",
                "*cuffs": "ribbed leather"},
        adjectives=_GOODS,
        sent=True,
    ),
    Kind(
        things="phone laptop tablet",
        sorts="cheap new light modern small popular",
        did=("bought", "ordered"),
        again="buy",
        where=_SHOPPING,
        first={"screen": "glass curved", "battery": "square silver", "*buttons": "rubber clicking",
               "*speakers": "square mesh"},
        second={"charger": "folding round", "case": "leather rubber", "*cables": "braided coiled",
                "*switches": "silver clicking"},
        adjectives=_DEVICE,
        sent=True,
    ),
    Kind(
        things="headphones earphones loudspeakers",
        sorts="cheap new light modern small popular",
        did=("bought", "ordered"),
        again="buy",
        where=_SHOPPING,
        first={"microphone": "folding silver", "padding": "foam velvet", "*buttons": "rubber clicking",
               "*corners": "curved rubber"},
        second={"charger": "folding round", "case": "leather mesh", "*cables": "braided coiled",
                "*switches": "silver clicking"},
        adjectives=_DEVICE,
        sent=True,
        plural=True,
    ),
)  # fmt: skip
