"""Attention in float32 for networks in bfloat16 on the processor.

PyTorch's backward pass of attention in bfloat16 measured six times as long as in float32 on a
processor that multiplies bfloat16 matrices four times as fast (docs/log.md), and took 29 % of a
training step. Only attention is computed wider; everything around it stays.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

__all__ = ["widen"]

NAME = "sdpa_float32"


def widen(network: PreTrainedModel) -> None:
    """Let a network that uses PyTorch's attention compute it in float32."""
    if network.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    network.set_attn_implementation(NAME)


# transformers hands an attention function whatever its models pass; all of it goes through.
def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    position_bias: Tensor | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.float()
    bias = None if position_bias is None else position_bias.float()  # T5: how far tokens are apart
    wide, _ = sdpa_attention_forward(
        module, query.float(), key.float(), value.float(), mask, position_bias=bias, **rest
    )
    return wide.to(query.dtype), None
