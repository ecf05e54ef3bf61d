"""The clean-ups of texts: what each takes away, and that nothing else changes."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.cleaning import CLEANUPS, SETS, compose_cleanups, expand_cleanups
from prefline.data.errors import ConfigError

CURLY = "It\u2019s \u2018so\u2019, \u201cshe\u201d said"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("breaks", "a\n\n\nb\n\nc\nd\n\n\n\n\n", "a\n\nb\n\nc\nd\n\n"),
        ("quotes", CURLY, "It's 'so', \u201cshe\u201d said"),
        ("unwrap", "It\nis.\n\nSo.\n\n\nOr\nnot.", "It is.\n\nSo.\n\n\nOr not."),
        ("ends", " \n a b \n", "a b"),
        ("highlights", "A story.\n\n@highlight\n\nShort.\n\n@highlight\n\nShorter.", "A story.\n\n"),
        ("byline", "By\nJane Doe\nThe story.\nMore.", "The story.\nMore."),
        ("byline", "By Jane Doe\nLONDON\nThe story.", "The story."),
        ("byline", "By\nJane Doe\nand Bob\nThe story.", "The story."),
        ("byline", "By . Daily Mail Reporter . The story.", "The story."),
        ("byline", "By\n\n.\n\nDaily Mail Reporter\n\n.\n\nThe story.", "The story."),
        ("byline", "By noon it rained.\nIt was over at two.", None),  # there would be nothing left
        ("byline", "Byron wrote.\nA lot.\nIndeed.", None),
        ("place", "LONDON, England (CNN) -- The story.", "The story."),
        ("place", "(CNN)The story (CNN) goes on.", "goes on."),  # both within the first 100 characters, as in 2019
        ("place", "x" * 95 + "(CNN) y", "y"),
        ("place", "x" * 96 + "(CNN) y", None),
        (
            "dates",
            "PUBLISHED: . 14:11 EST, 25 October 2013 . | . UPDATED: . 15:36 EST, 25 October 2013 . It is.",
            "It is.",
        ),
        ("dates", "UPDATED:\n\n.\n\n9:02 EST, 5 May 2012\n\n.\n\nIt was 2013 then.", "It was 2013 then."),
        ("dates", "x" * 301 + "UPDATED: 15:36 EST, 25 October 2013 y", None),
    ],
)
def test_a_cleanup_takes_away_what_its_name_says(name: str, before: str, after: str | None) -> None:
    assert CLEANUPS[name](before) == (before if after is None else after)


def test_news_leaves_the_story() -> None:
    story = (
        "By\n\n.\n\nJane Doe\n\n.\n\nPUBLISHED:\n\n.\n\n07:43 EST, 12 July 2013\n\n.\n\n|\n\n.\n\nUPDATED:\n\n.\n\n"
        "12:56 EST, 12 July 2013\n\n.\n\nIt\u2019s raining in Rome.\n\n\n\nNobody minds.\n\n@highlight\n\nIt rains"
    )
    assert compose_cleanups(["news"])(story) == "It's raining in Rome.\n\nNobody minds."


def test_text_that_was_decoded_wrongly_is_mended() -> None:
    # "we're" in UTF-8, read as Windows-1252.
    assert compose_cleanups(["ftfy"])("we\u00e2\u20ac\u2122re") == "we're"


def test_without_its_package_a_cleanup_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(ConfigError, match=r"pip install 'prefline\[ftfy\]'"):
        compose_cleanups(["ftfy"])
    assert compose_cleanups(["quotes"])(CURLY) == CLEANUPS["quotes"](CURLY)


def test_names_are_expanded_in_their_order_and_an_unknown_one_is_refused() -> None:
    assert expand_cleanups(["ends", "news", "quotes"]) == ("ends", *SETS["news"], "quotes")
    with pytest.raises(ConfigError, match=r"unknown clean-up 'break' \(did you mean 'breaks'\?\): there are byline,"):
        expand_cleanups(["break"])


@given(st.text("By. \n(CN)-ad@highlt\u2019UPDATE:0123", max_size=400))
def test_what_is_cut_off_is_cut_off_at_an_end(text: str) -> None:
    for name in ("byline", "place", "dates"):
        assert text.endswith(CLEANUPS[name](text))
    assert text.startswith(CLEANUPS["highlights"](text))
    for name in ("breaks", "quotes", "unwrap", "ends"):
        once = CLEANUPS[name](text)
        assert CLEANUPS[name](once) == once
    assert compose_cleanups([])(text) == text
