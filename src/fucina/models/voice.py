"""How a decoder writes: it goes on where the prompt ends."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from fucina.models.conversations import assemble_texts, write
from fucina.models.prefix import Prefix, run_after, window_of
from fucina.models.shorter import asked
from fucina.models.stack import Stack
from fucina.models.template import Template
from fucina.records import Example

if TYPE_CHECKING:
    from fucina.models.base import Base
    from fucina.models.conversations import TextBatch, Written

__all__ = ["Voice", "asked_of_text", "foretold_texts", "rows_of_texts"]


def rows_of_texts(examples: Sequence[Example], base: "Base") -> "Written":
    """Conversations as tokens, none of them shared."""
    template = cast("Template", base.template)
    return write(examples, template, max_length_tokens=base.max_length_tokens).without_prefix()


def asked_of_text(example: Example, base: "Base") -> np.ndarray:
    """What is read to answer a row, cut as in training."""
    return asked(example, cast("Template", base.template), most=base.max_length_tokens)


def foretold_texts(
    stack: Stack, written: "Written", rows: np.ndarray, worker: int
) -> "tuple[TextBatch, Tensor, nn.Module]":
    """What all k members of a stack make of the same b rows."""
    pad = stack.base.tokenizer.pad_token_id
    batch = assemble_texts(written, np.tile(rows, (stack.members, 1)), pad).to(stack.device)
    return batch, *stack.foretelling(batch, worker)


class Voice:
    """One stack that writes answers to b prompts token by token.

    Remembers keys and values, and the position of each column of them.
    """

    def __init__(
        self, stack: Stack, prompts: list[np.ndarray], prefix: Prefix | None, base: "Base"
    ) -> None:
        self.stack, self.base, self.prefix = stack, base, prefix
        self.past = prefix.length if prefix else 0
        # The last token that is written needs no position: nothing is read after it.
        self.room = [base.positions + 1 - self.past - len(prompt) for prompt in prompts]
        self.rows, self.k, longest = len(prompts), stack.members, max(map(len, prompts))
        ids = np.full((self.rows, longest), base.tokenizer.pad_token_id, dtype=np.int64)
        mask = np.zeros((self.rows, longest), dtype=np.int64)
        for i, tokens in enumerate(prompts):
            ids[i, : len(tokens)], mask[i, : len(tokens)] = tokens, 1
        self.ids = torch.from_numpy(ids).repeat(self.k, 1).to(stack.device)
        self.mask = torch.from_numpy(mask).repeat(self.k, 1).to(stack.device)
        self.cache: Any = prefix.cache(self.rows) if prefix else DynamicCache()
        self.lengths = self.mask.sum(dim=1)
        columns = torch.arange(self.past + longest, device=stack.device)
        self.columns = columns.expand(len(self.ids), -1)
        before = self.mask.new_ones(len(self.ids), self.past)
        self.real = torch.cat([before, self.mask], dim=1).bool()

    def first(self) -> Tensor:
        """Odds of the first token, k x b x vocabulary."""
        worker = self.stack.borrow()
        try:
            with torch.no_grad():
                body, head = self._parts(worker)
                states = run_after(body, self.ids, self.mask, self.prefix, self.cache)
                last = states[torch.arange(len(states), device=states.device), self.lengths - 1]
                return self._odds(head, last)
        finally:
            self.stack.give_back(worker)

    def next(self, tokens: Tensor) -> Tensor:
        """Odds of the token after b tokens that were written just now, k x b x vocabulary."""
        given = tokens.repeat(self.k)[:, None]
        # Rows that are full go along until the others end.
        here = (self.past + self.lengths).clamp(max=self.base.positions - 1)[:, None]
        self.lengths = self.lengths + 1
        self.columns = torch.cat([self.columns, here], dim=1)
        self.real = torch.cat([self.real, torch.ones_like(here, dtype=torch.bool)], dim=1)
        worker = self.stack.borrow()
        try:
            with torch.no_grad():
                body, head = self._parts(worker)
                states = body(
                    input_ids=given,
                    attention_mask=self._mask(body, here),
                    position_ids=here,
                    past_key_values=self.cache,
                    use_cache=True,
                ).last_hidden_state
                return self._odds(head, states[:, 0])
        finally:
            self.stack.give_back(worker)

    def _mask(self, body: nn.Module, here: Tensor) -> Tensor | dict[str, Tensor]:
        """Which columns one token sees, b x 1 x 1 x columns."""
        window, several = window_of(body)
        full = self.real[:, None, None, :]
        if window is None:
            return full
        near = full & (here - self.columns < window)[:, None, None, :]
        return {"full_attention": full, "sliding_attention": near} if several else near

    def _parts(self, worker: int) -> tuple[nn.Module, nn.Module]:
        own = self.stack.replicas[worker]
        own.noise.active = False
        network = own.network
        return network.get_submodule(self.base.body), network.get_submodule(self.base.head)

    def _odds(self, head: nn.Module, states: Tensor) -> Tensor:
        logits = head(states).double()
        cap = self.base.cap
        logits = cap * torch.tanh(logits / cap) if cap else logits
        return torch.softmax(logits, dim=-1).view(self.k, self.rows, -1)
