"""Proof that a saved scorer is the one that was saved: a fresh process loads the folder and scores the same texts.

Once plain Transformers loads it, which know nothing of us, and once prefline does. A head that was lost and drawn
anew, a tokenizer that splits otherwise, a score read at another place: all of it shows here, and nowhere else as soon.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prefline.data.errors import DataError
from prefline.data.wording import shorten
from prefline.reward_model.encoding import Pair
from prefline.reward_model.model import ABOUT, RewardModel
from prefline.reward_model.preflight import check_same
from prefline.reward_model.safety import read_config

_CHILD = Path(__file__).with_name("proof_child.py")
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # so that what is said last is why it failed
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONUTF8": "1",
}


class Proof(NamedTuple):
    """The worst difference to the scores before saving, relative to how far those lie apart, by who loaded it."""

    plain: float | None  # by Transformers alone; None where they refuse the folder, as they should
    own: float  # by prefline


def prove(
    folder: Path,
    model: RewardModel,
    probes: Sequence[Pair],
    texts: Sequence[tuple[str, str]],
    expected: Sequence[float],
    *,
    timeout: float = 600.0,
) -> Proof:
    """Load a saved scorer in a fresh process, and refuse it unless it gives the expected scores to the probes.

    `model` is what was saved; `texts` are prompts with responses that must become the same tokens as by its tokenizer.
    """
    answer = _ask(
        folder,
        {
            "folder": str(folder.resolve()),
            "pairs": probes,
            "texts": texts,
            "types": model.encoder.around.types,
        },
        timeout,
    )
    encoded = model.encoder.encode(*zip(*texts, strict=True)) if texts else []
    own = _compare(answer["own"], expected, encoded, f"{folder}, loaded by prefline")
    if not model.loads_anywhere:
        if "refusal" not in answer["plain"]:
            raise DataError(f"{folder}: plain Transformers load it, and would read its scores at another place")
        return Proof(None, own)
    ids = [model.tokenizer(prompt, response, verbose=False)["input_ids"] for prompt, response in texts]
    offset = float(read_config(folder).get(ABOUT, {}).get("offset", 0.0))
    plain = [score - offset for score in expected]
    return Proof(_compare(answer["plain"], plain, ids, f"{folder}, loaded by plain Transformers"), own)


def _ask(folder: Path, request: Mapping[str, Any], timeout: float) -> dict[str, dict[str, Any]]:
    try:
        done = subprocess.run(
            [sys.executable, "-P", _CHILD],
            input=json.dumps(request).encode(),
            capture_output=True,
            env=os.environ | _ENVIRONMENT,
            start_new_session=True,  # Ctrl-C is for the run, which stops when this is done
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{folder}: a fresh process did not load and score it within {timeout:g} seconds") from None
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        reason = shorten(said, 200) or "it said nothing"
        raise DataError(f"{folder}: a fresh process that loads it ended with exit code {done.returncode}: {reason}")
    return json.loads(done.stdout)


def _compare(found: Mapping[str, Any], expected: Sequence[float], tokens: Sequence[Any], what: str) -> float:
    if "refusal" in found:
        raise DataError(f"{what}: it is refused: {shorten(found['refusal'], 300)}")
    # Through JSON, as those of the other process have come.
    for number, (seen, wanted) in enumerate(zip(found["tokens"], json.loads(json.dumps(tokens)), strict=True), 1):
        if seen != wanted:
            raise DataError(
                f"{what}: text {number} becomes other tokens than before it was saved: expected "
                f"{shorten(str(wanted))}, found {shorten(str(seen))}"
            )
    return check_same(found["scores"], expected, what)
