"""Answers that are texts: gradients of a step, and the loss of held-out rows.

Only positions that foretell a learnt token reach the head, and the beginning that all rows share
runs once a step: its gradients are gathered from the passes and sent back through it at the end.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor

from fucina.models.conversations import TextBatch, Written, assemble_texts
from fucina.models.prefix import Prefix
from fucina.models.stack import Stack
from fucina.models.threads import across_cores
from fucina.models.trunk import Activations
from fucina.records import Fold
from fucina.train.batches import Chunk
from fucina.train.members import Gradients, HeldOut, Kind, Loop
from fucina.train.step import summed
from fucina.train.words import Foretold, judge_words, word_gradients

__all__ = ["TEXTS", "TextMaterial", "foreteller"]


@dataclass(frozen=True)
class TextMaterial:
    """What a stack learns texts from.

    Attributes:
        written: n conversations as tokens.
        folds: Training and held-out rows of each of the k members.
        store: Trunk activations of the rows; None to run the trunk each time.
        first: P x d, trunk activations of the beginning they share; None without.
        weighed: Where the answers are names of labels, the held-out rows with all names behind
            them, once or once for each name; `folds` there count these rows.
        codes: Where the answers are names of labels, the n labels.
    """

    written: Written
    folds: tuple[Fold, ...]
    store: Activations | None = None
    first: Tensor | None = None
    weighed: "tuple[TextMaterial, ...]" = ()
    codes: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of the n rows behind their beginning."""
        return self.written.lengths

    @property
    def weights(self) -> np.ndarray:
        """Learnt tokens of the n rows."""
        return self.written.weights


def _material(loop: Loop) -> TextMaterial:
    return cast("TextMaterial", loop.material)


def _step(
    loop: Loop, parts: list[Chunk], weights: np.ndarray, threads: Executor, noise: int
) -> Gradients:
    """The gradients of one step."""
    stack = loop.stack
    whole = _begin(_material(loop), stack, threads, noise)
    # The passes see copies of the keys and values; what they want changed is summed behind them.
    seen = None if whole is None else whole.replaced([_leaf(tensor) for tensor in whole.tensors])
    wanted: dict[int, tuple[Tensor, ...]] = {}

    def gradients(part: Chunk, own_noise: int) -> Gradients:
        found, losses = _gradients(loop, part, weights, seen, own_noise)
        count = len(stack.leaves)
        wanted[own_noise] = found[count:]
        adapters, heads = stack.split_gradients(list(found[:count]))
        return adapters, heads, losses

    adapters, heads, losses = summed(gradients, parts, threads, noise)
    if whole is not None:
        order = sorted(wanted)  # always the same, so that sums are
        sums = [sum(found[1:], found[0]) for found in zip(*(wanted[n] for n in order), strict=True)]
        adapters = adapters + _through(loop, whole, sums, threads)
    return adapters, heads, losses


def _through(loop: Loop, whole: Prefix, sums: list[Tensor], threads: Executor) -> Tensor:
    """What the beginning adds to the gradients of the adapters, k x P."""
    live = [tensor for tensor in whole.tensors if tensor.requires_grad]
    leaves = loop.stack.leaves
    if not live:
        return torch.zeros_like(loop.stack.adapters)
    with across_cores(threads):
        found = torch.autograd.grad(live, leaves, sums, allow_unused=True)
    # The highest adapters have no part in what is remembered of the beginning.
    whole_row = [
        torch.zeros_like(leaf) if own is None else own
        for leaf, own in zip(leaves, found, strict=True)
    ]
    return loop.stack.split_gradients(whole_row)[0]


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.requires_grad)


def _begin(
    material: TextMaterial, stack: Stack, threads: Executor, noise: int | None
) -> Prefix | None:
    """Run the shared beginning, on all cores because nothing else runs meanwhile."""
    if not material.written.prefix:
        return None
    ids = torch.from_numpy(material.written.ids[0][: material.written.prefix]).to(stack.device)
    hidden = material.first
    if hidden is None and stack.trunk is not None:
        hidden = stack.trunk.begin(ids)[1][0]
    worker = stack.borrow()
    try:
        with across_cores(threads):
            seed = None if noise is None else noise * 4099 - 1
            return stack.begin(ids, worker, seed, hidden=hidden)
    finally:
        stack.give_back(worker)


def _gradients(
    loop: Loop, part: Chunk, weights: np.ndarray, prefix: Prefix | None, noise: int
) -> tuple[tuple[Tensor, ...], np.ndarray]:
    """Gradients of the leaves and of the beginning, and summed losses of the members."""
    stack, seen = loop.stack, prefix.tensors if prefix is not None else []
    worker = stack.borrow()
    try:
        batch = _assemble(_material(loop), stack, part.rows, prefix)
        foretold = batch, *stack.foretelling(batch, worker, noise, prefix=prefix)
        beside = [tensor for tensor in seen if tensor.requires_grad]
        return word_gradients(loop, part, weights, foretold, beside)
    finally:
        stack.give_back(worker)


def _assemble(
    material: TextMaterial, stack: Stack, rows: np.ndarray, prefix: Prefix | None
) -> TextBatch:
    pad = stack.base.tokenizer.pad_token_id
    batch = assemble_texts(material.written, rows, pad, store=material.store).to(stack.device)
    if batch.hidden is None and stack.trunk is not None:
        below = None
        if prefix is not None:
            ids = torch.from_numpy(material.written.ids[0][: material.written.prefix])
            below = stack.trunk.begin(ids.to(stack.device))[0]
        batch = batch.with_hidden(stack.trunk.run_after(batch, below))
    return batch


def foreteller(
    material: TextMaterial, stack: Stack, threads: Executor
) -> Callable[[np.ndarray, int], Foretold]:
    """What runs rows without gradients, behind their shared beginning, which is run here."""
    with torch.no_grad():
        prefix = _begin(material, stack, threads, None)

    def foretell(rows: np.ndarray, worker: int) -> Foretold:
        batch = _assemble(material, stack, rows, prefix)
        return batch, *stack.foretelling(batch, worker, prefix=prefix)

    return foretell


def _judge(loop: Loop, threads: Executor, untrained: bool) -> list[HeldOut]:
    """An untrained stack is judged like any other: its adapters are the identity."""
    del untrained
    return judge_words(loop, threads, foreteller(_material(loop), loop.stack, threads))


TEXTS = Kind(gradients=_step, judge=_judge)
