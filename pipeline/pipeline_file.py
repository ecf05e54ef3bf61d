"""A pipeline file: the stages that lead from files to a tuned model, checked before any of them runs."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError, StoreError
from prefline.data.wording import did_you_mean, printable, shorten
from prefline.pipeline.naming import check_name
from prefline.pipeline.stages import SEEDS, Stage, describe_kind, is_outside
from prefline.pipeline.strict_yaml import MOST_BYTES, MOST_LEVELS, parse_scalar, parse_yaml

SCHEMA = "prefline.pipeline/1"
_NEWER_SCHEMA = re.compile(r"prefline\.pipeline/[1-9][0-9]*")
_STAGE_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,49}"
_MOST_SHOWN = 600  # of all that is wrong with a file: a message stays one that is read

# `true`, "1" and 1.0 are mistakes rather than seeds.
Seed = Annotated[int, Field(strict=True, ge=0, lt=SEEDS)]


class Entry(Config):
    """One stage of a pipeline."""

    stage: str = Field(description="which stage to run")
    inputs: dict[str, str] = Field(default_factory=dict, description="what the stage reads, by role")
    params: dict[str, Any] = Field(default_factory=dict, description="the settings of the stage")
    seed: Seed | None = Field(default=None, description="the seed of this stage, instead of the file's")
    name: str | None = Field(default=None, description="call the artifact this, which keeps it from gc")


class PipelineFile(Config):
    """A pipeline: stages, each made from files, from what other stages make, or from artifacts."""

    seed: Seed | None = Field(default=None, description="the seed of every stage that leaves something to chance")
    stages: dict[str, Entry] = Field(min_length=1, description="the stages, each under a name that you choose")

    @classmethod
    def from_document(cls, document: Any) -> Self:
        """Check what a file holds. Which inputs and params are right, the stages know, and say later."""
        fields = _without_schema(_require_map(document, f"the file, with the keys 'schema: {SCHEMA}' and 'stages'"))
        _check_maps(fields)
        checked = cls.parse(fields)
        for name, entry in checked.stages.items():
            try:
                if entry.name is not None:
                    check_name(entry.name)
            except StoreError as error:
                raise ConfigError(f"stages.{name}.name: {error}") from None
        return checked


def load_pipeline(path: Path, overrides: Sequence[str] = ()) -> PipelineFile:
    """Read a pipeline file. An override, such as `stages.reward.params.epochs=2`, counts as if it stood there."""
    raw = _read(path)
    try:
        document = parse_yaml(raw)
    except ConfigError as error:
        raise ConfigError(f"{printable(path)}: {error}") from None
    for text in overrides:
        try:
            _override(document, text)
        except ConfigError as error:
            raise ConfigError(_one_line(f"--set {shorten(text)}: {error}")) from None
    try:
        return PipelineFile.from_document(document)
    except ConfigError as error:
        raise ConfigError(f"{printable(path)}: {_one_line(str(error))}") from None


def _read(path: Path) -> bytes:
    where = printable(path)
    try:
        if path.is_dir():
            raise ConfigError(f"{where}: expected a pipeline file, found a folder")
        if path.exists() and not path.is_file():
            raise ConfigError(f"{where}: expected a pipeline file, found a pipe or a device: save it to a file first")
        with path.open("rb") as stream:
            return stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{where}: expected a pipeline file, found nothing of that name") from None
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from None


def _one_line(message: str) -> str:
    """Names and values come from files of strangers: they are shown, and neither obeyed nor all repeated."""
    return shorten(printable(message), _MOST_SHOWN)


def _without_schema(document: Mapping[str, Any]) -> dict[str, Any]:
    if "schema" not in document:
        raise ConfigError(f"'schema' is missing: begin the file with the line 'schema: {SCHEMA}'")
    schema = document["schema"]
    if schema != SCHEMA:
        newer = isinstance(schema, str) and _NEWER_SCHEMA.fullmatch(schema)
        remedy = f": this prefline reads {SCHEMA}: upgrade prefline" if newer else ""
        raise ConfigError(f"schema: expected {SCHEMA}, found {shorten(repr(schema))}{remedy}")
    return {key: value for key, value in document.items() if key != "schema"}


def _check_maps(document: Mapping[str, Any]) -> None:
    """Find what should be a map and is not: pydantic would speak of dictionaries and instances."""
    if "stages" not in document:
        return  # said later, with the key that may have been meant
    stages = _require_map(document["stages"], "stages")
    if not stages:
        raise ConfigError("stages: expected at least one stage, found none")
    for name, entry in stages.items():
        if not re.fullmatch(_STAGE_NAME, name):
            raise ConfigError(
                f"stages: {shorten(name)!r} cannot be the name of a stage: expected letters, digits, "
                "'_' and '-', the first a letter, 50 characters at most"
            )
        _require_map(entry, f"stages.{name}")
        for key in ("inputs", "params"):
            if key in entry:
                _require_map(entry[key], f"stages.{name}.{key}")


def _require_map(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a map, found {'nothing' if value is None else shorten(repr(value))}")
    return value


def _override(document: Any, text: str) -> None:
    """Set one value of a parsed file. What is free to hold any key, and was left out, is begun."""
    dotted, equals, value = text.partition("=")
    keys = dotted.split(".")
    if not equals or "" in keys:
        found = "an empty key" if equals else "no '='"
        raise ConfigError(f"expected KEY=VALUE, such as seed=1 or stages.NAME.params.KEY=VALUE, found {found}")
    if len(keys) > MOST_LEVELS:
        raise ConfigError(f"expected at most {MOST_LEVELS} keys, found {len(keys):,}")
    here = _require_map(document, "the file")
    for depth, key in enumerate(keys):
        known = _known_keys(keys[:depth], here)
        if known is not None and key not in known:
            where = ".".join(keys[:depth]) or "a pipeline file"
            raise ConfigError(f"{where} has no key {key!r}{did_you_mean(key, known)}")
        if depth == len(keys) - 1:
            here[key] = parse_scalar(value)
        else:
            here = _require_map(here.setdefault(key, {}), ".".join(keys[: depth + 1]))


def _known_keys(keys: Sequence[str], here: Mapping[str, Any]) -> Collection[str] | None:
    """Return the keys that may stand there, or None where it is the stage that knows them."""
    if not keys:
        return ("schema", *PipelineFile.model_fields)
    if keys[0] != "stages":
        return ()
    if len(keys) == 1:
        return here  # a new stage has more than one key, so it belongs into the file
    if len(keys) == 2:
        return Entry.model_fields
    return None if keys[2] == "params" or (keys[2] == "inputs" and len(keys) == 3) else ()


def json_schema(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Describe pipeline files to editors, which then complete and check the params of each stage."""
    schema = PipelineFile.model_json_schema()
    definitions = schema.pop("$defs")
    about = {"const": SCHEMA, "description": "what kind of file this is, and in which version"}
    schema["properties"] = {"schema": about, **schema["properties"]}
    schema["required"] = ["schema", "stages"]
    schema["properties"]["stages"]["propertyNames"] = {"pattern": f"^{_STAGE_NAME}$"}
    definitions["Entry"]["properties"]["stage"]["enum"] = sorted(stages)
    rules = definitions["Entry"]["allOf"] = []
    for name, stage in sorted(stages.items()):
        params = stage.params.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        # Two stages may call different things by one name, so each has its own.
        definitions |= {f"{name}.{model}": part for model, part in params.pop("$defs", {}).items()}
        is_meant = {"properties": {"stage": {"const": name}}, "required": ["stage"]}
        rules.append({"if": is_meant, "then": _describe(stage, params)})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": definitions}


def _describe(stage: Stage, params: dict[str, Any]) -> dict[str, Any]:
    """Narrow an entry to what one stage takes."""
    inputs = {
        "type": "object",
        "description": "what the stage reads, by role",
        "properties": {role: _describe_input(kind) for role, kind in stage.takes.items()},
        "required": [role for role in stage.takes if role not in stage.optional],
        "additionalProperties": False,
    }
    properties: dict[str, Any] = {"inputs": inputs, "params": params}
    if not stage.seeded:
        properties["seed"] = {"type": "null", "description": f"{stage.name} leaves nothing to chance and takes no seed"}
    # A key may be left out only if what it would hold may be empty.
    required = [key for key, part in (("inputs", inputs), ("params", params)) if part.get("required")]
    return {"properties": properties, "required": required}


def _describe_input(kind: str) -> dict[str, Any]:
    reads = describe_kind(kind)
    if not is_outside(kind):
        reads = f"a stage of this file, or {reads.replace('artifact', 'artifact (id or name)')}"
    return {"type": "string", "description": reads}
