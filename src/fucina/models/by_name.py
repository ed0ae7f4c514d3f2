"""Members that weigh labels by their names: how likely each is as the words that follow."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from fucina.models.conversations import TextBatch, Written, assemble_texts
from fucina.models.label_words import Names, ask, row_scores, weighs_together
from fucina.models.prefix import Prefix
from fucina.models.stack import Stack
from fucina.models.template import Template
from fucina.models.threads import across
from fucina.models.trunk import chunks_by_length
from fucina.records import Progress

if TYPE_CHECKING:
    from fucina.models.base import Base

__all__ = ["ByName"]

# What the trunk remembers of the beginning that all rows share, and what each stack does.
Begun = tuple[Prefix | None, list[Prefix | None]]


@dataclass(frozen=True)
class ByName:
    """k members that would write one of c names.

    Attributes:
        base: The frozen model, with its template.
        stacks: One stack of k members, or k stacks of one when all weights were trained.
        names: Of the labels.
    """

    base: "Base"
    stacks: tuple[Stack, ...]
    names: Names

    @property
    def members(self) -> int:
        """K."""
        return sum(stack.members for stack in self.stacks)

    @property
    def template(self) -> Template:
        """How the base wants conversations."""
        return cast("Template", self.base.template)

    @cached_property
    def together(self) -> bool:
        """Whether all names are weighed in one pass over a prompt."""
        body = self.base.network.get_submodule(self.base.body)
        return weighs_together(body, self.names, self.template)

    def scores(
        self, prompts: Sequence[str], *, threads: ThreadPoolExecutor, progress: Progress
    ) -> np.ndarray:
        """Log-probability of every name behind n prompts, k x n x c."""
        most = self.base.max_length_tokens
        asked = ask(prompts, self.names, self.template, most=most)
        parts = [
            self._weigh(written, threads, progress)
            for written in asked.weighed(self.names, together=self.together)
        ]
        return np.concatenate(parts, axis=2)

    def _weigh(
        self, written: Written, threads: ThreadPoolExecutor, progress: Progress
    ) -> np.ndarray:
        """What members make of rows as they were written, k x n x c, or x 1."""
        begun = self._begin(written)
        chunks = chunks_by_length(written.lengths, np.arange(len(written)))

        def run(rows: np.ndarray) -> Tensor:
            return self._scores(written, rows, begun)

        found: list[np.ndarray] = [np.zeros(0)] * len(chunks)
        for done, scores in enumerate(across(threads, run, chunks)):
            found[done] = scores.double().numpy()
            progress("answering", done + 1, len(chunks))
        back = np.argsort(np.concatenate(chunks), kind="stable")
        return np.concatenate(found, axis=1)[:, back]

    def _begin(self, written: Written) -> Begun:
        """Run the beginning that all rows share."""
        first = self.stacks[0]
        if not written.prefix:
            return None, [None for _ in self.stacks]
        ids = torch.from_numpy(written.ids[0][: written.prefix]).to(first.device)
        below, hidden = None, None
        if first.trunk is not None:
            below, hidden = first.trunk.begin(ids)
        with torch.no_grad():
            return below, [
                stack.begin(ids, hidden=None if hidden is None else hidden[0])
                for stack in self.stacks
            ]

    def _scores(self, written: Written, rows: np.ndarray, begun: Begun) -> Tensor:
        """Scores of all members for one batch of rows, k x b x c."""
        below, prefixes = begun
        first, pad = self.stacks[0], self.base.tokenizer.pad_token_id
        hidden = None
        if first.trunk is not None:
            once = assemble_texts(written, rows[None], pad).to(first.device)
            hidden = first.trunk.run_after(once, below)
        parts = []
        for stack, prefix in zip(self.stacks, prefixes, strict=True):
            k = stack.members
            batch: TextBatch = assemble_texts(written, np.tile(rows, (k, 1)), pad).to(stack.device)
            if hidden is not None:
                # Rows are copied k times only above the trunk, where the members differ.
                batch = batch.with_hidden(hidden.repeat(k, 1, 1))
            worker = stack.borrow()
            try:
                with torch.no_grad():
                    states, head = stack.foretelling(batch, worker, prefix=prefix)
                    own = row_scores(batch, written, states, head, cap=self.base.cap)
            finally:
                stack.give_back(worker)
            parts.append(own.view(k, len(rows), -1).cpu())
        return torch.cat(parts)
