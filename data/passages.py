"""What prompts are cut from where it does not come a row at a time: passages of prose, and stories in files.

BookCorpus, which the prompts of 2019 were cut from, is found today with a sentence on each row; other prose comes in
paragraphs, or as a whole book. All of it becomes passages of about as many words as are asked for.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path

from prefline.data.cleaning import HIGHLIGHT
from prefline.data.document_rows import Document
from prefline.data.encodings import UTF_8, check_encoding, find_fault, open_text
from prefline.data.ingestion import Rejection

STORY = ".story"
_WORD = re.compile(r"\S+")


def make_passages(documents: Iterable[Document], words: int) -> Iterator[Document]:
    """Join texts that follow each other in one source until they have so many words; cut those that have many more.

    A passage has fewer than three times as many. What is left at the end of a source is one however short, so that
    nothing is lost. Documents that have a prompt pass as they are.
    """
    for (source, is_text), group in groupby(documents, lambda document: (document.source, document.prompt is None)):
        if not is_text:
            yield from group
            continue
        pending: list[str] = []
        missing = words
        for text in (piece for document in group for piece in _cut(document.texts[0], words)):
            pending.append(text)
            missing -= len(_WORD.findall(text))
            if missing <= 0:
                yield Document(None, (" ".join(pending),), source=source)
                pending, missing = [], words
        if pending:
            yield Document(None, (" ".join(pending),), source=source)


def _cut(text: str, words: int) -> list[str]:
    """Cut a text after every so many words; what is left over stays with the last of them."""
    starts = [word.start() for word in _WORD.finditer(text)]
    borders = [starts[piece * words] for piece in range(1, len(starts) // words)]
    return [text] if not borders else [text[a:b].rstrip() for a, b in pairwise([0, *borders, len(text)])]


def read_stories(paths: Sequence[Path], encoding: str | None = None) -> Iterator[Document | Rejection]:
    """Read stories of CNN / Daily Mail, one a file: the text is the prompt, its highlights, a line each, the reference.

    What stands for a story is the name of its file.
    """
    encoding = UTF_8 if encoding is None else check_encoding(encoding)
    for path in paths:
        with open_text(path, encoding) as stream:
            raw = stream.read()
        text, *highlights = raw.decode(errors="backslashreplace").split(HIGHLIGHT)
        fault = find_fault(raw, encoding)
        if fault or not text.strip():
            yield Rejection(path.name, 1, fault or "no story before the highlights", None)
            continue
        lines = [" ".join(highlight.split()) for highlight in highlights]
        yield Document(text, ("\n".join(filter(None, lines)),) if any(lines) else (), id=path.name.removesuffix(STORY))
