"""What all kinds of text answers share: gradients of a pass, and the loss of held-out rows."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import numpy as np
import torch
from torch import Tensor, nn

from fucina.models.conversations import TextBatch
from fucina.models.pairs import PairBatch
from fucina.models.trunk import chunks_by_length
from fucina.models.word_loss import token_losses, token_scores
from fucina.train.batches import Chunk
from fucina.train.members import HeldOut, Loop, Material

__all__ = ["Foretold", "held_out_rows", "judge_words", "word_gradients"]

# The rows of a pass, the states that foretell their learnt tokens, and the head that reads those.
Foretold = tuple[TextBatch | PairBatch, Tensor, nn.Module]


def word_gradients(
    loop: Loop,
    part: Chunk,
    weights: np.ndarray,
    foretold: Foretold,
    beside: Sequence[Tensor] = (),
) -> tuple[tuple[Tensor, ...], np.ndarray]:
    """Gradients of one pass, and summed losses of the members.

    Args:
        loop: The members.
        part: The rows of the pass.
        weights: Learnt tokens of the whole step, of each member: the mean is over these.
        foretold: What the pass made of the rows.
        beside: Tensors whose gradients are wanted too, after those of the leaves.
    """
    stack, (batch, hidden, head) = loop.stack, foretold
    losses = token_losses(hidden, head, batch.targets, cap=stack.base.cap)
    counts = torch.from_numpy(part.counts.reshape(-1)).to(stack.device)
    losses = losses * counts[batch.rows]
    member = batch.rows // part.rows.shape[1]
    # The mean is over the learnt tokens of the whole step, not of this pass.
    share = torch.from_numpy(1.0 / np.maximum(weights, 1.0)).float().to(stack.device)
    found = torch.autograd.grad((losses * share[member]).sum(), [*stack.leaves, *beside])
    sums = torch.zeros(len(weights), device=stack.device).index_add_(0, member, losses.detach())
    return found, sums.double().cpu().numpy()


def held_out_rows(
    loop: Loop,
    material: Material,
    threads: Executor,
    score: Callable[[np.ndarray, int], Tensor],
) -> list[np.ndarray]:
    """Run the rows held out for each active member.

    Args:
        loop: The members.
        material: Their rows.
        threads: Where passes run.
        score: k x b rows and a worker, to s numbers for each of the k*b rows.

    Returns:
        Rows x s for each member.
    """
    stack = loop.stack
    owns = [np.array(material.folds[member.index].held_out) for member in loop.active]
    width = max(map(len, owns))
    table = np.stack([np.concatenate([np.full(width - len(own), own[0]), own]) for own in owns])
    longest = material.lengths[table].max(axis=0) * len(owns)
    columns = chunks_by_length(longest, np.arange(width))

    def run(part: np.ndarray) -> np.ndarray:
        worker = stack.borrow()
        try:
            with torch.no_grad():
                scores = score(table[:, part], worker)
            return scores.view(len(owns), len(part), -1).cpu().numpy()
        finally:
            stack.give_back(worker)

    found = np.concatenate(list(threads.map(run, columns)), axis=1)
    back = np.argsort(np.concatenate(columns), kind="stable")
    return [found[i, back][width - len(own) :] for i, own in enumerate(owns)]


def judge_words(
    loop: Loop, threads: Executor, foretell: Callable[[np.ndarray, int], Foretold]
) -> list[HeldOut]:
    """Loss and perplexity of each active member on its held-out rows, given the true words before.

    Args:
        loop: The members.
        threads: Where passes run.
        foretell: k x b rows and a worker, to what the members make of them.
    """
    material, cap = loop.material, loop.stack.base.cap

    def score(rows: np.ndarray, worker: int) -> Tensor:
        batch, hidden, head = foretell(rows, worker)
        losses, hits = token_scores(hidden, head, batch.targets, cap=cap)
        sums = torch.zeros(rows.size, 2, device=losses.device)
        return sums.index_add_(0, batch.rows, torch.stack([losses, hits.float()], dim=1))

    each = held_out_rows(loop, material, threads, score)
    owns = [list(material.folds[member.index].held_out) for member in loop.active]
    return [_held_out(sums, material.weights[own]) for sums, own in zip(each, owns, strict=True)]


def _held_out(sums: np.ndarray, tokens: np.ndarray) -> HeldOut:
    """Losses and hits of n rows, n x 2 sums over their learnt tokens, as what a member did."""
    sums, total = sums.astype(np.float64), max(float(tokens.sum()), 1.0)
    loss = float(sums[:, 0].sum() / total)
    scores = {
        "token_accuracy": float(sums[:, 1].sum() / total),
        "perplexity": math.exp(min(loss, 700.0)),
    }
    return HeldOut(loss, -loss, scores, np.stack([sums[:, 0], tokens], axis=1))
