"""The loop: all members of a stack, step by step, with stopping, best model and resume."""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fucina.errors import TrainingError
from fucina.metrics import balanced_accuracy
from fucina.models.stack import Stack
from fucina.models.trunk import Activations, assemble, chunks_by_length
from fucina.records import Epoch, Fold, Progress, silent
from fucina.train.batches import Chunk, chunks, epoch_batches
from fucina.train.checkpoint import State, pack, unpack
from fucina.train.optimizer import Optimizer
from fucina.train.schedule import rate, warmup_steps
from fucina.train.stopping import BestModel, EarlyStopping

if TYPE_CHECKING:
    from fucina.config import StoppingConfig, TrainingConfig
    from fucina.models.tokenize import Encoded

__all__ = ["Hooks", "Material", "Member", "fit"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Material:
    """What a stack learns from.

    Attributes:
        encoded: n development texts.
        targets: n label indices.
        folds: Training and held-out rows of each of the k members.
        offsets: k x n x c scores added to the logits (the lexical part), float32.
        store: Trunk activations of the texts; None to run the trunk each time.
        losses: One per-row loss a member.
    """

    encoded: "Encoded"
    targets: np.ndarray
    folds: tuple[Fold, ...]
    offsets: np.ndarray
    store: Activations | None
    losses: tuple[Callable[[Tensor, Tensor], Tensor], ...]


@dataclass
class Member:
    """What is remembered of one member while it trains, and what is left of it in the end."""

    index: int
    best: BestModel
    stopping: EarlyStopping
    steps: int = 0
    state: Tensor | None = None
    kept_epoch: int = 0
    reason: str = ""
    held_out: np.ndarray | None = None


@dataclass(frozen=True)
class Hooks:
    """How the loop reaches the outside: progress, log, events, best models."""

    progress: Progress = silent
    tell: Tell = lambda message: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    improved: Callable[[Stack, Member], None] = lambda stack, member: None
    every_epoch: Callable[[Stack, int, int, Tensor], None] = lambda stack, member, epoch, state: (
        None
    )


@dataclass
class _Loop:
    """The moving parts of one run of the loop."""

    stack: Stack
    material: Material
    members: list[Member]
    active: list[Member]
    optimizer: Optimizer


def fit(
    stack: Stack,
    material: Material,
    config: "TrainingConfig",
    stopping: "StoppingConfig",
    *,
    run: tuple[int, float, Executor],
    hooks: Hooks,
    save: Callable[[State], None] = lambda state: None,
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
    loop = _Loop(stack, material, members, list(members), Optimizer(stack, config))
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
    for member in members:
        if not member.reason:
            member.reason = "ran all epochs"
        if stopping.keep == "best":
            member.state, member.kept_epoch = member.best.state, member.best.epoch
    return members


def _step(
    loop: _Loop,
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
        for number, part in enumerate(_at_most(parts, config.batch_size))
    ]
    results = list(threads.map(lambda job: _pass(loop, *job), work))
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


def _at_most(parts: list[Chunk], rows: int) -> list[Chunk]:
    cut: list[Chunk] = []
    for part in parts:
        for begin in range(0, part.rows.shape[1], rows):
            end = begin + rows
            cut.append(Chunk(part.rows[:, begin:end], part.counts[:, begin:end]))
    return cut


def _pass(
    loop: _Loop, part: Chunk, rows: np.ndarray, noise: int
) -> tuple[Tensor, Tensor, np.ndarray]:
    """Compute the gradients of one chunk in whichever replica is free."""
    material, stack = loop.material, loop.stack
    worker = stack.borrow()
    try:
        pad = stack.base.tokenizer.pad_token_id
        batch = assemble(material.encoded, part.rows, pad, store=material.store).to(stack.device)
        logits = stack.logits(batch, worker, noise) + _offsets(loop, part.rows)
        targets = torch.from_numpy(material.targets[part.rows]).to(stack.device)
        losses = torch.stack(
            [
                material.losses[member.index](logits[i], targets[i])
                for i, member in enumerate(loop.active)
            ]
        )
        losses = losses * torch.from_numpy(part.counts).to(stack.device)
        # The mean is over the rows of the whole step, not of this pass.
        share = torch.from_numpy(1.0 / np.maximum(rows, 1)).float().to(stack.device)
        gradients = torch.autograd.grad((losses.sum(dim=1) * share).sum(), stack.leaves)
    finally:
        stack.give_back(worker)
    adapters, heads = stack.split_gradients(list(gradients))
    return adapters, heads, losses.detach().sum(dim=1).double().cpu().numpy()


def _offsets(loop: _Loop, rows: np.ndarray) -> Tensor:
    picked = np.stack(
        [loop.material.offsets[member.index][rows[i]] for i, member in enumerate(loop.active)]
    )
    return torch.from_numpy(picked).to(loop.stack.device)


def held_out_logits(loop: _Loop, threads: Executor) -> list[np.ndarray]:
    """Scores of each active member for its own held-out rows, b x c each."""
    material, stack = loop.material, loop.stack
    lengths = material.encoded.lengths
    owns = [np.array(material.folds[member.index].held_out) for member in loop.active]
    ordered = [own[np.argsort(lengths[own], kind="stable")] for own in owns]
    width = max(len(own) for own in ordered)
    table = np.stack([np.concatenate([np.full(width - len(o), o[0]), o]) for o in ordered])
    columns = chunks_by_length(lengths[table].max(axis=0) * len(owns), np.arange(width))

    def run(part: np.ndarray) -> np.ndarray:
        worker = stack.borrow()
        try:
            pad = stack.base.tokenizer.pad_token_id
            rows = table[:, part]
            batch = assemble(material.encoded, rows, pad, store=material.store).to(stack.device)
            with torch.no_grad():
                return (stack.logits(batch, worker) + _offsets(loop, rows)).cpu().numpy()
        finally:
            stack.give_back(worker)

    scores = np.zeros((len(owns), width, stack.labels), dtype=np.float32)
    for part, logits in zip(columns, threads.map(run, columns), strict=True):
        scores[:, part] = logits
    results = []
    for member, own in enumerate(owns):
        back = np.argsort(np.argsort(lengths[own], kind="stable"), kind="stable")
        results.append(scores[member, width - len(own) :][back])
    return results


def _judge(
    loop: _Loop,
    epoch: int,
    threads: Executor,
    hooks: Hooks,
    *,
    train: tuple | None,
    config: "TrainingConfig | None" = None,
) -> None:
    """Score each active member on its held-out rows and remember the best."""
    states = loop.stack.states()
    for i, (member, logits) in enumerate(
        zip(loop.active, held_out_logits(loop, threads), strict=True)
    ):
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


def _retire(loop: _Loop, epoch: int, config: "StoppingConfig", hooks: Hooks) -> None:
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
