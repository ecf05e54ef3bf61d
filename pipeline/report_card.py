"""The stage `report-card`: how far a reward model can be trusted, on comparisons that it has not learnt from.

card.json, card.html    all that was measured, and the same as a page

The stage `train-reward` writes the same two files for the model that it has trained.
"""

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from prefline.data.errors import ConfigError
from prefline.pipeline.jobs import Job
from prefline.pipeline.stages import MODEL, SCORER, Outcome, Stage
from prefline.pipeline.train_reward import SamplingParams

CARD, PAGE = "card.json", "card.html"


class ReportCardParams(SamplingParams):
    """Settings of the stage `report-card`."""

    side: Literal["held_out", "train", "both"] = Field(
        "held_out", description="Which of the comparisons are asked about: held_out, train or both."
    )
    tokens_at_once: int | None = Field(
        None, ge=1, description="Tokens computed at once; as suits the device if not said."
    )


def check_inputs(params: ReportCardParams, inputs: Collection[str]) -> None:
    """Refuse settings of samples where there is no model to draw them of."""
    if "model" in inputs:
        return
    for name, field in SamplingParams.model_fields.items():
        if getattr(params, name) != field.default:
            raise ConfigError(f"{name}: it is of samples of a language model: give one (--model), or leave it out")


def _run(job: Job) -> Outcome:
    from prefline.pipeline.reporting_card import report_card  # torch, which no plan needs

    return report_card(job)


REPORT_CARD = Stage(
    "report-card",
    1,
    ReportCardParams,
    _run,
    makes="report-card",
    takes={
        "comparisons": "comparisons",
        "scorer": SCORER,
        "model": MODEL,
        "gold": SCORER,
        "learnt_from": "comparisons",
    },
    optional=frozenset({"model", "gold", "learnt_from"}),
    check=check_inputs,
)
