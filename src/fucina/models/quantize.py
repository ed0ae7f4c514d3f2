"""Put the frozen linear layers of a base into 4 bits."""

from typing import cast

import torch
from torch import Tensor, nn

from fucina.errors import ModelError
from fucina.models.packed import Packed
from fucina.models.product import PackedLinear
from fucina.models.targets import is_linear, is_transposed

__all__ = ["pack"]


def pack(layers: nn.ModuleList, device: torch.device) -> None:
    """Replace the linear layers of all transformer layers by packed ones, one after the other.

    Embeddings, norms and the head that writes tokens stay as they are, as in QLoRA.

    Args:
        layers: Of a network that may lie elsewhere; each matrix is given up when it is packed.
        device: Where the packed ones go.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
        ModelError: It cannot be used on this machine.
    """
    _try(device)
    for layer in layers:
        for name, module in list(layer.named_modules()):
            if is_linear(module):
                transposed = is_transposed(module)
                weight = cast("Tensor", module.weight).detach().to(device)
                bias = cast("nn.Parameter | None", module.bias)
                packed = PackedLinear(
                    weight.t() if transposed else weight, bias, transposed=transposed
                )
                layer.set_submodule(name, packed)


def _try(device: torch.device) -> None:
    """Pack a small matrix, so that a machine that cannot is known before anything is changed."""
    try:
        Packed(torch.ones(64, 64, device=device)).unpacked(torch.float32)
    # A library without a build for this system or driver says so in many ways.
    except (RuntimeError, NotImplementedError, AttributeError, OSError) as error:
        raise ModelError(
            f"model.quantize: nf4 does not work on this machine "
            f"({(str(error).splitlines() or [type(error).__name__])[0][:120]}).",
            fix="Set model.quantize=none, or install a bitsandbytes that has a build for this "
            "system and GPU driver.",
        ) from error
