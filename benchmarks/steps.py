"""What a training loop pays for being logged, shown, saved and resumed.

After each step of a tiny model, `finish_step` and a naive `print` of the same numbers are timed in turn, in
one loop. The metrics, what is shown and what is printed go to files: nobody looks, as in a batch job.

Saving is held against `torch.save` and fsync of the same state, two files of which are kept as well; reading
against `torch.load`, which verifies nothing. The sha256 of the same bytes says what verifying costs at least.
Peak memory is what a process of its own needs beyond what it held before, in multiples of the state. It
includes files that are mapped, which the system can take back.
"""

import argparse
import concurrent.futures
import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import torch
from timing import Times, describe_times, print_machine, ratio, repeat, seconds

from prefline.data.configuration import Config
from prefline.pipeline import Job, Recipe, Runtime
from prefline.pipeline.checkpoints import Checkpoints
from prefline.pipeline.progress import Progress
from prefline.pipeline.state import TENSORS
from prefline.pipeline.terminal import format_size, format_table

WIDTH = 2048
STEP_SECONDS = 0.010  # a step of which the share is taken: short, for a language model
BARE, FINISH_STEP, PRINT = "the step itself", "finish_step", "print(json), flushed"
SAVE, TORCH_SAVE = "save and prune", "torch.save, fsync, unlink"
NEWEST, TORCH_LOAD, HASH = "newest, every byte verified", "torch.load", "hashlib, one thread"
PEERS = {SAVE: TORCH_SAVE, TORCH_SAVE: TORCH_SAVE, NEWEST: TORCH_LOAD, TORCH_LOAD: TORCH_LOAD}
RECIPE = Recipe(stage="benchmark", stage_version=1, params={}, inputs={}, seed=1)
KEPT = 2
CLEAR = Path("/proc/self/clear_refs")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the runner costs a training loop.")
    parser.add_argument("--steps", type=int, default=2000, help="how many steps are averaged")
    parser.add_argument("--layers", type=int, default=8, help="the size of a state: 48 MiB each; six lie on the disk")
    parser.add_argument("--repeats", type=int, default=7, help="how often each thing is timed")
    parser.add_argument("--folder", type=Path, help="where to write; default: the system's folder for temporary files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        saving = Saving(Path(scratch, "states"), build_state(options.layers))
        size = size_of(saving.state)
        print_machine(
            f"{options.steps} steps of a tiny model with AdamW; then a state of {format_size(size)}.\n"
            f"{options.repeats} times each in turn after a warm-up, torch {torch.__version__}."
        )
        print_steps(repeat(lambda: measure_steps(Path(scratch, "steps"), options.steps), options.repeats))
        for _ in range(KEPT):
            saving.save()  # from now on, as in a long run, an old state is taken away each time
        times = repeat(saving.save, options.repeats) | repeat(saving.read, options.repeats)
        saving.check()
        print_saving(times, {way: measure_peak(way, saving.folder, options.layers) for way in PEERS}, size)


def measure_steps(folder: Path, steps: int) -> dict[str, float]:
    """Train for some steps, and return the mean time of each thing that is done in one."""
    folder.mkdir()
    train = build_training()
    spent = dict.fromkeys((BARE, FINISH_STEP, PRINT), 0.0)
    with open(folder / "shown.txt", "w") as shown, open(folder / "printed.jsonl", "w") as printed:
        job = build_job(folder, shown)
        with job.begin(folder):
            job.resume()
            for step in range(1, steps + 1):
                begin = time.perf_counter()
                loss = train()
                trained = time.perf_counter()
                job.finish_step(step, of=steps, values={"loss": loss}, state=dict)
                finished = time.perf_counter()
                print(json.dumps({"step": step, "loss": loss}), file=printed, flush=True)
                spent[PRINT] += time.perf_counter() - finished
                spent[FINISH_STEP] += finished - trained
                spent[BARE] += trained - begin
    shutil.rmtree(folder)
    return {name: total / steps for name, total in spent.items()}


def build_training() -> Callable[[], float]:
    """Return a function that does one step of training and returns its loss."""
    model = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.AdamW(model.parameters())
    inputs = torch.randn(8, 16)

    def train() -> float:
        loss = model(inputs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return train


def build_job(folder: Path, shown: TextIO) -> Job:
    """Return a job as `prefline run` gives one to a stage, shown in a file."""
    checkpoints, runtime = Checkpoints(folder, RECIPE), Runtime(progress=lambda name: Progress(name, shown))
    return Job(Config(), {}, RECIPE, folder, checkpoints, runtime)


def build_state(layers: int) -> dict[str, Any]:
    """Return the state of a model and its optimizer after a step."""
    model = torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(layers)))
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


def list_tensors(state: dict[str, Any]) -> list[torch.Tensor]:
    """Return the tensors of a state."""
    moments = state["optimizer"]["state"].values()
    return [*state["model"].values(), *(each for kept in moments for each in kept.values())]


