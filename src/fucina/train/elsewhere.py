"""Adapters trained by Unsloth, in a process of an environment of its own, and judged here.

It gets what Fucina's own loop would: rows as tokens with what is learnt of them, batches, rates
and first weights. After each epoch it leaves an adapter in PEFT layout and asks whether to go on.
"""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from fucina import run
from fucina.config import TrainingConfig
from fucina.errors import RecipeError, TrainingError
from fucina.models.build import build
from fucina.models.memory import free
from fucina.models.peft_format import from_tensors, to_tensors
from fucina.models.source import locate
from fucina.models.stack import Stack
from fucina.records import Epoch
from fucina.train.batches import NO_ROW, epoch_batches
from fucina.train.members import Hooks, Kind, Loop, Material, Member
from fucina.train.optimizer import Optimizer
from fucina.train.schedule import rate, warmup_steps
from fucina.train.stopping import BestModel, EarlyStopping
from fucina.train.texts import TextMaterial

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.base import Base

__all__ = ["require", "take_over", "teach"]

WORKER = Path(__file__).with_name("unsloth_worker.py")
CHECK_S = 300  # importing it compiles kernels the first time
FIX = (
    "Install Unsloth in an environment of its own on a machine with a GPU it supports, and give "
    "the path of that Python: engine.python=…/bin/python. Or set engine.backend: fucina."
)
OFF = 0.05  # of the loss; in 4 bits and bfloat16 two programs do not agree to the last digit


