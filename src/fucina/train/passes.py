"""Passes through the network: gradients of a chunk, and scores of held-out rows."""

from concurrent.futures import Executor

import numpy as np
import torch
from torch import Tensor

from fucina.models.trunk import assemble, chunks_by_length
from fucina.train.batches import Chunk
from fucina.train.members import Loop

__all__ = ["at_most", "first_logits", "gradients", "held_out_logits"]


def at_most(parts: list[Chunk], rows: int) -> list[Chunk]:
    """Cut chunks further, so that none holds more than `rows` rows of a member."""
    cut: list[Chunk] = []
    for part in parts:
        for begin in range(0, part.rows.shape[1], rows):
            end = begin + rows
            cut.append(Chunk(part.rows[:, begin:end], part.counts[:, begin:end]))
    return cut


def gradients(
    loop: Loop, part: Chunk, rows: np.ndarray, noise: int
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
        found = torch.autograd.grad((losses.sum(dim=1) * share).sum(), stack.leaves)
    finally:
        stack.give_back(worker)
    adapters, heads = stack.split_gradients(list(found))
    return adapters, heads, losses.detach().sum(dim=1).double().cpu().numpy()


def _offsets(loop: Loop, rows: np.ndarray) -> Tensor:
    picked = np.stack(
        [loop.material.offsets[member.index][rows[i]] for i, member in enumerate(loop.active)]
    )
    return torch.from_numpy(picked).to(loop.stack.device)


def first_logits(loop: Loop, threads: Executor) -> list[np.ndarray]:
    """Scores of held-out rows before the first step, like `held_out_logits`.

    Adapters start as the identity, so they need no pass through the network: the head sees the
    vectors of the frozen base, or is zero.
    """
    material, stack = loop.material, loop.stack
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
