"""Frozen matrices in 4 bits: kept small, and unpacked for the moment in which they multiply.

NF4 with double quantization as in QLoRA: each block of 64 numbers has one scale, and blocks of
256 scales are kept in 8 bits. Source: Dettmers et al., 2023, https://arxiv.org/abs/2305.14314
"""

import logging
from typing import Any

import torch
from torch import Tensor, nn

from fucina.errors import MissingExtraError, ModelError

__all__ = ["BYTES", "Matrix", "Packed", "library", "whole"]

BLOCK = 64  # numbers that share a scale
BYTES = 0.5 + 1 / BLOCK + 4 / (BLOCK * 256)  # of a number: 4 bits, its share of two scales


def library() -> Any:
    """The module bitsandbytes, which packs and unpacks.

    Raises:
        MissingExtraError: It is not installed.
        ModelError: It cannot be used on this machine.
    """
    # It warns of a kernel for single tokens that nothing here calls.
    told = logging.getLogger("bitsandbytes")
    before = told.level
    told.setLevel(logging.ERROR)
    try:
        import bitsandbytes
    except ModuleNotFoundError as error:
        if error.name != "bitsandbytes":
            raise
        raise MissingExtraError("bitsandbytes", extra="quant") from error
    # On a system it has no build for it fails in ways of its own: missing symbols, drivers.
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise ModelError(
            f"bitsandbytes cannot be used here ({str(error).splitlines()[0][:120]}).",
            fix="Set model.quantize=none and training with engine.optimizer=adamw.",
        ) from error
    finally:
        told.setLevel(before)
    return bitsandbytes


class Packed(nn.Module):
    """A frozen out x in matrix in 4 bits.

    Args:
        weight: The matrix; it is not kept.

    Example:
        >>> packed = Packed(torch.eye(64))
        >>> packed.codes.numel(), packed.unpacked(torch.float32).diagonal().unique().tolist()
        (2048, [1.0])
    """

    codes: Tensor
    scales: Tensor
    offset: Tensor
    table: Tensor
    scales_of_scales: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        codes, state = library().functional.quantize_4bit(
            weight.contiguous(), blocksize=BLOCK, compress_statistics=True, quant_type="nf4"
        )
        self.shape = weight.shape
        # Buffers, so that replicas share them and devices are changed with the network's.
        self.register_buffer("codes", codes)
        self.register_buffer("scales", state.absmax)
        self.register_buffer("offset", state.offset)
        self.register_buffer("table", state.state2.code)
        self.register_buffer("scales_of_scales", state.state2.absmax)

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """The matrix, out x in, as near as 4 bits come."""
        functional = library().functional
        inner = functional.QuantState(
            absmax=self.scales_of_scales, code=self.table, blocksize=256, dtype=torch.float32
        )
        state = functional.QuantState(
            absmax=self.scales,
            shape=self.shape,
            blocksize=BLOCK,
            quant_type="nf4",
            dtype=dtype,
            offset=self.offset,
            state2=inner,
        )
        return functional.dequantize_4bit(self.codes, state)


Matrix = Tensor | Packed


def whole(weight: Matrix, dtype: torch.dtype) -> Tensor:
    """A matrix ready to multiply: unpacked where it is packed."""
    return weight.unpacked(dtype) if isinstance(weight, Packed) else weight