def require(python: str | None, base: "Base | None" = None) -> str:
    """Make sure that a Python has Unsloth and a GPU; returns its path.

    Args:
        python: Of its environment.
        base: What is to be trained.

    Raises:
        RecipeError: None is given, or it is no program.
        TrainingError: Unsloth cannot be used with it.
    """
    if base is not None and base.halves is not None:
        raise TrainingError(
            f"engine.backend: unsloth trains decoders; {base.name} has an encoder too.",
            fix="Set engine.backend: fucina.",
        )
    if python is None:
        raise RecipeError("engine.backend: unsloth needs engine.python.", fix=FIX)
    path = str(Path(python).expanduser())
    command = [path, str(WORKER), "--check"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RecipeError(f"engine.python: {python} cannot be run ({error}).", fix=FIX) from error
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except (json.JSONDecodeError, IndexError):
        found = {"problem": (done.stderr.strip().splitlines() or ["it says nothing"])[-1][:200]}
    if "problem" in found:
        raise TrainingError(f"{python} cannot train with Unsloth: {found['problem']}.", fix=FIX)
    return path


def teach(
    number: int,
    material: TextMaterial,
    base: "Base",
    recipe: "Recipe",
    *,
    ratio: float,
    hooks: Hooks,
) -> Member:
    """Let Unsloth train one member.

    Args:
        number: Of its fold.
        material: The rows.
        base: The frozen model; it leaves the GPU meanwhile.
        recipe: What is asked for.
        ratio: Largest validation / training loss that is healthy.
        hooks: Where to report.

    Returns:
        The member with the weights it keeps; it has not answered its held-out rows yet.

    Raises:
        TrainingError: Unsloth gave up, or trained something else.
    """
    stack = build(base, recipe.adapter, members=1, labels=0, seed=recipe.seed, workers=1)
    stack.replicas.clear()  # they hold the weights; only names are needed now
    stopping = recipe.stopping
    member = Member(number, BestModel(), EarlyStopping(stopping.patience, stopping.min_gain, ratio))
    with TemporaryDirectory() as folder, _aside(base):
        place = Path(folder)
        run.write_json(place / "job.json", _job(number, material, stack, recipe))
        start = to_tensors(stack, stack.adapters[0].cpu())
        run.write_tensors(place / "start.safetensors", start, {})
        for facts, reply in _conversation(cast("str", recipe.engine.python), place, hooks):
            tensors = run.read_tensors(place / f"epoch{facts['epoch']}/adapter_model.safetensors")
            _see(member, facts, from_tensors(stack, tensors), stack, hooks)
            reply("stop" if member.reason else "on")
    if member.reason:
        member.kept_epoch, member.state = member.stopping.rollback()
        hooks.tell(f"member {number + 1}: stopped because {member.reason}.")
    if stopping.keep == "best":
        member.state, member.kept_epoch = cast("Tensor", member.best.state), member.best.epoch
    member.reason = member.reason or "ran all epochs"
    return member


def take_over(
    stack: Stack,
    material: Material,
    kind: Kind,
    members: list[Member],
    hooks: Hooks,
    threads: ThreadPoolExecutor,
) -> list[Member]:
    """Put members that were trained elsewhere into a stack, and let them answer held-out rows.

    Args:
        stack: Of as many members; it takes their weights.
        material: Their rows.
        kind: How they answer.
        members: As `teach` gave them.
        hooks: Where to report.
        threads: Where passes run.
    """
    states = torch.stack([member.state for member in members]).to(stack.device)
    stack.bind(states, stack.heads)
    nothing = Optimizer(stack, TrainingConfig())  # a loop has one; it is not used
    loop = Loop(stack, material, kind, members, nothing, 1, 1)
    for member, held in zip(members, kind.judge(loop, threads, False), strict=True):
        member.held_out = held.answers
        said = member.best.loss
        if member.kept_epoch == member.best.epoch and abs(held.loss - said) > OFF * said:
            hooks.tell(
                f"member {member.index + 1}: Unsloth says a validation loss of {said:.4f}, but "
                f"its adapter has {held.loss:.4f} here; what follows is judged here."
            )
    return members


def _job(number: int, material: TextMaterial, stack: Stack, recipe: "Recipe") -> dict[str, Any]:
    config, adapter, written = recipe.training, recipe.adapter, material.written
    fold = material.folds[number]
    size = config.batch_size * config.accumulation
    batches: list[list[list[int]]] = []
    for epoch in range(1, config.epochs + 1):
        steps = epoch_batches(material.lengths, [fold], size, seed=recipe.seed, epoch=epoch)
        batches.append([step[0][step[0] != NO_ROW].tolist() for step in steps])
    total = sum(map(len, batches))
    warmup = warmup_steps(config.warmup, total)
    paths = [name.rsplit(".", 1)[0] for name, _ in stack.names]
    layers = sorted({int(p[len(stack.base.layers) + 1 :].split(".", 1)[0]) for p in paths})
    return {
        "base": locate(recipe.model.base),
        "quantize": recipe.model.quantize,
        "max_length_tokens": stack.base.max_length_tokens,
        "checkpointing": recipe.engine.checkpointing is True,
        "optimizer": recipe.engine.optimizer,
        "seed": recipe.seed,
        "adapter": {
            "rank": adapter.rank,
            "alpha": adapter.alpha,
            "dropout": adapter.dropout,
            "rslora": adapter.rslora,
            "modules": sorted({path.rsplit(".", 1)[1] for path in paths}),
            "layers": layers,
        },
        "batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "max_gradient_norm": config.max_gradient_norm,
        "shares": [
            rate(step, warmup=warmup, total=total, schedule=config.schedule)
            for step in range(total)
        ],
        "batches": batches,
        "held_out": list(fold.held_out),
        "rows": [
            {"ids": ids.tolist(), "learnt": learnt.astype(int).tolist()}
            for ids, learnt in zip(written.ids, written.learnt, strict=True)
        ],
    }


def _conversation(python: str, folder: Path, hooks: Hooks) -> Iterator[tuple[dict[str, Any], Any]]:
    """Start the worker; gives what it says of each epoch, and how to answer."""
    command = [str(Path(python).expanduser()), str(WORKER), str(folder)]
    with (
        TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as worker,
    ):
        lines, answers = cast("Any", worker.stdout), cast("Any", worker.stdin)

        def reply(word: str) -> None:
            answers.write(f"{word}\n")
            answers.flush()

        try:
            for line in lines:
                facts = json.loads(line)
                if facts["event"] == "step":
                    hooks.progress("training", facts["done"], facts["total"])
                else:
                    yield facts, reply
            answers.close()
            code = worker.wait()
        finally:
            worker.kill()
        if code:
            errors.seek(0)
            last = (errors.read().strip().splitlines() or ["it says nothing"])[-1]
            raise TrainingError(
                f"Unsloth gave up ({last[:300]}).",
                fix="Mend its environment, or set engine.backend: fucina.",
            )


def _see(member: Member, facts: dict[str, Any], state: Tensor, stack: Stack, hooks: Hooks) -> None:
    """Take note of an epoch, and decide whether the member goes on."""
    epoch, loss = facts["epoch"], facts["validation_loss"]
    if np.isfinite(loss) and member.best.see(epoch, -loss, loss, state):
        hooks.improved(stack, member)
    nothing = float("nan")  # before the first step
    train = nothing if facts["train_loss"] is None else facts["train_loss"]
    norm = nothing if facts["gradient_norm"] is None else facts["gradient_norm"]
    if epoch:
        member.reason = member.stopping.see(epoch, train, loss, state) or ""
    member.state, member.kept_epoch = state, epoch
    hooks.epoch(
        Epoch(
            member=member.index,
            epoch=epoch,
            train_loss=train,
            validation_loss=loss,
            scores={"perplexity": float(np.exp(min(loss, 700.0)))},
            gradient_norm=norm,
            learning_rate=facts["learning_rate"],
            seconds=facts["seconds"],
        )
    )


@contextmanager
def _aside(base: "Base") -> Iterator[None]:
    """Let the frozen weights leave the GPU, which the other process needs."""
    network = cast("nn.Module", base.network)
    device = next(network.parameters()).device
    network.to("cpu")
    free()
    try:
        yield
    finally:
        network.to(device)
