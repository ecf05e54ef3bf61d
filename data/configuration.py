"""The base of every settings object: frozen, strict about names, and never NaN."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from prefline.data.errors import ConfigError
from prefline.data.wording import did_you_mean, shorten


class Config(BaseModel):
    """Settings that cannot be misspelt or changed after they were checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Self:
        """Check settings that a person wrote; ConfigError says in one line what is wrong with them."""
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise ConfigError("; ".join(describe_problems(cls, error))) from None


def describe_problems(model: type[BaseModel], error: ValidationError) -> list[str]:
    """Say what pydantic found, a line a problem: where, what was expected, what was found."""
    lines: list[str] = []
    for problem in error.errors(include_url=False):
        where = _dotted(problem["loc"])
        if problem["type"] == "extra_forbidden":
            names = _names_beside(model, problem["loc"])
            meant = did_you_mean(str(problem["loc"][-1]), names)
            known = f": there are {', '.join(names)}" if names and not meant else ""
            lines.append(f"unknown key {where!r}{meant}{shorten(known, 200)}")
        elif problem["type"] == "missing":
            lines.append(f"{where!r} is missing")
        elif not where:  # of the settings together: what was found is all of them
            lines.append(problem["msg"].removeprefix("Value error, "))
        else:
            found = "nothing" if problem["input"] is None else shorten(repr(problem["input"]))
            lines.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}, found {found}")
    return lines


def _dotted(location: tuple[int | str, ...]) -> str:
    """('files', 0, 'path') -> 'files[0].path'."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _names_beside(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that would have been right at `location`."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # an index into a list: the model stays the one of its items
        inner = [field.annotation, *getattr(field.annotation, "__args__", ())]
        models = [kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)
