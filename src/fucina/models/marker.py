"""Trained members that mark together: the best tags under the mean of their probabilities."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fucina.models.lexical import Lexicon, Table, each_table
from fucina.models.stack import Stack, run_wide
from fucina.models.tags import cooled, marks, tag_names
from fucina.models.threads import across
from fucina.models.trunk import assemble, chunks_by_length
from fucina.models.word_forms import form_rows
from fucina.models.words import Words, read_words, token_numbers
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
        lexicon: The forms of words; None without a lexical part.
        lexical: What the forms say, for each member; None without.
        temperature: Divides the log odds of how sure a span is; 1 changes nothing.
    """

    base: "Base"
    stacks: tuple[Stack, ...]
    types: tuple[str, ...]
    lexicon: Lexicon | None = None
    lexical: tuple[Table | None, ...] = ()
    temperature: float = 1.0

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
        words, odds = self.tag_odds(prompts, threads=threads, progress=progress)
        answers, sure = marks(odds, words.bounds, self.types)
        sure = [cooled(own, self.temperature) for own in sure]
        targets: tuple[tuple[Span, ...], ...] = tuple(example.spans for example in examples)
        read = tuple(words.read.tolist())
        return Spans(tuple(prompts), targets, tuple(answers), tuple(sure), read, self.types)

    def tag_odds(
        self, prompts: Sequence[str], *, threads: ThreadPoolExecutor, progress: Progress = silent
    ) -> tuple[Words, list[np.ndarray]]:
        """The words of n texts, and how likely each tag of each word is, n arrays w x c."""
        words = read_words(
            prompts, self.base.tokenizer, max_length_tokens=self.base.max_length_tokens,
            last=self.base.causal,
        )  # fmt: skip
        rows = chunks_by_length(words.encoded.lengths, np.arange(len(prompts))) if prompts else []

        def run(part: np.ndarray) -> Tensor:
            batch = assemble(words.encoded, part[None], self.base.tokenizer.pad_token_id)
            numbers = token_numbers(words, part, batch.ids.shape[1])
            scores = run_wide(self.stacks, batch, Stack.token_logits)[
                :, torch.from_numpy(numbers)
            ].double()
            scores += self._of_forms(
                [prompts[row] for row in part], [words.bounds[r] for r in part]
            )
            return torch.softmax(scores, dim=-1).mean(dim=0)

        odds: list[np.ndarray] = [np.zeros(0)] * len(prompts)
        for done, (part, found) in enumerate(
            zip(rows, across(threads, run, rows), strict=True), start=1
        ):
            ends = np.cumsum(words.counts[part]).astype(int)[:-1]
            for row, own in zip(part, np.split(found.numpy(), ends), strict=True):
                odds[row] = own
            progress("marking texts", done, len(rows))
        return words, odds

    def _of_forms(self, prompts: Sequence[str], bounds: Sequence[np.ndarray]) -> Tensor | float:
        """What the forms of words add to the scores of each member, k x w x c."""
        if self.lexicon is None:
            return 0.0
        forms = form_rows(prompts, bounds, self.lexicon)
        return torch.from_numpy(each_table(self.lexical, forms, len(tag_names(self.types))))
