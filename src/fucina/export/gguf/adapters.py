"""Write a LoRA adapter as a GGUF file, to be put on its base by llama.cpp or Ollama."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fucina.errors import ModelError
from fucina.export.gguf.kinds import require
from fucina.export.gguf.layouts import Layout, layout_of
from fucina.export.gguf.writing import put, replacing

__all__ = ["write_adapter"]

PREFIX = "base_model.model."
A, B = ".lora_A.weight", ".lora_B.weight"
WEIGHTS = "adapter_model.safetensors"


def write_adapter(adapter: Path, base: Path, out: Path, *, name: str = "") -> Path:
    """Write a PEFT folder as a GGUF adapter, in float32.

    Args:
        adapter: With adapter_config.json and adapter_model.safetensors.
        base: The checkpoint it was trained on, of which only config.json is read.
        out: The file, which is replaced.
        name: What it says of itself.

    Returns:
        The file.

    Raises:
        ModelError: It is more than LoRA on matrices, or its family is not proved.
        ResourceError: The disk is full.
    """
    gguf = require()
    layout = layout_of(_json(base / "config.json"))
    settings = _json(adapter / "adapter_config.json")
    tensors = _tensors(adapter, layout, settings)
    with replacing(out) as beside:
        writer = gguf.GGUFWriter(beside, layout.arch)
        try:
            writer.add_type("adapter")
            put(writer, "general.name", name or adapter.resolve().name)
            put(writer, "adapter.type", "lora")
            put(writer, "adapter.lora.alpha", _alpha(settings))
            for own, tensor in tensors.items():
                writer.add_tensor(own, np.ascontiguousarray(tensor))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()
    return out


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}.", fix="Give the folder of an adapter, and its base."
        ) from error


def _alpha(settings: Mapping[str, Any]) -> float:
    """Alpha as llama.cpp wants it, which always divides it by the rank.

    Raises:
        ModelError: Its layers have different ones.
    """
    if settings.get("alpha_pattern") or settings.get("rank_pattern"):
        raise _only_merged("has another alpha or rank in some layers")
    alpha, rank = float(settings["lora_alpha"]), int(settings["r"])
    return alpha * math.sqrt(rank) if settings.get("use_rslora") else alpha


def _tensors(
    adapter: Path, layout: Layout, settings: Mapping[str, Any]
) -> Mapping[str, np.ndarray]:
    import gguf
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if settings.get("use_dora"):
        raise _only_merged("is DoRA")
    try:
        found = load_file(adapter / WEIGHTS)
    except (SafetensorError, OSError, KeyError) as error:
        raise ModelError(
            f"{adapter / WEIGHTS} cannot be read: {error}.", fix="Restore it, or train again."
        ) from error
    known = {text: number for number, text in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(known[layout.arch], layout.layers)
    tensors: dict[str, np.ndarray] = {}
    for key, tensor in sorted(found.items()):
        part = next((part for part in (A, B) if key.endswith(part)), None)
        path = key.removeprefix(PREFIX).removesuffix(part or "")
        own = names.get_name(f"{path}.weight", try_suffixes=(".weight",)) if part else None
        if part is None or own is None or own in ("token_embd.weight", "output.weight"):
            raise _only_merged(f"changes {key.removeprefix(PREFIX)}")
        tensor = tensor.astype(np.float32)
        if part == B and layout.arch == "llama":  # whose queries and keys have another order
            tensor = layout.change(f"{path}.weight", tensor)
        tensors[f"{own}.lora_{'a' if part == A else 'b'}"] = tensor
    return tensors


def _only_merged(what: str) -> ModelError:
    return ModelError(
        f"the adapter {what}; llama.cpp adds plain LoRA to matrices alone.",
        fix="Export the merged model as GGUF: --to gguf.",
    )
