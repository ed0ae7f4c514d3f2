"""Weights that lie on the disk in eight bits; read, they are as wide as any.

A row of a matrix is whole numbers from -127 to 127 and one scale: its largest number / 127, the
vector-wise quantization of LLM.int8() (Dettmers et al. 2022). What is no matrix stays as it was. A
file is a quarter of one in float32, and half of one in bfloat16.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["INT8", "narrow", "read_int8", "widen"]

INT8 = "model.int8.safetensors"
SCALE = ".scale"  # behind the name of a matrix, the name of its scales


def narrow(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put matrices into eight bits.

    Args:
        tensors: Of a network, by name.

    Returns:
        int8 of each matrix (r x c) and float32 scales (r x 1) beside it; the others in float32.

    Example:
        >>> import torch
        >>> small = narrow({"w": torch.tensor([[0.5, -1.27]])})
        >>> small["w"].tolist(), round(small["w.scale"].item(), 4)
        ([[50, -127]], 0.01)
    """
    found = {}
    for name, tensor in tensors.items():
        wide = tensor.detach().float()
        if wide.ndim == 2:
            scale = (wide.abs().amax(dim=1, keepdim=True) / 127).clamp_min(1e-12)
            found[name], found[name + SCALE] = (wide / scale).round().to(torch.int8), scale
        else:
            found[name] = wide
    return found


def widen(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What `narrow` made, in float32; a number is off by half of its row's scale at most."""
    return {
        name: tensor.float() * tensors[name + SCALE] if tensor.dtype == torch.int8 else tensor
        for name, tensor in tensors.items()
        if not name.endswith(SCALE)
    }


def read_int8(kind: Any, folder: Path) -> Any:
    """Build the network of a folder that has its weights in eight bits.

    Args:
        kind: Auto class of transformers.
        folder: With config.json and the weights.

    Raises:
        RuntimeError: The weights are not those that config.json describes.
    """
    from safetensors.torch import load_file
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):  # only to learn which class it is: no weight is drawn
        exact = type(kind.from_config(config))
    network, found = exact.from_pretrained(
        None, config=config, state_dict=widen(load_file(folder / INT8)), output_loading_info=True
    )
    # A head too many or too few is no fault, as transformers reads files; the body must be whole.
    body = {id(tensor) for tensor in network.base_model.state_dict(keep_vars=True).values()}
    every = network.state_dict(keep_vars=True)
    missing = sorted(name for name in found["missing_keys"] if id(every[name]) in body)
    if missing:
        raise RuntimeError(f"{INT8} is not of this config.json: it lacks {missing[0]}")
    return network.eval()
