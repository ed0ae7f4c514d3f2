"""How an encoder-decoder writes: it reads each prompt once, then writes behind a start token."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache

from fucina.models.halves import Halves
from fucina.models.pairing import Pairing
from fucina.models.pairs import PairBatch, Pairs, assemble_pairs, padded, pair
from fucina.models.prefix import Prefix
from fucina.models.reader import foretell_pairs, read_sources
from fucina.models.stack import Stack
from fucina.records import Example

if TYPE_CHECKING:
    from fucina.models.base import Base

__all__ = ["PairVoice", "asked_of_pair", "foretold_pairs", "rows_of_pairs"]


def rows_of_pairs(examples: Sequence[Example], base: "Base") -> Pairs:
    """Rows as tokens to read and to write."""
    pairing = cast("Pairing", base.template)
    return pair(examples, pairing, max_length_tokens=base.max_length_tokens)


def asked_of_pair(example: Example, base: "Base") -> np.ndarray:
    """What is read to answer a row, cut as in training."""
    return cast("Pairing", base.template).asked_within(example, base.max_length_tokens)


def foretold_pairs(
    stack: Stack, pairs: Pairs, rows: np.ndarray, worker: int
) -> tuple[PairBatch, Tensor, nn.Module]:
    """What all k members of a stack make of the same b rows."""
    base, halves = stack.base, cast("Halves", stack.base.halves)
    table = np.tile(rows, (stack.members, 1))
    batch = assemble_pairs(pairs, table, base, halves.start).to(stack.device)
    once = slice(0, len(rows))
    read = _read(stack, stack.ready(worker, None).network, batch.sources[once], batch.mask[once])
    return batch, *foretell_pairs(stack, batch.with_read(read), worker)


def _read(stack: Stack, network: nn.Module, sources: Tensor, mask: Tensor) -> Tensor:
    """What the encoders of k members make of b sources, k*b x S x d; a frozen one reads once."""
    halves, k = cast("Halves", stack.base.halves), stack.members
    if any(name.startswith(f"{halves.encoder}.") for name, _ in stack.names):
        return read_sources(network, halves, sources.repeat(k, 1), mask.repeat(k, 1))
    return read_sources(network, halves, sources, mask).repeat(k, 1, 1)


class PairVoice:
    """One stack that writes answers to b prompts token by token.

    Remembers the keys and values of what was written, and those of what was read, which each
    layer of the decoder makes once.
    """

    def __init__(
        self, stack: Stack, prompts: list[np.ndarray], prefix: Prefix | None, base: "Base"
    ) -> None:
        del prefix  # an encoder reads every prompt whole
        self.stack, self.base, self.halves = stack, base, cast("Halves", base.halves)
        self.rows, self.k = len(prompts), stack.members
        sources, mask = padded(prompts, base.tokenizer.pad_token_id)
        self.sources, self.mask = sources.to(stack.device), mask.to(stack.device)
        self.cache: Any = EncoderDecoderCache(DynamicCache(), DynamicCache())
        self.read: Tensor | None = None
        # The last token that is written needs no position, but the start token has one.
        self.room = [base.positions] * len(prompts)

    def first(self) -> Tensor:
        """Odds of the first token, k x b x vocabulary."""
        return self.next(torch.full((self.rows,), self.halves.start, device=self.stack.device))

    def next(self, tokens: Tensor) -> Tensor:
        """Odds of the token after b tokens that were written just now, k x b x vocabulary."""
        worker = self.stack.borrow()
        try:
            with torch.no_grad():
                network = self.stack.ready(worker, None).network
                if self.read is None:
                    self.read = _read(self.stack, network, self.sources, self.mask)
                decoder: Any = network.get_submodule(self.base.body)
                states = decoder(
                    input_ids=tokens.repeat(self.k)[:, None],
                    encoder_hidden_states=self.read,
                    encoder_attention_mask=self.mask.repeat(self.k, 1),
                    past_key_values=self.cache,
                    use_cache=True,
                ).last_hidden_state
                head = network.get_submodule(self.base.head)
                logits = head(states[:, 0] * self.halves.scale).double()
                return torch.softmax(logits, dim=-1).view(self.k, self.rows, -1)
        finally:
            self.stack.give_back(worker)
