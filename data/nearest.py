"""The text nearest to another among many, by TF-IDF: what is alike in its words, the rare ones above all."""

from collections.abc import Sequence

import numpy as np

from prefline.data.pieces import list_words

_SAME = 0.95  # texts that are more similar say the same with a word or two changed
_DIGITS = 6  # similarities are told apart by, so that the last bits of a machine decide nothing


class Nearest:
    """Texts, and for any text the one of them that is nearest to it."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Weigh the words of the texts."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        # What is said of its types in the library allows neither.
        self._weights = TfidfVectorizer(analyzer=list_words, sublinear_tf=True, dtype=np.float32)  # type: ignore[arg-type]
        try:
            # Turned, so that a text is compared with those alone that share a word with it.
            self._index = self._weights.fit_transform(texts).T.tocsr()
        except ValueError:  # there is not a word in all of them
            self._index = None

    def find(self, text: str) -> int | None:
        """Return the place of the nearest text that is not the same; None where none has a word in common with it."""
        if self._index is None:
            return None
        similar = (self._weights.transform([text]) @ self._index).toarray()[0].round(_DIGITS)
        similar[similar > _SAME] = 0
        place = int(similar.argmax())
        return place if similar[place] > 0 else None
