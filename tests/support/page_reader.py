"""Reads a page as a browser does, and sees that it needs nothing else."""

from html.parser import HTMLParser


class Reader(HTMLParser):
    """Reads a page, and refuses tags that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if "style" not in self.open else ""


def check_self_contained(page: str) -> None:
    """Hold that a page runs nothing, and takes nothing from elsewhere."""
    read = Reader(page)
    assert {tag for tag, _ in read.tags}.isdisjoint({"script", "link", "img", "iframe", "object", "form"})
    for _, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style")]
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in page
    assert "@import" not in page
    policy = next(attributes for _, attributes in read.tags if "http-equiv" in attributes)
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def check_links_and_names(page: str) -> None:
    """Hold that links lead somewhere, and that whoever does not see a drawing is told what it shows."""
    read = Reader(page)
    anchors = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    assert {f"#{anchor}" for anchor in anchors} == {attributes["href"] for tag, attributes in read.tags if tag == "a"}
    for tag, attributes in read.tags:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden")
