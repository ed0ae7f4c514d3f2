"""Answers that are spans: a tag for every word; gradients of a step, scores of held-out rows."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from fucina.metrics import count_spans, span_marks, value_of
from fucina.models.tags import marks
from fucina.models.trunk import Activations, assemble, chunks_by_length
from fucina.models.words import Words, token_numbers
from fucina.records import Fold, Span
from fucina.train.batches import Chunk
from fucina.train.members import Gradients, HeldOut, Kind, Loop
from fucina.train.step import summed

__all__ = ["SPANS", "SpanMaterial"]


@dataclass(frozen=True)
class SpanMaterial:
    """What a stack learns spans from.

    Attributes:
        words: n texts as words and tokens.
        tags: The tag of each word, n arrays of codes.
        spans: What is truly marked in each text, behind the cut too.
        types: What a span can be.
        folds: Training and held-out rows of each of the k members.
        store: Trunk activations of the texts; None to run the trunk each time.
        losses: One per-word loss a member.
        offsets: For each member what the forms of words add to the scores of its tags, n arrays
            w x c; None without.
    """

    words: Words
    tags: tuple[np.ndarray, ...]
    spans: tuple[tuple[Span, ...], ...]
    types: tuple[str, ...]
    folds: tuple[Fold, ...]
    store: Activations | None
    losses: tuple[Callable[[Tensor, Tensor], Tensor], ...]
    offsets: tuple[Sequence[np.ndarray] | None, ...]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of the n texts."""
        return self.words.encoded.lengths

    @property
    def weights(self) -> np.ndarray:
        """Words of the n texts: the mean of a step is over them."""
        return self.words.counts


def _material(loop: Loop) -> SpanMaterial:
    return cast("SpanMaterial", loop.material)


def _step(
    loop: Loop, parts: list[Chunk], weights: np.ndarray, threads: Executor, noise: int
) -> Gradients:
    """The gradients of one step."""
    return summed(partial(_gradients, loop, weights=weights), parts, threads, noise)


def _gradients(loop: Loop, part: Chunk, noise: int, *, weights: np.ndarray) -> Gradients:
    """Compute the gradients of one chunk in whichever replica is free."""
    material, stack = _material(loop), loop.stack
    worker = stack.borrow()
    try:
        logits = _logits(loop, part.rows, worker, noise)
        losses = []
        for i, member in enumerate(loop.active):
            rows = part.rows[i]
            tags = torch.from_numpy(np.concatenate([material.tags[row] for row in rows]))
            counts = np.repeat(part.counts[i], [len(material.tags[row]) for row in rows])
            own = material.losses[member.index](logits[i], tags.to(stack.device))
            losses.append((own * torch.from_numpy(counts).to(stack.device)).sum())
        sums = torch.stack(losses)
        # The mean is over the words of the whole step, not of this pass.
        share = torch.from_numpy(1.0 / np.maximum(weights, 1.0)).float().to(stack.device)
        found = torch.autograd.grad((sums * share).sum(), stack.leaves)
    finally:
        stack.give_back(worker)
    adapters, heads = stack.split_gradients(list(found))
    return adapters, heads, sums.detach().double().cpu().numpy()


def _logits(loop: Loop, rows: np.ndarray, worker: int, noise: int | None = None) -> list[Tensor]:
    """Scores of the tags of all words of k x b rows, one after the other: k tensors w x c."""
    material, stack = _material(loop), loop.stack
    pad = stack.base.tokenizer.pad_token_id
    batch = assemble(material.words.encoded, rows, pad, store=material.store).to(stack.device)
    every = stack.token_logits(batch, worker, noise)
    length = batch.ids.shape[1]
    found = []
    for own, of_member, member in zip(every, rows, loop.active, strict=True):
        numbers = torch.from_numpy(token_numbers(material.words, of_member, length))
        scores, offsets = own[numbers.to(stack.device)], material.offsets[member.index]
        if offsets is not None:
            more = np.concatenate([offsets[row] for row in of_member])
            scores = scores + torch.from_numpy(more).to(stack.device)
        found.append(scores)
    return found


def _held_out_logits(loop: Loop, threads: Executor) -> list[list[np.ndarray]]:
    """Scores of each active member for the words of its own held-out rows, w x c a row."""
    material, stack = _material(loop), loop.stack
    owns = [np.array(material.folds[member.index].held_out) for member in loop.active]
    lengths = material.lengths
    orders = [np.argsort(lengths[own], kind="stable") for own in owns]
    width = max(map(len, owns))
    # Rows of like length stand in one column; shorter lists are filled up in front.
    table = np.stack([
        np.concatenate([np.full(width - len(own), own[order[0]]), own[order]])
        for own, order in zip(owns, orders, strict=True)
    ])  # fmt: skip
    columns = chunks_by_length(lengths[table].max(axis=0) * len(owns), np.arange(width))

    def run(part: np.ndarray) -> list[list[np.ndarray]]:
        worker = stack.borrow()
        try:
            with torch.no_grad():
                found = _logits(loop, table[:, part], worker)
        finally:
            stack.give_back(worker)
        return [
            np.split(
                own.cpu().numpy(), np.cumsum(material.words.counts[rows[part]]).astype(int)[:-1]
            )
            for own, rows in zip(found, table, strict=True)
        ]

    scores: list[list[np.ndarray]] = [[np.zeros(0)] * width for _ in owns]
    for part, found in zip(columns, threads.map(run, columns), strict=True):
        for own, rows in zip(scores, found, strict=True):
            for place, row in zip(part, rows, strict=True):
                own[place] = row
    results = []
    for own, order in zip(scores, orders, strict=True):
        back = np.argsort(order, kind="stable") + width - len(order)
        results.append([own[place] for place in back])
    return results


def _judge(loop: Loop, threads: Executor, untrained: bool) -> list[HeldOut]:
    """Loss and strict F1 of each active member on its held-out rows.

    An untrained stack is judged like any other: its adapters are the identity.
    """
    del untrained
    material, found = _material(loop), []
    for member, logits in zip(loop.active, _held_out_logits(loop, threads), strict=True):
        rows = material.folds[member.index].held_out
        tags = np.concatenate([material.tags[row] for row in rows])
        scores = torch.from_numpy(np.concatenate(logits))
        losses = material.losses[member.index](scores, torch.from_numpy(tags))
        odds = torch.softmax(scores.double(), dim=-1).numpy()
        ends = np.cumsum([len(row) for row in logits])[:-1]
        bounds = [material.words.bounds[row] for row in rows]
        answers, _ = marks(np.split(odds, ends), bounds, material.types)
        counts = count_spans(answers, [material.spans[row] for row in rows])
        strict = {name: value_of(ratio) for name, ratio in span_marks(counts).items()}
        right = float((odds.argmax(axis=1) == tags).mean()) if len(tags) else 0.0
        found.append(
            HeldOut(
                loss=float(losses.mean()) if len(tags) else 0.0,
                score=strict["f1"],
                scores={"f1": strict["f1"], "tag_accuracy": right},
                answers=odds.astype(np.float32),
            )
        )
    return found


SPANS = Kind(gradients=_step, judge=_judge)
