"""Places where a test can kill the process, to show that a kill there loses nothing.

PREFLINE_FAILPOINT=name:n sends SIGKILL to this very process the n-th time `name` is reached.
Without the variable a failpoint costs one dictionary look-up.
"""

import os
import signal
import threading
from collections import Counter

NAMES = (
    "draft.opened",  # the staging folder exists and is locked
    "draft.writing",  # some bytes of an output file are about to be written
    "draft.written",  # the stage has returned
    "publish.hashed",  # one more file is hashed and on the disk
    "publish.described",  # the manifest is written
    "publish.synced",  # every folder of the draft is on the disk
    "publish.renamed",  # the artifact is visible, its recipe not yet known
    "publish.recorded",  # the recipe points to the artifact
    "publish.named",  # the name points to the artifact
    "run.claimed",  # this process alone works on the recipe, and has not begun
    "step.finished",  # one more step of a stage is done and logged, not yet checkpointed
    "checkpoint.visible",  # a new checkpoint can be seen, older ones are still there
    "checkpoint.pruned",  # one older checkpoint is gone
    "run.finished",  # the artifact is published, the checkpoints that led to it are still there
    "gc.moved",  # one more artifact is in the trash
    "gc.erasing",  # one more piece of trash is about to be erased
)

_reached: Counter[str] = Counter()
_lock = threading.Lock()


def reach(name: str) -> None:
    """Die here, if a test asked for it."""
    wanted = os.environ.get("PREFLINE_FAILPOINT")
    if not wanted:
        return
    if name not in NAMES:
        raise ValueError(f"{name!r} is not listed in failpoints.NAMES")
    with _lock:
        _reached[name] += 1
        if wanted == f"{name}:{_reached[name]}":
            os.kill(os.getpid(), signal.SIGKILL)
