"""Causal attention over whole rows, a block of queries at a time: for bfloat16 on the processor.

PyTorch's own took half of a step: its backward pass in bfloat16 does not use the matrix unit, and
in float32 cannot. Plain products do, with each block only up to its last key; how much that gains
on a machine is printed by benchmarks/pretrain.py.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

__all__ = ["attend_in_blocks"]

NAME = "causal_blocks"
BLOCK = 128  # queries


def attend_in_blocks(network: PreTrainedModel) -> None:
    """Let a network that reads whole rows, none of them padded, attend block by block."""
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    network.set_attn_implementation(NAME)


# transformers hands an attention function whatever its models pass; only these matter here.
def _attend(
    _module: Any, query: Tensor, key: Tensor, value: Tensor, _mask: None, **_: Any
) -> tuple[Tensor, None]:
    """Rows of queries, keys and values, each rows x heads x tokens x width of a head."""
    heads, tokens, width = query.shape[1:]
    shared = heads // key.shape[1]
    key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    seen = torch.ones(tokens, tokens, dtype=torch.bool, device=query.device).tril()
    found = []
    for first in range(0, tokens, BLOCK):
        last = min(first + BLOCK, tokens)
        scores = query[:, :, first:last] @ key[:, :, :last].transpose(-1, -2)
        scores = scores.float() * width**-0.5
        scores = scores.masked_fill(~seen[first:last, :last], float("-inf"))
        found.append(scores.softmax(-1).to(value.dtype) @ value[:, :, :last])
    return torch.cat(found, 2).transpose(1, 2).contiguous(), None
