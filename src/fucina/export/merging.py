"""Trained adapters put into the weights of their base, so that any tool can load the whole."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fucina.models.packed import whole
from fucina.models.product import PackedLinear
from fucina.models.targets import was_transposed

if TYPE_CHECKING:
    from fucina.models.base import Base
    from fucina.models.stack import Stack

__all__ = ["merge", "merged_weight", "unpack"]


def merge(network: Any, members: "Sequence[tuple[Stack, int]]") -> None:
    """Put members into a network; of several the mean of what each would make of a weight.

    For one member this is exact. The mean of several is another model than the members together,
    whose probabilities are averaged instead: what it costs must be measured.

    Args:
        network: Of the base, in float32; it is changed.
        members: Stack, and place in it.
    """
    found: dict[str, list[Tensor]] = {}
    for stack, place in members:
        for name, weight in _weights(network, stack, place):
            found.setdefault(name, []).append(weight)
    with torch.no_grad():
        for name, weights in found.items():
            parameter = network.get_parameter(name)
            parameter.copy_(torch.stack(weights).mean(dim=0))


def unpack(network: Any, base: "Base") -> None:
    """Give a network the weights that a base keeps in four bits, as the adapters learnt on them.

    Args:
        network: The same network in float32; it is changed.
        base: Of the run.
    """
    with torch.no_grad():
        for path, module in base.network.named_modules():
            if isinstance(module, PackedLinear):
                weight = whole(module.weight, torch.float32).float().cpu()
                own = network.get_submodule(path).weight
                own.copy_(weight.t() if module.transposed else weight)


def _weights(network: Any, stack: "Stack", place: int) -> list[tuple[str, Tensor]]:
    """Name and merged value of each weight that a member changes, as the network keeps it."""
    row, begin, parts = stack.adapters[place], 0, {}
    for name, shape in stack.names:
        parts[name] = row[begin : begin + shape.numel()].view(shape).float().cpu()
        begin += shape.numel()
    kept = [(name, value) for name, value in parts.items() if name in stack.full]
    made = []
    for path in dict.fromkeys(name.rsplit(".", 1)[0] for name in parts if name not in stack.full):
        module = network.get_submodule(path)
        turned = was_transposed(module)
        weight = module.weight.detach()
        merged = merged_weight(
            weight.t() if turned else weight,
            parts[f"{path}.a"],
            parts[f"{path}.b"],
            parts.get(f"{path}.m"),
            scale=stack.rank_scale,
        )
        made.append((f"{path}.weight", merged.t() if turned else merged))
    return kept + made


def merged_weight(
    weight: Tensor, a: Tensor, b: Tensor, lengths: Tensor | None, *, scale: float
) -> Tensor:
    """W + s B A, its rows as long as DoRA learnt where it did (arXiv:2402.09353).

    Args:
        weight: W, out x in.
        a: r x in.
        b: out x r.
        lengths: Of each row; None without DoRA.
        scale: alpha / r, with rsLoRA alpha / √r.

    Example:
        >>> weight, a, b = torch.eye(2), torch.ones(1, 2), torch.tensor([[1.0], [0.0]])
        >>> merged_weight(weight, a, b, None, scale=2.0).tolist()
        [[3.0, 2.0], [0.0, 1.0]]
        >>> merged_weight(weight, a, b * 0, torch.tensor([3.0, 1.0]), scale=2.0).tolist()
        [[3.0, 0.0], [0.0, 1.0]]
    """
    merged = weight + scale * b @ a
    if lengths is None:
        return merged
    return merged * (lengths / merged.norm(dim=1).clamp_min(1e-30))[:, None]
