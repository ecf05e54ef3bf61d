"""How plans and runs look on a terminal."""

from collections.abc import Sequence

from prefline.data.wording import count, printable
from prefline.pipeline.drawing import short
from prefline.pipeline.lineage import Explanation
from prefline.pipeline.making import Made
from prefline.pipeline.planning import Decision
from prefline.pipeline.terminal import format_explanation, format_table


def format_plan(decisions: Sequence[Decision]) -> str:
    """A row for each stage: what would happen to it, and why."""
    return format_table(
        ("STAGE", "RUNS", "MAKES", "ACTION", "WHY"),
        [
            (
                decision.part.name,
                decision.part.stage.name,
                decision.part.stage.makes,
                decision.action,
                printable(decision.why),
            )
            for decision in decisions
        ],
    )


def format_decision(decision: Decision, explanation: Explanation | None) -> str:
    """Say what would happen to a part and, down to every field, why."""
    line = printable(f"{decision.part.name}: {decision.action} ({decision.why})")
    return f"{line}\n{format_explanation(explanation, '  ') if explanation else ''}"


def describe_plan(decisions: Sequence[Decision]) -> str:
    """The last line of a plan."""
    made = sum(decision.reuse is None for decision in decisions)
    return f"{count(len(decisions), 'stage', 'stages')}: {made} to make, {len(decisions) - made} to reuse"


def describe_decision(decision: Decision) -> str:
    """Say that a part is going to be made, and why."""
    return printable(f"{decision.part.name}: making it ({decision.why})")


def describe_made(made: Made) -> str:
    """Say what has come of a part."""
    if made.reused:
        return f"reused {short(made.artifact.id)}"
    return f"made {short(made.artifact.id)} in {made.artifact.manifest.run.get('elapsed_s')} s"
