"""The models that come with prefline: folders in this one, as `from_pretrained` takes them."""

from pathlib import Path

from prefline.data.errors import ConfigError
from prefline.data.wording import did_you_mean

_HERE = Path(__file__).parent
MODELS = ("tiny",)


def find_model(name: str) -> Path:
    """Return the folder of a model."""
    if name not in MODELS:
        known = ", ".join(MODELS)
        raise ConfigError(f"builtin:{name}: expected a model ({known}), found {name!r}{did_you_mean(name, MODELS)}")
    return _HERE / name
