"""The loop: all members of a stack, step by step, with stopping, best model and resume."""

import time
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from torch import Tensor

from fucina.errors import TrainingError
from fucina.models.stack import Stack
from fucina.models.threads import release
from fucina.records import Epoch
from fucina.train.batches import epoch_batches
from fucina.train.checkpoint import State, pack, unpack
from fucina.train.members import Hooks, Kind, Loop, Material, Member
from fucina.train.optimizer import Optimizer
from fucina.train.schedule import rate, warmup_steps
from fucina.train.step import BAD_STEPS, all_bad, step
from fucina.train.stopping import BestModel, EarlyStopping

if TYPE_CHECKING:
    from fucina.config import StoppingConfig, TrainingConfig

__all__ = ["fit"]


def fit(
    stack: Stack,
    material: Material,
    kind: Kind,
    config: "TrainingConfig",
    stopping: "StoppingConfig",
    *,
    run: tuple[int, float, Executor],
    hooks: Hooks,
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw",
    resume: State | None = None,
) -> list[Member]:
    """Train all members of a stack to their ends.

    Args:
        stack: Members with their start values; left at the last state of those that finished
            last.
        material: Rows and folds.
        kind: How they answer.
        config: Epochs, batches, rates.
        stopping: Patience and which weights to keep.
        run: Seed, largest loss ratio, and the threads that compute (one core each).
        hooks: Where to report, and what takes the state after each epoch, to resume from.
        optimizer: How it keeps its moments.
        resume: Go on from this state instead of from the start.

    Returns:
        The k members in order, each with the weights it keeps and its held-out probabilities.

    Raises:
        TrainingError: The start values already give no numbers.
        ResourceError: A single row does not fit in memory.
    """
    seed, ratio, threads = run
    members = [
        Member(i, BestModel(), EarlyStopping(stopping.patience, stopping.min_gain, ratio))
        for i in range(stack.members)
    ]
    effective = config.batch_size * config.accumulation
    totals = [config.epochs * -(-len(fold.train) // effective) for fold in material.folds]
    warmups = [warmup_steps(config.warmup, total) for total in totals]
    loop = Loop(
        stack,
        material,
        kind,
        list(members),
        Optimizer(stack, config, optimizer),
        effective,
        config.batch_size,
    )
    if max(warmups) >= min(totals):
        hooks.tell(
            f"the warm-up of {max(warmups)} steps is not shorter than the run of {min(totals)}: "
            f"the learning rate only reaches {min(totals) / max(warmups):.0%} of its peak."
        )
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
        batches = epoch_batches(material.lengths, folds, effective, seed=seed, epoch=epoch)
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
            sums += step(loop, batch, shares, threads, noise, hooks.tell)
            done = (epoch - 1) * len(batches) + number
            hooks.progress("training", done, config.epochs * len(batches))
            if all_bad(loop):
                break
        seconds = time.perf_counter() - began
        with np.errstate(invalid="ignore"):  # a member without one sound step has no loss
            losses = sums[:, 0] / sums[:, 1]
        train = (losses, sums[:, 2] / len(batches), seconds, shares)
        _judge(loop, epoch, threads, hooks, train=train, config=config)
        _retire(loop, epoch, stopping, hooks)
        hooks.save(pack(epoch, stack, loop.optimizer, members))
        release()
    for member in members:
        if not member.reason:
            member.reason = "ran all epochs"
        if stopping.keep == "best":
            member.state, member.kept_epoch = cast("Tensor", member.best.state), member.best.epoch
    return members


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
    judged = loop.kind.judge(loop, threads, not epoch)
    for i, (member, held) in enumerate(zip(loop.active, judged, strict=True)):
        loss = held.loss
        if not epoch and not np.isfinite(loss):
            raise TrainingError(
                f"{loop.stack.base.name} gives no numbers on the held-out rows before training.",
                fix="Set training.precision=float32, or use another model.base.",
            )
        state = states[i].to("cpu", copy=True)  # a GPU has better use for its memory
        if np.isfinite(loss) and member.best.see(epoch, held.score, loss, state):
            member.held_out = held.answers
            hooks.improved(loop.stack, member)
        hooks.every_epoch(loop.stack, member.index, epoch, state)
        train_loss = float(train[0][i]) if train else float("nan")
        if train:
            member.reason = member.stopping.see(epoch, train_loss, loss, state) or ""
            if member.bad_steps >= BAD_STEPS:
                member.reason = f"{BAD_STEPS} steps in a row gave no numbers"
        member.state, member.kept_epoch = state, epoch
        hooks.epoch(
            Epoch(
                member=member.index,
                epoch=epoch,
                train_loss=train_loss,
                validation_loss=loss,
                scores=held.scores,
                gradient_norm=float(train[1][i]) if train else float("nan"),
                learning_rate=config.learning_rate * train[3][i] if train and config else 0.0,
                seconds=train[2] if train else 0.0,
            )
        )


def _retire(loop: Loop, epoch: int, config: "StoppingConfig", hooks: Hooks) -> None:
    """Let members that gave up leave the stack, with their weights rolled back."""
    for member in loop.active:
        if member.reason:
            if member.bad_steps < BAD_STEPS:  # else the present weights are the last good ones
                member.kept_epoch, member.state = member.stopping.rollback()
            choice = (
                f"; the best score was at epoch {member.best.epoch}, which is kept"
                if config.keep == "best"
                else ""
            )
            hooks.tell(
                f"member {member.index + 1}: stopped at epoch {epoch} because {member.reason}; "
                f"back to epoch {member.kept_epoch}{choice}."
            )
            member.stopping.states.clear()
    stay = [i for i, member in enumerate(loop.active) if not member.reason]
    if len(stay) < len(loop.active):
        loop.active = [loop.active[i] for i in stay]
        if stay:
            loop.optimizer.keep(stay)
