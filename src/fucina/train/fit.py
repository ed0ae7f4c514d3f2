"""The loop: all members of a stack, step by step, with stopping, best model and resume."""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from fucina.errors import TrainingError
from fucina.metrics import balanced_accuracy
from fucina.models.stack import Stack
from fucina.models.threads import release
from fucina.records import Epoch, silent
from fucina.train.batches import chunks, epoch_batches
from fucina.train.checkpoint import State, pack, unpack
from fucina.train.members import Hooks, Loop, Material, Member
from fucina.train.optimizer import Optimizer
from fucina.train.passes import at_most, first_logits, gradients, held_out_logits
from fucina.train.schedule import rate, warmup_steps
from fucina.train.stopping import BestModel, EarlyStopping

if TYPE_CHECKING:
    from fucina.config import StoppingConfig, TrainingConfig

__all__ = ["fit"]


def fit(
    stack: Stack,
    material: Material,
    config: "TrainingConfig",
    stopping: "StoppingConfig",
    *,
    run: tuple[int, float, Executor],
    hooks: Hooks,
    save: Callable[[State], None] = silent,
    resume: State | None = None,
) -> list[Member]:
    """Train all members of a stack to their ends.

    Args:
        stack: Members with their start values; left at the last state of those that finished
            last.
        material: Rows, folds and offsets.
        config: Epochs, batches, rates.
        stopping: Patience and which weights to keep.
        run: Seed, largest loss ratio, and the threads that compute (one core each).
        hooks: Where to report.
        save: Takes the state after each epoch, to resume from.
        resume: Go on from this state instead of from the start.

    Returns:
        The k members in order, each with the weights it keeps and its held-out probabilities.

    Raises:
        TrainingError: A loss is not finite.
        RecipeError: The warm-up is longer than the run.
    """
    seed, ratio, threads = run
    members = [
        Member(i, BestModel(), EarlyStopping(stopping.patience, stopping.min_gain, ratio))
        for i in range(stack.members)
    ]
    effective = config.batch_size * config.accumulation
    totals = [config.epochs * -(-len(fold.train) // effective) for fold in material.folds]
    warmups = [warmup_steps(config.warmup, total) for total in totals]
    loop = Loop(stack, material, members, list(members), Optimizer(stack, config))
    first = 1
    if resume is None:
        _judge(loop, 0, threads, hooks, train=None)
    else:
        first = unpack(resume, stack, loop.optimizer, members) + 1
        loop.active = [member for member in members if not member.reason]
    for epoch in range(first, config.epochs + 1):
        if not loop.active:
            break
        began = time.perf_counter()
        folds = [material.folds[member.index] for member in loop.active]
        lengths = material.encoded.lengths
        batches = epoch_batches(lengths, folds, effective, seed=seed, epoch=epoch)
        sums = np.zeros((len(loop.active), 3))
        for number, batch in enumerate(batches, start=1):
            shares = [
                rate(
                    m.steps,
                    warmup=warmups[m.index],
                    total=totals[m.index],
                    schedule=config.schedule,
                )
                for m in loop.active
            ]
            noise = (seed * 1_000_003 + epoch) * 1_000_003 + number
            sums += _step(loop, batch, config, shares, threads, noise)
            done = (epoch - 1) * len(batches) + number
            hooks.progress("training", done, config.epochs * len(batches))
        seconds = time.perf_counter() - began
        train = (sums[:, 0] / sums[:, 1], sums[:, 2] / len(batches), seconds, shares)
        _judge(loop, epoch, threads, hooks, train=train, config=config)
        _retire(loop, epoch, stopping, hooks)
        save(pack(epoch, stack, loop.optimizer, members))
        release()
    for member in members:
        if not member.reason:
            member.reason = "ran all epochs"
        if stopping.keep == "best":
            member.state, member.kept_epoch = cast("Tensor", member.best.state), member.best.epoch
    return members


def _step(
    loop: Loop,
    batch: np.ndarray,
    config: "TrainingConfig",
    shares: list[float],
    threads: Executor,
    noise: int,
) -> np.ndarray:
    """Take one optimizer step; returns per member summed loss, rows and gradient norm."""
    rows = (batch >= 0).sum(axis=1)
    parts = chunks(batch, loop.material.encoded.lengths)
    # Accumulation bounds memory too: no pass holds more rows of a member than one batch.
    work = [
        (part, rows, noise * 4099 + number)
        for number, part in enumerate(at_most(parts, config.batch_size))
    ]
    results = list(threads.map(lambda job: gradients(loop, *job), work))
    adapters, heads = results[0][0], results[0][1]
    for result in results[1:]:  # always in this order, so that sums are the same every time
        adapters += result[0]
        heads += result[1]
    losses = np.sum([result[2] for result in results], axis=0)
    if not np.isfinite(losses).all():
        bad = [loop.active[i].index + 1 for i in np.flatnonzero(~np.isfinite(losses))]
        raise TrainingError(
            f"the loss of member {', '.join(map(str, bad))} is not a number.",
            fix="Lower training.learning_rate (a tenth of it is a good next try).",
        )
    norms = loop.optimizer.step(adapters, heads, rows > 0, shares)
    for member, count in zip(loop.active, rows, strict=True):
        member.steps += int(count > 0)
    return np.stack([losses, rows, norms], axis=1)


def _judge(
    loop: Loop,
    epoch: int,
    threads: Executor,
    hooks: Hooks,
    *,
    train: tuple | None,
    config: "TrainingConfig | None" = None,
) -> None:
    """Score each active member on its held-out rows and remember the best."""
    states = loop.stack.states()
    logits_of = held_out_logits if epoch else first_logits
    for i, (member, logits) in enumerate(zip(loop.active, logits_of(loop, threads), strict=True)):
        rows = np.array(loop.material.folds[member.index].held_out)
        targets = loop.material.targets[rows]
        scores = torch.from_numpy(logits)
        loss = float(loop.material.losses[member.index](scores, torch.from_numpy(targets)).mean())
        accuracy = balanced_accuracy(targets, logits.argmax(axis=1), loop.stack.labels)
        state = states[i].clone()
        if member.best.see(epoch, accuracy, loss, state):
            member.held_out = torch.softmax(scores.double(), dim=-1).numpy()
            hooks.improved(loop.stack, member)
        hooks.every_epoch(loop.stack, member.index, epoch, state)
        train_loss = float(train[0][i]) if train else float("nan")
        if train:
            member.reason = member.stopping.see(epoch, train_loss, loss, state) or ""
        member.state, member.kept_epoch = state, epoch
        hooks.epoch(
            Epoch(
                member=member.index,
                epoch=epoch,
                train_loss=train_loss,
                validation_loss=loss,
                balanced_accuracy=float(accuracy),
                gradient_norm=float(train[1][i]) if train else float("nan"),
                learning_rate=config.learning_rate * train[3][i] if train and config else 0.0,
                seconds=train[2] if train else 0.0,
            )
        )


def _retire(loop: Loop, epoch: int, config: "StoppingConfig", hooks: Hooks) -> None:
    """Let members that gave up leave the stack, with their weights rolled back."""
    for member in loop.active:
        if member.reason:
            member.kept_epoch, member.state = member.stopping.rollback()
            choice = (
                f"; the best balanced accuracy was at epoch {member.best.epoch}, which is kept"
                if config.keep == "best"
                else ""
            )
            hooks.tell(
                f"member {member.index + 1}: stopped at epoch {epoch} because {member.reason}; "
                f"rolled back to epoch {member.kept_epoch}{choice}."
            )
            member.stopping.states.clear()
    stay = [i for i, member in enumerate(loop.active) if not member.reason]
    if len(stay) < len(loop.active):
        loop.active = [loop.active[i] for i in stay]
        if stay:
            loop.optimizer.keep(stay)
