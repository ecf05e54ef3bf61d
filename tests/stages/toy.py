"""Three little stages of a real kind, for tests that run pipelines: numbers, a model trained on them, texts sampled.

The training is small but has all that makes resuming hard: an optimiser with moments, data shuffled anew in every
epoch and read in batches, a schedule, dropout, noise drawn on the way, and running statistics.
"""

import json

from prefline.data.configuration import Config
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


def train(job: Job) -> Outcome:
    """Fit a small network."""
    import torch
    from safetensors.torch import save_file

    params, chance = job.params, job.randomness
    numbers = json.loads((job.artifact("numbers").path / "numbers.json").read_bytes())
    inputs = torch.tensor(numbers, dtype=job.dtype, device=job.device).unsqueeze(1)
    targets = inputs.sin()
    with chance.everywhere("weights"):
        model = torch.nn.Sequential(
            torch.nn.Linear(1, params.hidden), torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.Linear(params.hidden, 1)
        ).to(job.device, job.dtype)
    optimizer = torch.optim.AdamW(model.parameters(), lr=params.learning_rate)
    batches = -(-len(numbers) // params.batch)
    steps = params.epochs * batches
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 1 - done / steps)
    running = {"mean": 0.0, "best": float("inf")}
    replay: list[float] = []
    first = 0
    saved = job.resume()
    if saved is not None:
        first = saved.step
        model.load_state_dict(saved.state["model"])
        optimizer.load_state_dict(saved.state["optimizer"])
        scheduler.load_state_dict(saved.state["scheduler"])
        running = saved.state["running"]
        replay = saved.state["replay"]
    for step in range(first, steps):
        epoch, batch = divmod(step, batches)
        order = torch.randperm(len(numbers), generator=chance.torch("order", epoch))
        chosen = order[batch * params.batch : (batch + 1) * params.batch]
        noise = torch.randn(len(chosen), 1, generator=chance.torch("noise", step), dtype=job.dtype) * 0.01
        with chance.everywhere("dropout", step):
            loss = (model(inputs[chosen] + noise) - targets[chosen]).square().mean()
        loss = loss * (1 + 0.1 * running["mean"]) + 0.001 * (sum(replay) if len(replay) == 3 else 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        running = {
            "mean": 0.9 * running["mean"] + 0.1 * loss.item(),
            "best": min(running["best"], loss.item()),
        }
        replay = [*replay[-2:], loss.item()]
        job.finish_step(
            step + 1,
            of=steps,
            values={"loss": float("nan") if step + 1 == params.poison else loss.item(), "best": running["best"]},
            state=lambda: {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "running": running,
                "replay": replay,
            },
        )
    save_file(model.state_dict(), job.folder / "model.safetensors")
    return Outcome(data={"steps": steps, "best": running["best"]})


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
    saved = job.resume()
    if saved is not None:
        lines = saved.state["lines"]
    for step in range(len(lines), job.params.samples):
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
