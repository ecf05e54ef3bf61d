"""What an artifact is, what it was made from, and how that went: one JSON document, three digests.

id      digest of {schema, kind, feedback, files, data}: what it is. Same bytes, same id, anywhere.
key     digest of the recipe: what was asked for. The same recipe need not be run twice.
digest  digest of the document's own bytes (`Artifact.manifest_digest`). It covers `run` too (time,
        versions), which neither the id nor the key does.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, ValidationError

from prefline.data.configuration import Config, describe_problems
from prefline.data.errors import ArtifactError, DataError, ManifestError
from prefline.data.strict_json import parse_json
from prefline.data.wording import shorten
from prefline.pipeline.canonical import canonical_json, digest_json
from prefline.pipeline.feedback import Feedback
from prefline.pipeline.naming import MANIFEST, check_kind, check_member_path

SCHEMA = 1
_SCHEMA_PREFIX = "prefline.manifest/"

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
# An artifact's id, or what lies outside the store behind a scheme: file:sha256:<digest of its bytes>
InputId = Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64}|[a-z]+:[^/\s][^\s]*)$")]
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]

# Pure functions from a document of schema n to one of schema n + 1. An old manifest is upgraded
# in memory whenever it is read and never rewritten: its digests would no longer be true.
UPCASTERS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


class File(Config):
    """One file of an artifact."""

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Recipe(Config):
    """All that decides what a stage makes."""

    stage: str
    stage_version: int = Field(ge=1)
    params: dict[str, Any]
    inputs: dict[Role, InputId]
    seed: int | None

    @property
    def key(self) -> str:
        """The digest under which an earlier result is found again."""
        return digest_json(self.model_dump())

    @property
    def artifact_inputs(self) -> list[str]:
        """The inputs that are artifacts, and not files outside the store."""
        return [source for source in self.inputs.values() if source.startswith("sha256:")]


class Manifest(Config):
    """The document beside the files of every artifact."""

    kind: str
    id: Digest
    key: Digest
    feedback: tuple[Feedback, ...]
    files: tuple[File, ...]
    data: dict[str, Any]
    recipe: Recipe
    run: dict[str, Any]

    @classmethod
    def build(
        cls,
        *,
        kind: str,
        feedback: Iterable[str],
        files: Iterable[File],
        data: Mapping[str, Any],
        recipe: Recipe,
        run: Mapping[str, Any],
    ) -> Self:
        """Describe an artifact; the id and the key follow from the rest."""
        document = {
            "schema": f"{_SCHEMA_PREFIX}{SCHEMA}",
            "kind": kind,
            "feedback": sorted(set(feedback)),
            "files": [file.model_dump() for file in sorted(files, key=lambda file: file.path.encode())],
            "data": dict(data),
            "recipe": recipe.model_dump(),
            "run": dict(run),
        }
        canonical_json(document)  # refuses what JSON cannot hold, NaN above all, wherever it stands
        return cls._checked(document | {"id": _content_id(document), "key": recipe.key})

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read a manifest and hold it to its own digests; ManifestError says in one line what is wrong."""
        try:
            document = parse_json(raw)
        except DataError as error:
            raise ManifestError(str(error)) from None
        if not isinstance(document, dict):
            raise ManifestError("a manifest must be an object")
        version = _schema_version(document)
        # Both digests are of the document as it was written, so they are taken before it is upgraded.
        truth = {"id": _content_id(document), "key": digest_json(document.get("recipe"))}
        for old in range(version, SCHEMA):
            document = UPCASTERS[old](document)
        manifest = cls._checked(document)
        for name, digest in truth.items():
            if getattr(manifest, name) != digest:
                raise ManifestError(f"{name!r} is {getattr(manifest, name)}, but the content gives {digest}")
        if version == SCHEMA and raw != manifest.to_bytes():
            raise ManifestError("says the right things in another form than it was written in: it was changed")
        return manifest

    @classmethod
    def _checked(cls, document: dict[str, Any]) -> Self:
        fields = {name: value for name, value in document.items() if name != "schema"}
        try:
            manifest = cls.model_validate(fields)
        except ValidationError as error:
            raise ManifestError(describe_problems(cls, error)[0]) from None
        try:
            check_kind(manifest.kind)
            for file in manifest.files:
                check_member_path(file.path)
        except ArtifactError as error:
            raise ManifestError(str(error)) from None
        _check_coexistence([file.path for file in manifest.files])
        _check_order([file.path.encode() for file in manifest.files], "files")
        _check_order([feedback.encode() for feedback in manifest.feedback], "feedback")
        return manifest

    def to_bytes(self) -> bytes:
        """Return the document as it is stored: for people to read, in one form only."""
        document = {"schema": f"{_SCHEMA_PREFIX}{SCHEMA}", **self.model_dump(mode="json")}
        return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2).encode() + b"\n"

    @property
    def artifact_inputs(self) -> list[str]:
        """The ids of the artifacts that this one was made from."""
        return self.recipe.artifact_inputs

    @property
    def environment(self) -> dict[str, Any]:
        """What the run ran on. `run` is free in form, so nothing is taken for granted about it."""
        return self._part_of_run("environment")

    @property
    def source_names(self) -> dict[str, Any]:
        """What the input files were called, by role."""
        return self._part_of_run("sources")

    def _part_of_run(self, name: str) -> dict[str, Any]:
        part = self.run.get(name)
        return part if isinstance(part, dict) else {}

    @property
    def size(self) -> int:
        """How many bytes the files hold."""
        return sum(file.size for file in self.files)


def _content_id(document: Mapping[str, Any]) -> str:
    content = {name: document.get(name) for name in ("schema", "kind", "feedback", "files", "data")}
    return digest_json(content)


def _schema_version(document: Mapping[str, Any]) -> int:
    schema = document.get("schema")
    number = schema.removeprefix(_SCHEMA_PREFIX) if isinstance(schema, str) else ""
    if not isinstance(schema, str) or not schema.startswith(_SCHEMA_PREFIX) or not re.fullmatch(r"[0-9]{1,6}", number):
        raise ManifestError(f"'schema' must be '{_SCHEMA_PREFIX}N', found {shorten(repr(schema))}")
    version = int(number)
    if version > SCHEMA:
        raise ManifestError(
            f"written as {schema}; this prefline reads up to {_SCHEMA_PREFIX}{SCHEMA}: upgrade prefline to read it"
        )
    if version != SCHEMA and version not in UPCASTERS:
        raise ManifestError(f"{schema} was never released")
    return version


def _check_coexistence(paths: list[str]) -> None:
    """Refuse paths of which some systems can hold only one: equal but for their case, or a file and a folder."""
    folded = [path.casefold() for path in paths]
    folders = {folder.as_posix() for path in folded for folder in PurePosixPath(path).parents}
    if len(set(folded)) < len(folded) or folders & {*folded, MANIFEST}:
        raise ManifestError("'files' has paths that cannot lie side by side on every system")


def _check_order(items: list[bytes], field: str) -> None:
    if any(first >= second for first, second in itertools.pairwise(items)):
        raise ManifestError(f"{field!r} must be sorted, each entry once")
