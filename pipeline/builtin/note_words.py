"""What notes are about: a list of values for each fact, so that whoever sums a note up has to copy.

No word of one list is in another, and no other words of notes are in any, so a value that a text holds is known
to be one.
"""

from collections.abc import Mapping, Sequence

_NAMES = """
Adam Agnes Alice Amir Anna Ben Bruno Carla Carmen Clara Daniel Diana Edith Elena Emil Felix Fiona Frank Gita Hanna
Hugo Ida Ines Ivan Jonas Judith Karl Kate Laura Leo Lena Lukas Maria Martin Maya Mona Nadia Nina Oscar Otto Paula
Peter Priya Ruth Samir Sara Simon Sofia Tariq Tessa Tom Vera Viktor Walter Yusuf Zara
"""
_ADJECTIVES = ("blue", "red", "green", "old", "new", "small", "large", "spare")
_NOUNS = ("folder", "key", "camera", "basket", "notebook", "guitar", "ladder", "blanket", "lamp", "tent")

_PLACES = {
    "at": ("library", "harbour", "museum", "station", "market", "office", "school", "cafe", "theatre", "castle"),
    "in": ("park", "garden", "gym", "church", "square", "studio", "workshop", "kitchen"),
}

PLACES = {place: before for before, places in _PLACES.items() for place in places}
VALUES: Mapping[str, Sequence[str]] = {
    "name": tuple(_NAMES.split()),
    "activity": (
        "have lunch",
        "have coffee",
        "play chess",
        "play cards",
        "play music",
        "plan the trip",
        "write the report",
        "sort the photos",
        "practise the song",
        "study French",
        "repair the radio",
        "draw the map",
        "read the play",
        "discuss the budget",
        "learn the dance",
        "check the accounts",
    ),
    "place": tuple(PLACES),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "item": tuple(f"{adjective} {noun}" for adjective in _ADJECTIVES for noun in _NOUNS),
}
REFUSALS = frozenset({"not", "cannot", "no", "closed"})  # what is in a sentence with one of these is not a fact
