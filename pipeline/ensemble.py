"""The stage `ensemble`: several reward models as one, which also says by how much they disagree.

ensemble.json               how their scores are combined
members/1/ members/2/ ...   the models, each as AutoModelForSequenceClassification.from_pretrained takes it
"""

from collections.abc import Collection

from prefline.data.errors import ConfigError
from prefline.pipeline.jobs import Job
from prefline.pipeline.stages import REWARD_MODEL, Outcome, Stage
from prefline.reward_model.combining import Combination

ROLES = tuple(f"model_{number}" for number in range(1, 9))


def check_inputs(_: Combination, inputs: Collection[str]) -> None:
    """Refuse a gap: which models there are shall be seen at a glance."""
    first = next((role for role in ROLES if role not in inputs), None)
    later = [role for role in ROLES if role in inputs and first is not None and role > first]
    if later:
        raise ConfigError(
            f"expected the models of an ensemble in a row, found {later[0]} without {first}: move it there"
        )


def _run(job: Job) -> Outcome:
    from prefline.pipeline.ensembling import assemble  # torch, which no plan needs

    return assemble(job)


ENSEMBLE = Stage(
    "ensemble",
    1,
    Combination,
    _run,
    makes=REWARD_MODEL,
    takes=dict.fromkeys(ROLES, REWARD_MODEL),
    optional=frozenset(ROLES[2:]),
    computes=False,
    stepwise=False,
    check=check_inputs,
)