def size_of(state: dict[str, Any]) -> int:
    """Return how many bytes the tensors of a state hold."""
    return sum(tensor.nbytes for tensor in list_tensors(state))


class Saving:
    """Two ways to save a state and to read it again, side by side in one folder."""

    def __init__(self, folder: Path, state: dict[str, Any]) -> None:
        """Begin with nothing saved, or with what another process has saved: to read that takes no state."""
        self.folder, self.state = folder, state
        self._checkpoints = Checkpoints(folder, RECIPE, keep=KEPT)
        self._step = max(self._checkpoints.steps(), default=0)
        folder.mkdir(exist_ok=True)

    def save(self) -> dict[str, float]:
        """Time saving once."""
        self._step += 1
        return self._measure(SAVE, TORCH_SAVE)

    def read(self) -> dict[str, float]:
        """Time reading once. Not between two saves, which would then be given memory in another state."""
        return self._measure(NEWEST, TORCH_LOAD, HASH)

    def _measure(self, *names: str) -> dict[str, float]:
        measured: dict[str, float] = {}
        for name in names:
            os.sync()  # what the way before left to be written is not ours to wait for
            measured[name] = seconds(self.list_ways()[name])
        return measured

    def list_ways(self) -> dict[str, Callable[[], object]]:
        """Return the ways that are compared; those that read find what the others have saved."""
        return {
            SAVE: lambda: self._checkpoints.save(self._step, self.state, {}),
            TORCH_SAVE: self._save_plainly,
            NEWEST: lambda: self._checkpoints.newest(print),
            TORCH_LOAD: self._load_plainly,
            HASH: self._hash,
        }

    def check(self) -> None:
        """Make sure that both ways give back what was saved."""
        checkpoint = self._checkpoints.newest(print)
        assert checkpoint is not None
        for found in (checkpoint.state, self._load_plainly()):
            assert all(map(torch.equal, list_tensors(found), list_tensors(self.state)))
            assert found["optimizer"]["param_groups"] == self.state["optimizer"]["param_groups"]

    def _save_plainly(self) -> None:
        with open(self._place(self._step), "wb") as stream:
            torch.save(self.state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        self._place(self._step - KEPT).unlink(missing_ok=True)

    def _load_plainly(self) -> dict[str, Any]:
        return torch.load(self._place(self._step), weights_only=True)

    def _hash(self) -> None:
        with open(self.folder / "checkpoints" / f"{self._step:012d}" / TENSORS, "rb") as stream:
            hashlib.file_digest(stream, "sha256")

    def _place(self, step: int) -> Path:
        return self.folder / f"{step}.pt"


def measure_peak(way: str, folder: Path, layers: int) -> int | None:
    """Return the bytes that a new process needs for one way, beyond what it holds before. None: not on Linux."""
    if not CLEAR.exists():
        return None
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(find_peak, way, folder, layers).result()


def find_peak(way: str, folder: Path, layers: int) -> int:
    """Do it once in this process, and return the peak."""
    import safetensors  # noqa: F401  not part of what reading takes

    act = Saving(folder, build_state(layers) if way in (SAVE, TORCH_SAVE) else {}).list_ways()[way]
    CLEAR.write_text("5")  # the peak is now what is held now
    before = read_peak()
    act()
    return read_peak() - before


def read_peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def print_steps(times: Times) -> None:
    """Print a table of what is done in a step."""
    rows: list[tuple[str, ...]] = []
    for name in (BARE, FINISH_STEP, PRINT):
        micro = [1e6 * took for took in times[name]]
        cells = (name, f"{statistics.median(micro):.1f} us", f"{min(micro):.1f}-{max(micro):.1f} us")
        to_print, share = ratio(times[name], times[PRINT]), statistics.median(times[name]) / STEP_SECONDS
        to_step = f"{ratio(times[name], times[BARE]):.2f}x"
        rows.append((*cells, to_step, *(("", "") if name == BARE else (f"{to_print:.2f}x", f"{share:.2%}"))))
    print(format_table(("EACH STEP", "MEDIAN", "RANGE", "TO THIS STEP", "TO PRINT", "OF 10 MS"), rows))


def print_saving(times: Times, peaks: dict[str, int | None], size: int) -> None:
    """Print a table of what saving and reading take."""
    rows: list[tuple[str, ...]] = []
    for name, peer in PEERS.items():
        peak = peaks[name]
        beyond = "unknown" if peak is None else f"{format_size(peak)}, {peak / size:.2f}x"
        to_hash = f"{ratio(times[name], times[HASH]):.2f}x"
        rows.append((name, *describe_times(times[name]), f"{ratio(times[name], times[peer]):.2f}x", to_hash, beyond))
    rows.append((HASH, *describe_times(times[HASH]), "", "1.00x", ""))
    print(format_table(("STATE", "MEDIAN", "RANGE", "TO TORCH", "TO HASHLIB", "PEAK MEMORY"), rows), end="")


if __name__ == "__main__":
    main()
