"""How a garbage collection looks on a terminal."""

from prefline.data.wording import count, printable
from prefline.pipeline.collection import Sweep
from prefline.pipeline.durations import format_duration
from prefline.pipeline.terminal import format_size


def format_sweep(sweep: Sweep, *, done: bool) -> str:
    """Say what gc took away, or would."""
    grace = format_duration(sweep.grace)
    waiting = [f"{count(sweep.waiting, 'artifact waits', 'artifacts wait')} in the trash: --restore ID brings one back"]
    if not sweep:
        young = f", younger than {grace}" if sweep.grace else ""
        stay = count(sweep.kept, "artifact is", "artifacts are")
        nothing = f"nothing to take: {stay} named, in use{young}, or what such an artifact was made from"
        return "\n".join([nothing, *(waiting if sweep.waiting else [])])
    where = "erased" if sweep.erases_at_once else "moved to the trash"
    taken = count(len(sweep.artifacts), "artifact", "artifacts")
    lines = [
        f"{taken} ({format_size(sweep.size)}) {where}, {sweep.kept} stay",
        *(
            f"{count(number, one, many)} erased"
            for number, one, many in (
                (len(sweep.drafts), "unfinished draft", "unfinished drafts"),
                (len(sweep.records), "record of a recipe", "records of recipes"),
                (len(sweep.runs), "left-over of a run", "left-overs of runs"),
                (len(sweep.trash), "piece of old trash", "pieces of old trash"),
            )
            if number
        ),
        *(f"  the saved states of {printable(run)}" for run in sweep.interrupted),
    ]
    if not done:
        lines = ["this would happen:", *(f"  {line}" for line in lines), "nothing was changed: add --delete to do it"]
    elif sweep.artifacts and not sweep.erases_at_once:
        lines.append(
            f"`prefline gc --restore ID` brings one back; `prefline gc --delete --grace {grace}` erases what has "
            f"been in the trash for {grace}"
        )
    elif sweep.waiting:
        lines += waiting
    return "\n".join(lines)
