"""Matrix products on the processor, by whichever of PyTorch's libraries is quick there.

PyTorch gives float32 products to MKL, which on processors not made by Intel keeps to 256-bit
instructions: on an AMD EPYC 117 GFLOP/s a core, where oneDNN, also inside PyTorch, reaches 270,
and on the skinny products of low-rank adapters 22 against 80 (docs/log.md). The numbers are the
same up to the order of sums. bfloat16 and GPUs are left alone: they have quick products already.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fucina.models.packed import Matrix, Packed, whole

__all__ = ["PackedLinear", "QuickLinear", "each", "frozen", "linear", "quicken"]


@cache
def onednn_wins() -> bool:
    """Whether float32 products belong to oneDNN here.

    Decided by the maker of the processor, not by a stopwatch: two runs must not differ.
    """
    information = Path("/proc/cpuinfo")
    known = information.is_file() and "AuthenticAMD" in information.read_text(encoding="utf-8")
    # The operator is what torch.compile calls for frozen weights; it has no public name.
    return known and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Map ... x in to ... x out by an out x in weight, without a gradient.

    Example:
        >>> linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
        tensor([[11.]])
    """
    if x.dtype == torch.float32 and x.device.type == "cpu" and onednn_wins():
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return functional.linear(x, weight, bias)


def each(x: Tensor, weights: Tensor) -> Tensor:
    """Map each of k matrices by its own weight, k x n x in and k x out x in to k x n x out.

    Example:
        >>> each(torch.ones(2, 5, 3), torch.ones(2, 4, 3)).shape
        torch.Size([2, 5, 4])
    """
    if x.dtype == torch.float32 and x.device.type == "cpu" and onednn_wins():
        if len(x) == 1:
            return linear(x[0], weights[0])[None]
        return torch.stack([linear(own, weight) for own, weight in zip(x, weights, strict=True)])
    return torch.bmm(x, weights.transpose(1, 2))


class _Frozen(torch.autograd.Function):
    """y = x Wᵀ + bias with W frozen: nothing but W is needed for the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Matrix, bias: Tensor | None) -> Tensor:
        ctx.weight = weight
        return linear(x, whole(weight, x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        grad = grads[0].contiguous()
        return linear(grad, whole(ctx.weight, grad.dtype).t()), None, None


def frozen(x: Tensor, weight: Matrix, bias: Tensor | None = None) -> Tensor:
    """Map ... x in to ... x out by a frozen matrix, which may be packed.

    Example:
        >>> x = torch.tensor([[1.0, 2.0]], requires_grad=True)
        >>> frozen(x, torch.tensor([[3.0, 4.0]])).sum().backward()
        >>> x.grad
        tensor([[3., 4.]])
    """
    return _Frozen.apply(x, weight, bias)


class _Product(torch.autograd.Function):
    """y = x Wᵀ + bias, with gradients for whichever of the three wants one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        grad = grads[0].contiguous()
        flat, inputs = grad.view(-1, grad.shape[-1]), x.reshape(-1, x.shape[-1])
        return (
            linear(grad, weight.t()) if wanted[0] else None,
            linear(flat.t(), inputs.t()) if wanted[1] else None,
            flat.sum(dim=0) if wanted[2] else None,
        )


class QuickLinear(nn.Module):
    """A linear layer that takes the quick product; it shares its parameters with the original."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map ... x in to ... x out."""
        if not torch.is_grad_enabled():
            return linear(x, self.weight, self.bias)
        return _Product.apply(x, self.weight, self.bias)


class PackedLinear(nn.Module):
    """A frozen linear layer with its weight in 4 bits.

    Args:
        weight: out x in.
        bias: Of size out, or None.
        transposed: Whether the layer it stands for keeps its weight as in x out.
    """

    def __init__(self, weight: Tensor, bias: nn.Parameter | None, *, transposed: bool) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weight, self.bias, self.transposed = Packed(weight), bias, transposed

    def forward(self, x: Tensor) -> Tensor:
        """Map ... x in to ... x out."""
        return frozen(x, self.weight, self.bias)


def quicken(network: nn.Module) -> None:
    """Let all linear layers of a network take the quick product, where there is one."""
    if not onednn_wins():
        return
    for name, module in list(network.named_modules()):
        if type(module) is nn.Linear:
            network.set_submodule(name, QuickLinear(module))
