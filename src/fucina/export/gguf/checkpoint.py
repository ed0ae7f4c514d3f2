"""A Hugging Face checkpoint: its settings, and its tensors one at a time."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from fucina.errors import ModelError

__all__ = ["Checkpoint", "open_checkpoint"]

ONE, SEVERAL = "model.safetensors", "model.safetensors.index.json"
PRECISIONS = {"F32": "F32", "F16": "F16", "BF16": "BF16", "F64": "F32"}


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a config.json and weights in safetensors.

    Attributes:
        folder: Where it is.
        config: What config.json says.
        shapes: Tensor to its shape.
        precision: `F32`, `F16` or `BF16`: in what most of its numbers are stored.
    """

    folder: Path
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    precision: str
    _files: Mapping[str, Path]

    def read(self, name: str) -> np.ndarray:
        """One tensor in float32.

        Raises:
            ModelError: The file is broken.
        """
        import torch
        from safetensors import SafetensorError, safe_open

        try:  # through torch, as numpy has no bfloat16
            with safe_open(self._files[name], framework="pt") as file:
                return file.get_tensor(name).to(torch.float32).numpy()
        except (SafetensorError, OSError) as error:
            raise _unreadable(self._files[name], error) from error


def open_checkpoint(folder: Path) -> Checkpoint:
    """Find what a checkpoint holds, without reading its weights.

    Args:
        folder: As `save_pretrained` writes it.

    Raises:
        ModelError: A file is missing or broken, or it holds no safetensors.
    """
    config = _json(folder / "config.json")
    files: dict[str, Path] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    numbers: Counter[str] = Counter()
    for path in _weights(folder):
        for name, shape, stored in _header(path):
            files[name], shapes[name] = path, shape
            numbers[stored] += prod(shape)
    most = numbers.most_common(1)[0][0] if numbers else "F32"
    if most not in PRECISIONS:
        raise ModelError(
            f"{folder} holds weights in {most}, which cannot be written as GGUF.",
            fix="Give the checkpoint that was not quantized.",
        )
    return Checkpoint(folder, config, shapes, PRECISIONS[most], files)


def _weights(folder: Path) -> list[Path]:
    if (folder / ONE).is_file():
        return [folder / ONE]
    if (folder / SEVERAL).is_file():
        names = _json(folder / SEVERAL)["weight_map"].values()
        return [folder / name for name in sorted({Path(name).name for name in names})]
    raise ModelError(
        f"{folder} has no {ONE}.",
        fix="Give a folder that save_pretrained wrote; weights in other forms are not loaded.",
    )


def _header(path: Path) -> list[tuple[str, tuple[int, ...], str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            slices = [(name, file.get_slice(name)) for name in file.keys()]  # noqa: SIM118
            return [(name, tuple(own.get_shape()), own.get_dtype()) for name, own in slices]
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path} cannot be read: {error}.", fix="Restore the file, or export it again."
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}.", fix="Give a folder that save_pretrained wrote."
        ) from error
