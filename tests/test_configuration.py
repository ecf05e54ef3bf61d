from typing import Any

import pytest
from pydantic import ValidationError

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError


class Schedule(Config):
    warmup_steps: int = 0


class Training(Config):
    learning_rate: float
    epochs: int = 1
    schedule: Schedule = Schedule()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"learning_rat": 1e-5},
            "'learning_rate' is missing; unknown key 'learning_rat' (did you mean 'learning_rate'?)",
        ),
        ({"learning_rate": float("nan")}, "learning_rate: Input should be a finite number, found nan"),
        (
            {"learning_rate": 1, "schedule": {"warmup_step": 3}},
            "unknown key 'schedule.warmup_step' (did you mean 'warmup_steps'?)",
        ),
        ({"learning_rate": 1, "zzz": 1}, "unknown key 'zzz': there are learning_rate, epochs, schedule"),
        (
            {"learning_rate": 1, "epochs": "many"},
            "epochs: Input should be a valid integer, unable to parse string as an integer, found 'many'",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_the_nearest_right_one(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Training.parse(settings)
    assert str(caught.value) == message


def test_settings_cannot_change_after_they_were_checked() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Training(learning_rate=1e-5).epochs = 2  # type: ignore[misc]
