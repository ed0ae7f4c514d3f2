"""A trained network that gradients can pass through, down to what the words of a text become."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from fucina.models.base import layers_of

if TYPE_CHECKING:
    from fucina.models.stack import Stack

__all__ = ["embed", "opened", "reference", "states_of"]

LEAST_LENGTH = 0.1  # of that of other tokens


@contextmanager
def opened(stack: "Stack") -> Iterator[nn.Module]:
    """Borrow the network of a stack, with its frozen layers where others have stand-ins.

    What the trunk computes without gradients is computed here with them.

    Args:
        stack: K members.
    """
    worker = stack.borrow()
    try:
        network = stack.ready(worker, None).network
        layers, frozen = layers_of(network, stack.base.layers), stack.base.network
        apart = stack.depth if stack.trunk is not None else 0
        kept = [layers[index] for index in range(apart)]
        for index in range(apart):
            layers[index] = layers_of(frozen, stack.base.layers)[index]
        try:
            yield network
        finally:
            for index, layer in enumerate(kept):
                layers[index] = layer
    finally:
        stack.give_back(worker)


def embed(network: nn.Module, ids: Tensor) -> Tensor:
    """What L tokens become before the first layer, L x d."""
    table = cast("Any", network).get_input_embeddings()
    with torch.no_grad():
        return table(ids[None])[0].float()


def reference(network: nn.Module, tokenizer: Any) -> Tensor:
    """What a token becomes that says nothing, d: padding, or the mean of all tokens.

    A vector of zeros says nothing either, but norms are so steep there that a path from it
    measures them and not the text; so padding serves only where it has a row of its own that is
    not about zero. It measured better than the mean and than the mask (docs/log.md).

    Args:
        network: The transformer.
        tokenizer: Its tokenizer.
    """
    table = cast("Any", network).get_input_embeddings()
    rows, pad = torch.arange(len(table.weight), device=table.weight.device), tokenizer.pad_token_id
    with torch.no_grad():
        lengths = table.weight.float().norm(dim=1)
        if pad != tokenizer.eos_token_id and lengths[pad] > LEAST_LENGTH * lengths.median():
            return table(rows[pad]).float()
        sums = [table(part).double().sum(dim=0) for part in rows.split(4096)]
        return (torch.stack(sums).sum(dim=0) / len(rows)).float()


def states_of(stack: "Stack", network: nn.Module, embedded: Tensor) -> Tensor:
    """The last states that k members make of b rows of L embedded tokens, k*b x L x d."""
    base = stack.base
    body: Any = network.get_submodule(base.body)
    kind = next(base.network.parameters()).dtype
    wide = embedded.to(kind).repeat(stack.members, 1, 1)
    mask = torch.ones(wide.shape[:2], dtype=torch.long, device=wide.device)
    return body(inputs_embeds=wide, attention_mask=base.seen(mask)).last_hidden_state
