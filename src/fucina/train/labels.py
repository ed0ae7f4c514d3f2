"""Answers that are labels: gradients of a step, and scores of held-out rows."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fucina.metrics import balanced_accuracy
from fucina.models.tokenize import Encoded
from fucina.models.trunk import Activations, assemble, chunks_by_length
from fucina.records import Fold
from fucina.train.batches import Chunk
from fucina.train.members import Gradients, HeldOut, Kind, Loop
from fucina.train.step import summed

__all__ = ["LABELS", "LabelMaterial", "first_logits", "held_out_logits", "label_scores"]


@dataclass(frozen=True)
class LabelMaterial:
    """What a stack learns labels from.

    Attributes:
        encoded: n development texts.
        targets: n label indices.
        folds: Training and held-out rows of each of the k members.
        offsets: k x n x c scores added to the logits (the lexical part), float32.
        store: Trunk activations of the texts; None to run the trunk each time.
        losses: One per-row loss a member.
        vectors: n x d pooled vectors of the frozen base; None when nobody needed them.
        odds: n x c, how likely a teacher finds each label; None to learn from targets alone.
    """

    encoded: Encoded
    targets: np.ndarray
    folds: tuple[Fold, ...]
    offsets: np.ndarray
    store: Activations | None
    losses: tuple[Callable[[Tensor, Tensor], Tensor], ...]
    vectors: np.ndarray | None = None
    odds: np.ndarray | None = None

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of the n texts."""
        return self.encoded.lengths

    @property
    def weights(self) -> np.ndarray:
        """Every row counts the same."""
        return np.ones(len(self.encoded))


def _step(
    loop: Loop, parts: list[Chunk], rows: np.ndarray, threads: Executor, noise: int
) -> Gradients:
    """The gradients of one step."""
    return summed(partial(_gradients, loop, rows=rows), parts, threads, noise)


def _gradients(loop: Loop, part: Chunk, noise: int, *, rows: np.ndarray) -> Gradients:
    """Compute the gradients of one chunk in whichever replica is free."""
    material, stack = _material(loop), loop.stack
    worker = stack.borrow()
    try:
        pad = stack.base.tokenizer.pad_token_id
        batch = assemble(material.encoded, part.rows, pad, store=material.store).to(stack.device)
        logits = stack.logits(batch, worker, noise) + _offsets(loop, part.rows)
        losses = _losses(material, [member.index for member in loop.active], logits, part.rows)
        losses = losses * torch.from_numpy(part.counts).to(stack.device)
        # The mean is over the rows of the whole step, not of this pass.
        share = torch.from_numpy(1.0 / np.maximum(rows, 1)).float().to(stack.device)
        found = torch.autograd.grad((losses.sum(dim=1) * share).sum(), stack.leaves)
    finally:
        stack.give_back(worker)
    adapters, heads = stack.split_gradients(list(found))
    return adapters, heads, losses.detach().sum(dim=1).double().cpu().numpy()


def _losses(
    material: LabelMaterial, members: list[int], logits: Tensor, rows: np.ndarray
) -> Tensor:
    """The loss of each row of each member, k x b.

    A teacher's odds are learnt by cross-entropy with them (Hinton et al., 2015, arXiv:1503.02531).
    """
    if material.odds is not None:
        odds = torch.from_numpy(material.odds[rows]).to(logits)
        return -(odds * functional.log_softmax(logits, dim=-1)).sum(dim=-1)
    targets = torch.from_numpy(material.targets[rows]).to(logits.device)
    each = [material.losses[member](logits[i], targets[i]) for i, member in enumerate(members)]
    return torch.stack(each)


def _material(loop: Loop) -> LabelMaterial:
    return cast("LabelMaterial", loop.material)


def _offsets(loop: Loop, rows: np.ndarray) -> Tensor:
    offsets = _material(loop).offsets
    picked = np.stack([offsets[member.index][rows[i]] for i, member in enumerate(loop.active)])
    return torch.from_numpy(picked).to(loop.stack.device)


def first_logits(loop: Loop, threads: Executor) -> list[np.ndarray]:
    """Scores of held-out rows before the first step, like `held_out_logits`.

    Adapters start as the identity, so they need no pass through the network: the head sees the
    vectors of the frozen base, or is zero.
    """
    material, stack = _material(loop), loop.stack
    vectors = material.vectors
    if vectors is None and stack.heads.any():
        return held_out_logits(loop, threads)
    scores = []
    for i, member in enumerate(loop.active):
        rows = np.array(material.folds[member.index].held_out)
        own = material.offsets[member.index][rows]  # a copy: rows are picked
        if vectors is not None:
            head, bias = stack.head[i].detach().cpu(), stack.bias[i].detach().cpu()
            own += (torch.from_numpy(vectors[rows]) @ head + bias).numpy()
        scores.append(own)
    return scores


def held_out_logits(loop: Loop, threads: Executor) -> list[np.ndarray]:
    """Scores of each active member for its own held-out rows, b x c each."""
    material, stack = _material(loop), loop.stack
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


def _judge(loop: Loop, threads: Executor, untrained: bool) -> list[HeldOut]:
    """Loss and accuracy of each active member on its held-out rows."""
    material, found = _material(loop), []
    logits_of = first_logits if untrained else held_out_logits
    for member, logits in zip(loop.active, logits_of(loop, threads), strict=True):
        targets = material.targets[list(material.folds[member.index].held_out)]
        scores = torch.from_numpy(logits)
        losses = material.losses[member.index](scores, torch.from_numpy(targets))
        found.append(label_scores(logits, targets, float(losses.mean())))
    return found


def label_scores(logits: np.ndarray, targets: np.ndarray, loss: float) -> HeldOut:
    """What a member did on n rows.

    Args:
        logits: n x c scores of labels; softmax makes them probabilities.
        targets: n label indices.
        loss: Of these rows.
    """
    answers = logits.argmax(axis=1)
    balanced = float(balanced_accuracy(targets, answers, logits.shape[1]))
    return HeldOut(
        loss=loss,
        score=balanced,
        scores={
            "balanced_accuracy": balanced,
            "accuracy": float((answers == targets).mean()),
        },
        answers=torch.softmax(torch.from_numpy(logits).double(), dim=-1).numpy(),
    )


LABELS = Kind(gradients=_step, judge=_judge)
