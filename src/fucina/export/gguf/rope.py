"""How positions turn: the settings of rotary embeddings as llama.cpp reads them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fucina.errors import ModelError

__all__ = ["by_position", "rotation"]

Facts = dict[str, Any]


def by_position(config: Mapping[str, Any], kind: str = "") -> Mapping[str, Any]:
    """What a config.json says of rotary embeddings, in the words of transformers 5.

    Args:
        config: Of the checkpoint.
        kind: Of attention, where each kind has its own.

    Example:
        >>> by_position({"rope_theta": 5e5, "rope_scaling": None})
        {'rope_theta': 500000.0, 'rope_type': 'default'}
    """
    found = config.get("rope_parameters")
    if found:
        found = found.get(kind) or found
    else:
        found = {"rope_theta": config.get("rope_theta", 10_000.0), **(_scaling(config) or {})}
    kind_of_rope = found.get("rope_type") or found.get("type") or "default"
    return {**found, "rope_type": kind_of_rope}


def _scaling(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return config.get("rope_scaling")


def rotation(
    rope: Mapping[str, Any], width: int, positions: int
) -> tuple[Facts, np.ndarray | None]:
    """The same in llama.cpp's keys, and by how much single frequencies are divided.

    Args:
        rope: As `by_position` gives it.
        width: How many numbers of a head turn.
        positions: How many positions the model reads.

    Raises:
        ModelError: llama.cpp computes this kind otherwise.

    Example:
        >>> rotation({"rope_type": "linear", "rope_theta": 1e4, "factor": 8.0}, 64, 2048)[0]
        {'freq_base': 10000.0, 'scaling.type': 'linear', 'scaling.factor': 8.0}
    """
    facts: Facts = {"freq_base": float(rope["rope_theta"])}
    kind = rope["rope_type"]
    if kind == "default":
        return facts, None
    if kind == "linear":
        return {**facts, "scaling.type": "linear", "scaling.factor": float(rope["factor"])}, None
    if kind == "llama3":
        return facts, _divisors(rope, width)
    if kind == "yarn" and not {"mscale", "mscale_all_dim", "attention_factor"} & _set(rope):
        original = rope.get("original_max_position_embeddings") or positions
        return {
            **facts,
            "scaling.type": "yarn",
            "scaling.factor": float(rope["factor"]),
            "scaling.original_context_length": int(original),
            "scaling.yarn_beta_fast": float(rope.get("beta_fast") or 32.0),
            "scaling.yarn_beta_slow": float(rope.get("beta_slow") or 1.0),
        }, None
    raise ModelError(
        f"its positions are scaled by {kind!r}, which is not proved with llama.cpp.",
        fix="Convert the merged export with convert_hf_to_gguf.py of llama.cpp, and compare.",
    )


def _set(rope: Mapping[str, Any]) -> set[str]:
    return {name for name, value in rope.items() if value is not None}


def _divisors(rope: Mapping[str, Any], width: int) -> np.ndarray:
    """What Llama 3 divides each frequency by: slow ones by the factor, fast ones by nothing."""
    factor, original = float(rope["factor"]), rope["original_max_position_embeddings"]
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    waves = 2 * math.pi * float(rope["rope_theta"]) ** (np.arange(0, width, 2) / width)
    # 0 where a wave is longer than the model once read, 1 where many of them fit.
    quick = np.clip((original / waves - low) / (high - low), 0.0, 1.0)
    return (1 / ((1 - quick) / factor + quick)).astype(np.float32)
