"""Prompts: what of a document a model is asked to go on from, and in what words the policy is asked.

The prompts of 2019 were cut from documents in tokens: begin after the first full stop, keep 64 tokens, end at the last
full stop among them. That is done here with any tokenizer and any text in the place of the full stop. What differs:

- The prompts of 2019 were token ids, filled up to one length. Here a prompt is the text of those tokens, cut out of
  the document by their offsets; filling up is left to whoever makes batches.
- A text read by itself can give other tokens than it did within its document. A prompt is cut one token shorter, or
  at an earlier full stop, until the two agree, so that it never has more tokens than were asked for.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from pydantic import Field, model_validator

from prefline.data.configuration import Config
from prefline.data.contents import Prompt, Tokens
from prefline.data.errors import ConfigError, DataError
from prefline.data.strict_json import parse_json
from prefline.data.wording import count

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

FORMAT = "format.json"

EMPTY = "nothing is left of it"
NO_START = "it does not hold the text that prompts start after"
NO_END = "it does not hold the text that prompts end at"
TOO_SHORT = "it has too few tokens"
OTHER_TOKENS = "read by itself it has other tokens"


class PromptFormat(Config):
    """How prompts are cut out of documents, and what the policy sees around them."""

    length: int | None = Field(default=None, ge=1, description="The most tokens of a prompt.")
    start_after: str | None = Field(default=None, description="Begin after the first of this, which must be one token.")
    end_at: str | None = Field(default=None, description="End at the last of this, which must be one token.")
    shortest: int = Field(default=1, ge=1, description="The fewest tokens of a prompt.")
    prefix: str = Field(default="", description="What the policy sees before a prompt, and the reward model does not.")
    suffix: str = Field(default="", description="What the policy sees after a prompt, and the reward model does not.")

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if self.length is not None and self.shortest > self.length:
            raise ValueError(f"the fewest tokens of a prompt ({self.shortest}) are more than the most ({self.length})")
        return self

    @property
    def trims(self) -> bool:
        """Whether prompts are cut or counted in tokens, which needs a tokenizer."""
        return (self.length, self.start_after, self.end_at, self.shortest) != (None, None, None, 1)


def frame(prompt: Prompt, form: PromptFormat) -> Prompt:
    """Return what the policy sees of a prompt; the reward model sees the prompt itself."""
    if not form.prefix and not form.suffix:
        return prompt
    if not isinstance(prompt, str):
        raise DataError("a prompt that is a chat, or token ids, takes no prefix and no suffix: leave them empty")
    return form.prefix + prompt + form.suffix


class Trimmed(NamedTuple):
    """A prompt, and where among the tokens of its document it lay."""

    text: str
    tokens: Tokens
    first: int  # the place of its first token
    of: int  # how many tokens the document has


class Skipped(NamedTuple):
    """A document that gives no prompt."""

    reason: str


class Trimming:
    """Cuts prompts out of documents."""

    def __init__(self, form: PromptFormat, tokenizer: "Tokenizer") -> None:
        """Look up the tokens at which prompts begin and end."""
        self._form = form
        self._tokenizer = tokenizer
        self._start = _find_token(tokenizer, "start_after", form.start_after)
        self._end = _find_token(tokenizer, "end_at", form.end_at)

    def trim(self, documents: Sequence[str]) -> Iterator[Trimmed | Skipped]:
        """Yield the prompt of each document, or why it gives none."""
        encodings = self._tokenizer.encode_batch(list(documents), add_special_tokens=False)
        for text, encoding in zip(documents, encodings, strict=True):
            yield self._trim(text, encoding)

    def _trim(self, text: str, encoding: "Encoding") -> Trimmed | Skipped:
        tokens = encoding.ids
        first = 0
        if self._start is not None:
            if self._start not in tokens:
                return Skipped(NO_START)
            after = tokens.index(self._start) + 1
            first = after if after < len(tokens) else 0  # as in 2019: what ends with its first full stop is kept whole
        window = tokens[first:] if self._form.length is None else tokens[first : first + self._form.length]
        if self._end is not None and self._end not in window:
            return Skipped(NO_END)
        found = self._settle(text, encoding, first, window)
        if found is None:
            return Skipped(OTHER_TOKENS if window else EMPTY)
        if not found.text.strip():
            return Skipped(EMPTY)
        return found if len(found.tokens) >= self._form.shortest else Skipped(TOO_SHORT)

    def _settle(self, text: str, encoding: "Encoding", first: int, window: Sequence[int]) -> Trimmed | None:
        """Return as many of the tokens of the window as their text, read by itself, has too."""
        begin = encoding.offsets[first - 1][1] if first else 0
        # To some tokenizers a space is part of the word that it comes before, even where there is no space.
        for skipped in (0, 1) if first and text.startswith(" ", begin) else (0,):
            stop = self._last_end(window, len(window))
            while stop:
                is_whole = first + stop == len(encoding.ids)
                piece = text[begin + skipped : None if is_whole else encoding.offsets[first + stop - 1][1]]
                alone = self._tokenizer.encode(piece, add_special_tokens=False).ids
                agree = _count_agreeing(window[:stop], alone)
                if agree == stop == len(alone):
                    return Trimmed(piece, tuple(alone), first, len(encoding.ids))
                # Where all agree and there are more, the last token was only a part of a character.
                stop = self._last_end(window, min(agree, stop - 1))
        return None

    def _last_end(self, window: Sequence[int], limit: int) -> int:
        """Return how many tokens of the window a prompt may have, up to a limit; 0: there is no way to end it."""
        if self._end is None:
            return limit
        return next((place for place in range(limit, 0, -1) if window[place - 1] == self._end), 0)


def _find_token(tokenizer: "Tokenizer", setting: str, text: str | None) -> int | None:
    """Return the token that is this text within others."""
    if text is None:
        return None
    alone = tokenizer.encode(text, add_special_tokens=False).ids
    # At its beginning some tokenizers add a space to a text, so what it is by name goes first.
    candidates = [tokenizer.token_to_id(text), *(alone if len(alone) == 1 else ())]
    for token in candidates:
        if token is not None and tokenizer.decode([token], skip_special_tokens=False) == text:
            return token
    raise ConfigError(
        f"{setting!r} must be one token of the tokenizer, found {text!r}, "
        f"which is {count(len(alone), 'token', 'tokens')}: take a text that is one, such as '.'"
    )


def _count_agreeing(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = zip(first, second, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))


def load_prompts(path: str | Path) -> list[Prompt]:
    """Read the prompts of a file, such as the train.jsonl of an artifact; of rows of one text, the texts."""
    from prefline.data.documents import Document, read_documents

    prompts: list[Prompt] = []
    for document in read_documents([Path(path)]):
        if not isinstance(document, Document):
            raise DataError(f"{path}: {document.file}, line {document.line:,}: {document.reason}")
        prompts.append(document.texts[0] if document.prompt is None else document.prompt)
    return prompts


def load_format(path: str | Path) -> PromptFormat:
    """Read the format that prompts were made in, from the file or the folder where they are kept."""
    path = Path(path)
    file = path / FORMAT if path.is_dir() else path
    try:
        found = parse_json(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: expected the format of prompts, found none: {error.strerror}") from None
    if not isinstance(found, dict):
        raise DataError(f"{file}: expected an object, the format of prompts")
    return PromptFormat.parse(found)
