"""Trained members that mark together: the best tags under the mean of their probabilities."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fucina.models.stack import Stack
from fucina.models.tags import marks
from fucina.models.threads import across
from fucina.models.trunk import Batch, assemble, chunks_by_length
from fucina.models.words import read_words, token_numbers
from fucina.records import Example, Progress, Span, Spans, silent

if TYPE_CHECKING:
    from fucina.models.base import Base

__all__ = ["Marker"]


@dataclass(frozen=True)
class Marker:
    """k members over one base, ready to mark spans.

    Attributes:
        base: The frozen model.
        stacks: One stack of k members, or k stacks of one when all weights were trained.
        types: What a span can be.
    """

    base: "Base"
    stacks: tuple[Stack, ...]
    types: tuple[str, ...]

    def predict(
        self,
        examples: Sequence[Example],
        *,
        threads: ThreadPoolExecutor,
        progress: Progress = silent,
    ) -> Spans:
        """Mark n texts; what is truly marked in them is carried along, not looked at.

        Args:
            examples: The texts.
            threads: Where chunks run.
            progress: Told after each chunk.
        """
        prompts = [example.prompt for example in examples]
        words = read_words(
            prompts, self.base.tokenizer, max_length_tokens=self.base.max_length_tokens,
            last=self.base.causal,
        )  # fmt: skip
        rows = chunks_by_length(words.encoded.lengths, np.arange(len(prompts))) if prompts else []

        def run(part: np.ndarray) -> Tensor:
            batch = assemble(words.encoded, part[None], self.base.tokenizer.pad_token_id)
            numbers = token_numbers(words, part, batch.ids.shape[1])
            return self._odds(batch)[torch.from_numpy(numbers)]

        odds: list[np.ndarray] = [np.zeros(0)] * len(prompts)
        for done, (part, found) in enumerate(
            zip(rows, across(threads, run, rows), strict=True), start=1
        ):
            ends = np.cumsum(words.counts[part]).astype(int)[:-1]
            for row, own in zip(part, np.split(found.numpy(), ends), strict=True):
                odds[row] = own
            progress("marking texts", done, len(rows))
        answers, sure = marks(odds, words.bounds, self.types)
        targets: tuple[tuple[Span, ...], ...] = tuple(example.spans for example in examples)
        read = tuple(words.read.tolist())
        return Spans(tuple(prompts), targets, tuple(answers), tuple(sure), read, self.types)

    def _odds(self, batch: Batch) -> Tensor:
        """The mean probabilities of the tags of all tokens of a batch, b*L x c."""
        parts = []
        first = self.stacks[0]
        batch = batch.to(first.device)
        hidden = first.trunk.run(batch) if first.trunk is not None else None
        for stack in self.stacks:
            k = stack.members
            # Rows are copied k times only above the trunk, where the members differ.
            wide = Batch(
                batch.ids.repeat(k, 1),
                batch.mask.repeat(k, 1),
                None if hidden is None else hidden.repeat(k, 1, 1),
                k,
            )
            worker = stack.borrow()
            try:
                with torch.no_grad():
                    parts.append(torch.softmax(stack.token_logits(wide, worker).double(), -1))
            finally:
                stack.give_back(worker)
        return torch.cat(parts).mean(dim=0).cpu()
