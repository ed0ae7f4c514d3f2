"""One plain weight of a frozen one and an adapter: what other tools load without adapters."""

import torch
from torch import Tensor

from fucina.models.adapter import AdapterSlot, lengths
from fucina.models.packed import Matrix, whole

__all__ = ["merged"]


def merged(weight: Matrix, slot: AdapterSlot, scale: float) -> Tensor:
    """The weights that k members act as, k x out x in, in float32.

    Args:
        weight: Of the frozen layer, out x in; a packed one is unpacked first.
        slot: The parameters of the k adapters.
        scale: alpha / rank, or with rsLoRA alpha / √rank.

    Example:
        >>> slot = AdapterSlot(torch.ones(1, 1, 2), torch.ones(1, 2, 1))
        >>> merged(torch.eye(2), slot, 0.5)[0].tolist()
        [[1.5, 0.5], [0.5, 1.5]]
    """
    with torch.no_grad():
        found = whole(weight, torch.float32).float() + scale * slot.b.float() @ slot.a.float()
        if slot.m is None:
            return found
        own = torch.stack([lengths(member) for member in found])
        length = own.clamp_min(torch.finfo(torch.float32).tiny)
        return found * (slot.m.float() / length)[..., None]
