"""k low-rank adapters on one frozen linear layer, computed together.

Source: Hu et al., 2021, https://arxiv.org/abs/2106.09685. Parameters carry the member as their
first axis; the rows of all members go through the frozen weight in one product.

DoRA (Liu et al., 2024, https://arxiv.org/abs/2402.09353) also learns the length of each row of the
adapted weight: y = m / |W + s B A| (W + s B A) x. As in PEFT no gradient goes through the length.
"""

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from fucina.models.packed import Matrix, whole
from fucina.models.product import each, frozen, linear

__all__ = ["AdapterSlot", "Noise", "StackedLinear", "initial_a", "lengths"]


@dataclass
class AdapterSlot:
    """Where replicas of a layer find its parameters; rebound when members leave the stack.

    Attributes:
        a: k x r x in, as PEFT stores it.
        b: k x out x r.
        m: k x out, the lengths that DoRA learns; None without.
    """

    a: Tensor
    b: Tensor
    m: Tensor | None = None


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
        weight: Matrix,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scale: float,
    ) -> Tensor:
        y = linear(x, whole(weight, x.dtype), bias)
        inner = each(x if dropped is None else dropped, a).mul_(scale)
        y += each(inner, b)
        ctx.save_for_backward(x, dropped, a, b, inner)
        ctx.weight, ctx.scale = weight, scale
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        x, dropped, a, b, inner = ctx.saved_tensors
        grad = grads[0].contiguous()
        through_b = each(grad, b.transpose(1, 2)).mul_(ctx.scale)
        # The thin factor comes first: transposed the other way round, the product is slower.
        grad_b = each(inner.transpose(1, 2), grad.transpose(1, 2)).transpose(1, 2)
        inputs = x if dropped is None else dropped
        grad_a = each(through_b.transpose(1, 2), inputs.transpose(1, 2))
        grad_x, grad_dropped = None, None
        if ctx.needs_input_grad[0]:
            grad_x = linear(grad, whole(ctx.weight, grad.dtype).t())
            through_a = each(through_b, a.transpose(1, 2))
            if dropped is None:
                grad_x += through_a
            else:
                grad_dropped = through_a
        return grad_x, grad_dropped, None, None, grad_a, grad_b, None


class StackedLinear(nn.Module):
    """A frozen linear layer with k adapters.

    Args:
        weight: Of the layer to adapt, out x in.
        bias: Of the layer, or None.
        slot: The parameters of the k adapters.
        scale: alpha / rank, or with rsLoRA alpha / √rank.
        dropout: Share of the adapter's inputs dropped while training.
        noise: Random numbers for dropout.

    Example:
        >>> slot = AdapterSlot(torch.ones(2, 1, 3), torch.zeros(2, 4, 1))
        >>> noise = Noise(torch.Generator())
        >>> weight = torch.ones(4, 3)
        >>> layer = StackedLinear(weight, None, slot, scale=1.0, dropout=0.0, noise=noise)
        >>> layer(torch.ones(2 * 5, 7, 3)).shape  # 2 members x 5 rows, 7 tokens
        torch.Size([10, 7, 4])
    """

    def __init__(
        self,
        weight: Matrix,
        bias: Tensor | None,
        slot: AdapterSlot,
        *,
        scale: float,
        dropout: float,
        noise: Noise,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias
        self.slot = slot
        self.scale = scale
        self.dropout = dropout
        self.noise = noise
        self.squares = None if slot.m is None else lengths(weight).square()

    def forward(self, x: Tensor) -> Tensor:
        """Map rows of k members, k*b x ... x in, to k*b x ... x out."""
        a, b = self.slot.a.to(x.dtype), self.slot.b.to(x.dtype)
        stacked = x.reshape(a.shape[0], -1, x.shape[-1])
        dropped = None
        if self.dropout and self.noise.active:
            keep = 1.0 - self.dropout
            mask = torch.empty_like(stacked).bernoulli_(keep, generator=self.noise.generator)
            dropped = stacked * mask / keep
        if self.squares is None:
            y = _Adapted.apply(stacked, dropped, self.weight, self.bias, a, b, self.scale)
        else:
            y = self._at_length(stacked, dropped, a, b, self.squares)
        return y.reshape(*x.shape[:-1], y.shape[-1])

    def _at_length(
        self, x: Tensor, dropped: Tensor | None, a: Tensor, b: Tensor, squares: Tensor
    ) -> Tensor:
        """What DoRA makes of k x n x in; what dropout takes away passes the plain layer."""
        inputs = x if dropped is None else dropped
        y = _Adapted.apply(inputs, None, self.weight, None, a, b, self.scale)
        y = y * self._factors(squares, x.dtype)[:, None]
        if dropped is not None:
            y = y + frozen(x - dropped, self.weight)
        return y if self.bias is None else y + self.bias

    def _factors(self, squares: Tensor, dtype: torch.dtype) -> Tensor:
        """How much longer each row is to be, k x out.

        |W + s B A|² is summed from products with A, as thin as a few tokens; no matrix of the
        size of W is made for each member.
        """
        with torch.no_grad():
            a, b = self.slot.a.float(), self.slot.b.float() * self.scale
            weight = whole(self.weight, dtype)
            along = linear(a.flatten(0, 1).to(weight.dtype), weight).float()
            along = along.view(*a.shape[:2], -1).transpose(1, 2)  # A against W, k x out x r
            own = each(b, each(a, a))  # B against A Aᵀ
            found = squares + ((2 * along + own) * b).sum(dim=-1)
            length = found.clamp_min(torch.finfo(torch.float32).tiny).sqrt()
        return (cast("Tensor", self.slot.m) / length).to(dtype)


def lengths(weight: Matrix) -> Tensor:
    """The length of each row of an out x in matrix, in float32.

    Example:
        >>> lengths(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor([5., 1.])
    """
    return whole(weight, torch.float32).float().norm(dim=1)


def initial_a(width: int, rank: int, generator: torch.Generator) -> Tensor:
    """Draw A as PEFT does (Kaiming uniform with a = √5), r x in; B starts at zero."""
    bound = 1.0 / math.sqrt(width)
    return torch.empty(rank, width).uniform_(-bound, bound, generator=generator)
