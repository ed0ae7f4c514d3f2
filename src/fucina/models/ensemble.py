"""Trained members that answer together: one pass of the trunk, one of the stacked adapters."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from fucina.metrics import apply_temperature
from fucina.models.lexical import Lexicon, Table, counts
from fucina.models.stack import Stack
from fucina.models.threads import across
from fucina.models.tokenize import encode
from fucina.models.trunk import Batch, assemble, chunks_by_length
from fucina.records import Predictions, Progress, silent

if TYPE_CHECKING:
    from fucina.models.base import Base

__all__ = ["Ensemble", "combine"]


@dataclass(frozen=True)
class Ensemble:
    """k members over one base, ready to answer.

    Attributes:
        base: The frozen model.
        stacks: One stack of k members, or k stacks of one when all weights were trained.
        labels: The c label names.
        lexicon: The n-grams; None without a lexical part.
        lexical: What the n-grams say, for each member; None without.
        how: `average` of probabilities, or `vote`.
        temperature: Divides the log of the probabilities; 1 changes nothing.
        threshold: The confidence below which no answer is given; 0 to answer all.
    """

    base: "Base"
    stacks: tuple[Stack, ...]
    labels: tuple[str, ...]
    lexicon: Lexicon | None
    lexical: tuple[Table | None, ...]
    how: Literal["average", "vote"]
    temperature: float = 1.0
    threshold: float = 0.0

    @property
    def members(self) -> int:
        """K."""
        return sum(stack.members for stack in self.stacks)

    def predict(
        self,
        prompts: Sequence[str],
        *,
        threads: ThreadPoolExecutor,
        targets: Sequence[str] = (),
        progress: Progress = silent,
    ) -> Predictions:
        """Answer n prompts.

        Args:
            prompts: The texts.
            threads: Where chunks run.
            targets: True labels to carry along.
            progress: Told after each chunk.
        """
        each = self.member_probabilities(prompts, threads=threads, progress=progress)
        probabilities = combine(each, self.how)
        if self.temperature != 1.0:
            probabilities = apply_temperature(probabilities, self.temperature)
        return Predictions(
            self.labels, probabilities, tuple(targets), tuple(prompts), self.threshold
        )

    def member_probabilities(
        self, prompts: Sequence[str], *, threads: ThreadPoolExecutor, progress: Progress = silent
    ) -> np.ndarray:
        """The answer of every member apart, k x n x c."""
        encoded = encode(
            prompts, self.base.tokenizer, max_length_tokens=self.base.max_length_tokens
        )
        scores = np.zeros((self.members, len(prompts), len(self.labels)))
        rows = chunks_by_length(encoded.lengths, np.arange(len(prompts))) if prompts else []

        def run(part: np.ndarray) -> Tensor:
            batch = assemble(encoded, part[None], self.base.tokenizer.pad_token_id)
            return self._logits(batch)

        for done, (part, logits) in enumerate(
            zip(rows, across(threads, run, rows), strict=True), start=1
        ):
            scores[:, part] = logits.double().numpy()
            progress("answering", done, len(rows))
        if self.lexicon is not None and prompts:
            ngrams = counts(prompts, self.lexicon)
            for member, table in enumerate(self.lexical):
                if table is not None:
                    scores[member] += table.scores(ngrams)
        scores -= scores.max(axis=2, keepdims=True)
        powers = np.exp(scores)
        return powers / powers.sum(axis=2, keepdims=True)

    def _logits(self, batch: Batch) -> Tensor:
        """Scores of all members for one batch of rows, k x b x c."""
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
                    parts.append(stack.logits(wide, worker).cpu())
            finally:
                stack.give_back(worker)
        return torch.cat(parts)


def combine(each: np.ndarray, how: Literal["average", "vote"]) -> np.ndarray:
    """Make one answer of k.

    Args:
        each: k x n x c probabilities.
        how: `average` the probabilities; or `vote`: the share of members for each label, where
            equal shares are decided by the average.

    Returns:
        n x c, rows sum to 1.

    Example:
        >>> each = np.array([[[0.9, 0.1]], [[0.4, 0.6]], [[0.45, 0.55]]])
        >>> combine(each, "average").round(2).tolist(), combine(each, "vote").round(2).tolist()
        ([[0.58, 0.42]], [[0.33, 0.67]])
    """
    average = each.mean(axis=0)
    if how == "average":
        return average
    votes = np.zeros_like(average)
    for member in each:
        votes[np.arange(len(votes)), member.argmax(axis=1)] += 1.0
    votes = votes + 1e-6 * average  # decides ties, too small to overrule a vote
    return votes / votes.sum(axis=1, keepdims=True)
