"""Frozen matrices in 4 bits: kept small, and unpacked for the moment in which they multiply.

NF4 with double quantization as in QLoRA: each block of 64 numbers has one scale, and blocks of
256 scales are kept in 8 bits. Source: Dettmers et al., 2023, https://arxiv.org/abs/2305.14314
"""

import importlib
import logging
from typing import Any

import torch
from torch import Tensor, nn

from fucina.errors import MissingExtraError

__all__ = ["BYTES", "Matrix", "Packed", "library", "whole"]

BLOCK = 64  # numbers that share a scale
SCALES = 256  # scales that share one of theirs
SLAB = 1 << 20  # numbers that are packed at once; the processor takes 128 bytes for each meanwhile
BYTES = 0.5 + 1 / BLOCK + 4 / (BLOCK * SCALES)  # of a number: 4 bits, its share of two scales


def library() -> Any:
    """The module bitsandbytes, which packs and unpacks.

    Raises:
        MissingExtraError: It is not installed.
    """
    # It warns of a kernel for single tokens that nothing here calls.
    told = logging.getLogger("bitsandbytes")
    before = told.level
    told.setLevel(logging.ERROR)
    try:
        return importlib.import_module("bitsandbytes")
    except ModuleNotFoundError as error:
        if error.name != "bitsandbytes":
            raise
        raise MissingExtraError("bitsandbytes", extra="quant") from error
    finally:
        told.setLevel(before)


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
        functional = library().functional
        parts = [
            functional.quantize_4bit(part, blocksize=BLOCK, quant_type="nf4")
            for part in weight.flatten().split(SLAB)
        ]
        scales = torch.cat([state.absmax for _, state in parts])
        offset = scales.mean()
        kept, inner = functional.quantize_blockwise(scales - offset, blocksize=SCALES)
        self.shape = weight.shape
        # Buffers, so that replicas share them and devices are changed with the network's.
        self.register_buffer("codes", torch.cat([codes for codes, _ in parts]), persistent=False)
        self.register_buffer("scales", kept, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("table", inner.code, persistent=False)
        self.register_buffer("scales_of_scales", inner.absmax, persistent=False)

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """The matrix, out x in, as near as 4 bits come."""
        functional = library().functional
        inner = functional.QuantState(
            absmax=self.scales_of_scales, code=self.table, blocksize=SCALES, dtype=torch.float32
        )
        state = functional.QuantState(
            absmax=self.scales,
            # One long row: the processor's kernel is wrong where a block goes over the end of one.
            shape=torch.Size((1, self.shape.numel())),
            blocksize=BLOCK,
            quant_type="nf4",
            dtype=dtype,
            offset=self.offset,
            state2=inner,
        )
        return functional.dequantize_4bit(self.codes, state).view(self.shape)


Matrix = Tensor | Packed


def whole(weight: Matrix, dtype: torch.dtype) -> Tensor:
    """A matrix ready to multiply: unpacked where it is packed."""
    return weight.unpacked(dtype) if isinstance(weight, Packed) else weight
