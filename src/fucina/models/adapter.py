"""k low-rank adapters on one frozen linear layer, computed together.

Source: Hu et al., 2021, https://arxiv.org/abs/2106.09685. Parameters carry the member as their
first axis; the rows of all members go through the frozen weight in one product.
"""

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from fucina.models.product import each, linear
from fucina.models.targets import is_transposed

__all__ = ["AdapterSlot", "Noise", "StackedLinear", "initial_a"]


@dataclass
class AdapterSlot:
    """Where replicas of a layer find its parameters; rebound when members leave the stack.

    Attributes:
        a: k x r x in, as PEFT stores it.
        b: k x out x r.
    """

    a: Tensor
    b: Tensor


@dataclass
class Noise:
    """The random numbers of dropout: seeded by step and chunk, so that threads cannot mix them."""

    generator: torch.Generator
    active: bool = False


class _Adapted(torch.autograd.Function):
    """y = x Wᵀ + bias + s (dropped Aᵀ) Bᵀ, with W frozen: no gradient for W, few tensors kept."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dropped: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scale: float,
    ) -> Tensor:
        y = linear(x, weight, bias)
        inner = each(x if dropped is None else dropped, a).mul_(scale)
        y += each(inner, b)
        ctx.save_for_backward(x, dropped, weight, a, b, inner)
        ctx.scale = scale
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        x, dropped, weight, a, b, inner = ctx.saved_tensors
        grad = grads[0].contiguous()
        through_b = each(grad, b.transpose(1, 2)).mul_(ctx.scale)
        # The thin factor comes first: transposed the other way round, the product is slower.
        grad_b = each(inner.transpose(1, 2), grad.transpose(1, 2)).transpose(1, 2)
        inputs = x if dropped is None else dropped
        grad_a = each(through_b.transpose(1, 2), inputs.transpose(1, 2))
        grad_x, grad_dropped = None, None
        if ctx.needs_input_grad[0]:
            grad_x = linear(grad, weight.t())
            through_a = each(through_b, a.transpose(1, 2))
            if dropped is None:
                grad_x += through_a
            else:
                grad_dropped = through_a
        return grad_x, grad_dropped, None, None, grad_a, grad_b, None


class StackedLinear(nn.Module):
    """A frozen linear layer with k adapters.

    Args:
        layer: The layer to adapt: `nn.Linear`, or a `Conv1D` (weight transposed).
        slot: The parameters of the k adapters.
        scale: alpha / rank.
        dropout: Share of the adapter's inputs dropped while training.
        noise: Random numbers for dropout.

    Example:
        >>> slot = AdapterSlot(torch.ones(2, 1, 3), torch.zeros(2, 4, 1))
        >>> noise = Noise(torch.Generator())
        >>> layer = StackedLinear(nn.Linear(3, 4), slot, scale=1.0, dropout=0.0, noise=noise)
        >>> layer(torch.ones(2 * 5, 7, 3)).shape  # 2 members x 5 rows, 7 tokens
        torch.Size([10, 7, 4])
    """

    def __init__(
        self, layer: nn.Module, slot: AdapterSlot, *, scale: float, dropout: float, noise: Noise
    ) -> None:
        super().__init__()
        weight, bias = cast("Tensor", layer.weight), cast("Tensor | None", layer.bias)
        self.weight = weight.detach().t() if is_transposed(layer) else weight.detach()
        self.bias = None if bias is None else bias.detach()
        self.slot = slot
        self.scale = scale
        self.dropout = dropout
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        """Map rows of k members, k*b x ... x in, to k*b x ... x out."""
        a, b = self.slot.a.to(x.dtype), self.slot.b.to(x.dtype)
        stacked = x.reshape(a.shape[0], -1, x.shape[-1])
        dropped = None
        if self.dropout and self.noise.active:
            keep = 1.0 - self.dropout
            mask = torch.empty_like(stacked).bernoulli_(keep, generator=self.noise.generator)
            dropped = stacked * mask / keep
        y = _Adapted.apply(stacked, dropped, self.weight, self.bias, a, b, self.scale)
        return y.reshape(*x.shape[:-1], y.shape[-1])


def initial_a(width: int, rank: int, generator: torch.Generator) -> Tensor:
    """Draw A as PEFT does (Kaiming uniform with a = √5), r x in; B starts at zero."""
    bound = 1.0 / math.sqrt(width)
    return torch.empty(rank, width).uniform_(-bound, bound, generator=generator)
