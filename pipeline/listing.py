"""A line for each artifact of a store, quickly: ten thousand of them in well under a second."""

import json
from dataclasses import dataclass

from prefline.data.errors import StoreError
from prefline.pipeline.filesystem import read_file
from prefline.pipeline.naming import MANIFEST
from prefline.pipeline.store import Store


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list shows of an artifact. An empty kind: its manifest cannot be read."""

    id: str
    kind: str
    stage: str
    feedback: tuple[str, ...]
    size: int
    made: str
    names: tuple[str, ...]


def summarize(store: Store) -> list[Summary]:
    """Return a summary of every artifact, the latest first.

    Manifests are read without being checked, which is what takes time; `verify` is for that.
    """
    named = store.names.by_id()
    summaries = [_summarize(store, artifact_id, named.get(artifact_id, ())) for artifact_id in store.ids()]
    return sorted(summaries, key=lambda summary: summary.made, reverse=True)


def _summarize(store: Store, artifact_id: str, names: tuple[str, ...]) -> Summary:
    try:
        document = json.loads(read_file(store.folder_of(artifact_id) / MANIFEST))
        return Summary(
            artifact_id,
            str(document["kind"]),
            str(document["recipe"]["stage"]),
            tuple(str(mark) for mark in document["feedback"]),
            sum(file["size"] for file in document["files"]),
            str(document["run"].get("started", "")),
            names,
        )
    except (StoreError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Summary(artifact_id, "", "", (), 0, "", names)
