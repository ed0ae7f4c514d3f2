"""k low-rank adapters on one frozen linear layer, computed together.

Source: Hu et al., 2021, https://arxiv.org/abs/2106.09685. Parameters carry the member as their
first axis; the rows of all members go through the frozen weight in one product.
"""

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["AdapterSlot", "Noise", "StackedLinear", "initial_a"]


@dataclass
class AdapterSlot:
    """Where replicas of a layer find its parameters; rebound when members leave the stack.

    Attributes:
        a: k x in x r.
        b: k x r x out.
    """

    a: Tensor
    b: Tensor


@dataclass
class Noise:
    """The random numbers of dropout: seeded by step and chunk, so that threads cannot mix them."""

    generator: torch.Generator
    active: bool = False


class _Adapted(torch.autograd.Function):
    """y = x Wᵀ + bias + s (x A) B, with W frozen: no gradient for W, few tensors kept."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        members, rows, width = x.shape
        y = functional.linear(x.reshape(members * rows, width), weight, bias)
        y = y.view(members, rows, -1)
        inner = torch.bmm(x, a)
        y.baddbmm_(inner, b, alpha=scale)
        ctx.save_for_backward(x, weight, a, b, inner)
        ctx.scale = scale
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        x, weight, a, b, inner = ctx.saved_tensors
        members, rows, width = x.shape
        grad = grads[0].contiguous()
        through_b = torch.bmm(grad, b.transpose(1, 2))
        grad_b = torch.bmm(inner.transpose(1, 2), grad).mul_(ctx.scale)
        grad_a = torch.bmm(x.transpose(1, 2), through_b).mul_(ctx.scale)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.mm(grad.view(members * rows, -1), weight).view(members, rows, width)
            grad_x.baddbmm_(through_b, a.transpose(1, 2), alpha=ctx.scale)
        return grad_x, None, None, grad_a, grad_b, None


class StackedLinear(nn.Module):
    """A frozen linear layer with k adapters.

    Args:
        linear: The layer to adapt: `nn.Linear`, or a `Conv1D` (weight transposed).
        slot: The parameters of the k adapters.
        scale: alpha / rank.
        dropout: Share of the adapter's inputs dropped while training.
        noise: Random numbers for dropout.

    Example:
        >>> slot = AdapterSlot(torch.ones(2, 3, 1), torch.zeros(2, 1, 4))
        >>> noise = Noise(torch.Generator())
        >>> layer = StackedLinear(nn.Linear(3, 4), slot, scale=1.0, dropout=0.0, noise=noise)
        >>> layer(torch.ones(2 * 5, 7, 3)).shape  # 2 members x 5 rows, 7 tokens
        torch.Size([10, 7, 4])
    """

    def __init__(
        self, linear: nn.Module, slot: AdapterSlot, *, scale: float, dropout: float, noise: Noise
    ) -> None:
        super().__init__()
        weight, bias = cast("Tensor", linear.weight), cast("Tensor | None", linear.bias)
        transposed = not isinstance(linear, nn.Linear)
        self.weight = weight.detach().t() if transposed else weight.detach()
        self.bias = None if bias is None else bias.detach()
        self.slot = slot
        self.scale = scale
        self.dropout = dropout
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        """Map rows of k members, k*b x ... x in, to k*b x ... x out."""
        a, b = self.slot.a.to(x.dtype), self.slot.b.to(x.dtype)
        stacked = x.reshape(a.shape[0], -1, x.shape[-1])
        if self.dropout and self.noise.active:
            keep = 1.0 - self.dropout
            mask = torch.empty_like(stacked).bernoulli_(keep, generator=self.noise.generator)
            y = functional.linear(stacked, self.weight, self.bias)
            y = y + self.scale * torch.bmm(torch.bmm(stacked * mask / keep, a), b)
        else:
            y = _Adapted.apply(stacked, self.weight, self.bias, a, b, self.scale)
        return y.reshape(*x.shape[:-1], y.shape[-1])


def initial_a(width: int, rank: int, generator: torch.Generator) -> Tensor:
    """Draw A as PEFT does (Kaiming uniform with a = √5), in x r; B starts at zero."""
    bound = 1.0 / math.sqrt(width)
    return torch.empty(width, rank).uniform_(-bound, bound, generator=generator)
