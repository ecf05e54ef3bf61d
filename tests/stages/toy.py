"""Little stages of a real kind, for tests that run pipelines: numbers, a model trained on them, texts sampled; a walk.

The training is small but has all that makes resuming hard: an optimiser with moments, data shuffled anew in every
epoch and read in batches, a schedule, dropout, noise drawn on the way, and running statistics. No part of its state
can be lost without a trace: each acts on every later step or stands in what is made. The walk needs no torch.

Run as a program, this is the command line with these stages among its own.
"""

import json
from typing import Any

from prefline.data.configuration import Config
from prefline.pipeline import catalogue
from prefline.pipeline.filesystem import create_file
from prefline.pipeline.jobs import Job
from prefline.pipeline.stages import FILE, Outcome, Stage


class NumbersParams(Config):
    """Settings of the stage `toy-numbers`."""

    scale: float = 1.0


def make_numbers(job: Job) -> Outcome:
    """Take in a file with a number on each line."""
    numbers = [float(line) * job.params.scale for line in job.source("source").path.read_text().split()]
    with create_file(job.folder / "numbers.json") as out:
        out.write(json.dumps(numbers).encode())
    return Outcome(data={"numbers": len(numbers)}, feedback=frozenset({"synthetic"}))


NUMBERS = Stage("toy-numbers", 1, NumbersParams, make_numbers, makes="toy-numbers", takes={"source": FILE})


class TrainParams(Config):
    """Settings of the stage `toy-train`."""

    epochs: int = 3
    batch: int = 4
    learning_rate: float = 1e-2
    hidden: int = 16
    dtype: str = "float32"
    poison: int = 0  # the step whose loss is to be no number


class Training:
    """All that changes while a network is fitted."""

    def __init__(self, job: Job, steps: int) -> None:
        import torch

        with job.randomness.everywhere("weights"):
            self.model = torch.nn.Sequential(
                torch.nn.Linear(1, job.params.hidden),
                torch.nn.Tanh(),
                torch.nn.Dropout(0.1),
                torch.nn.Linear(job.params.hidden, 1),
            ).to(job.device, job.dtype)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=job.params.learning_rate)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda done: 1 - done / steps)
        self.running = {"mean": 0.0, "best": float("inf")}
        self.replay: list[float] = []

    def save(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "running": self.running,
            "replay": self.replay,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what was saved."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.running = state["running"]
        self.replay = state["replay"]


def train(job: Job) -> Outcome:
    """Fit a small network."""
    import torch
    from safetensors.torch import save_file

    params, chance = job.params, job.randomness
    numbers = json.loads((job.artifact("numbers").path / "numbers.json").read_bytes())
    inputs = torch.tensor(numbers, dtype=job.dtype, device=job.device).unsqueeze(1)
    targets = inputs.sin()
    batches = -(-len(numbers) // params.batch)
    steps = params.epochs * batches
    now = Training(job, steps)
    first = 0
    saved = job.resume()
    if saved is not None:
        first = saved.step
        now.load(saved.state)
    for step in range(first, steps):
        epoch, batch = divmod(step, batches)
        order = torch.randperm(len(numbers), generator=chance.torch("order", epoch))
        chosen = order[batch * params.batch : (batch + 1) * params.batch]
        noise = torch.randn(len(chosen), 1, generator=chance.torch("noise", step), dtype=job.dtype) * 0.01
        with chance.everywhere("dropout", step):
            loss = (now.model(inputs[chosen] + noise) - targets[chosen]).square().mean()
        loss = loss * (1 + 0.1 * now.running["mean"] + 0.1 * min(now.running["best"], 1.0) + 0.1 * sum(now.replay))
        now.optimizer.zero_grad()
        loss.backward()
        now.optimizer.step()
        now.scheduler.step()
        now.running = {
            "mean": 0.9 * now.running["mean"] + 0.1 * loss.item(),
            "best": min(now.running["best"], loss.item()),
        }
        now.replay = [*now.replay[-2:], loss.item()]
        job.finish_step(
            step + 1,
            of=steps,
            values={"loss": float("nan") if step + 1 == params.poison else loss.item(), "best": now.running["best"]},
            state=now.save,
        )
    save_file(now.model.state_dict(), job.folder / "model.safetensors")
    return Outcome(data={"steps": steps, **now.running, "replay": now.replay, "rate": now.scheduler.get_last_lr()})


TRAIN = Stage("toy-train", 1, TrainParams, train, makes="toy-model", takes={"numbers": "toy-numbers"}, seeded=True)


class SampleParams(Config):
    """Settings of the stage `toy-sample`."""

    samples: int = 20


def sample(job: Job) -> Outcome:
    """Draw from a trained model."""
    import torch
    from safetensors.torch import load_file

    weights = load_file(job.artifact("model").path / "model.safetensors")
    lines: list[str] = []
    first = 0
    saved = job.resume()
    if saved is not None:
        first, lines = saved.step, saved.state["lines"]
    for step in range(first, job.params.samples):
        drawn = torch.randn(1, generator=job.randomness.torch("sample", step))
        hidden = torch.tanh(weights["0.weight"] @ drawn + weights["0.bias"])
        lines.append(f"{(weights['3.weight'] @ hidden + weights['3.bias']).item():.6f}\n")
        job.finish_step(
            step + 1, of=job.params.samples, values={"length": len(lines[-1])}, state=lambda: {"lines": lines}
        )
    with create_file(job.folder / "samples.txt") as out:
        out.write("".join(lines).encode())
    return Outcome(data={"samples": len(lines)})


SAMPLE = Stage("toy-sample", 1, SampleParams, sample, makes="toy-samples", takes={"model": "toy-model"}, seeded=True)


class WalkParams(Config):
    """Settings of the stage `toy-walk`."""

    steps: int = 10
    luggage: int = 0  # so many bytes does each saved state have
    report: int = 0  # so many bytes are written at the end
    poison: int = 0  # the step that logs what is no number
    stumble: int = 0  # the step that raises an error


def walk(job: Job) -> Outcome:
    """Go to and fro between a million places."""
    now: dict[str, Any] = {"place": 0, "trail": [0]}
    first = 0
    saved = job.resume()
    if saved is not None:
        first, now["place"], now["trail"] = saved.step, saved.state["place"], saved.state["trail"]
    for step in range(first, job.params.steps):
        if step + 1 == job.params.stumble:
            raise LookupError("there is a stone")
        # Where it comes to depends on all that it has passed, in order.
        now["place"] = (3 * now["place"] + job.randomness.python("stride", step).randrange(1000)) % 1_000_003
        now["trail"] = [*now["trail"][-2:], now["place"]]
        job.finish_step(
            step + 1,
            of=job.params.steps,
            values={"place": float("nan") if step + 1 == job.params.poison else now["place"]},
            state=lambda: {**now, "luggage": "x" * job.params.luggage},
        )
    with create_file(job.folder / "place.json") as out:
        out.write(json.dumps(now).encode())
        out.write(b" " * job.params.report)
    return Outcome(data=now)


WALK = Stage("toy-walk", 1, WalkParams, walk, makes="toy-place", seeded=True)


def list_stages() -> None:
    """Put the stages into the catalogue of this process."""
    for stage in ("numbers", "train", "sample", "walk"):
        catalogue.STAGES[f"toy-{stage}"] = catalogue.Listed(f"toy:{stage.upper()}", f"Toy: {stage}.")


if __name__ == "__main__":
    from prefline.pipeline.cli import main

    list_stages()
    main()
