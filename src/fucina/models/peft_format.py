"""A member on disk: the layout of PEFT, so that other libraries can load the adapter."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fucina.errors import RunError
from fucina.models.targets import was_transposed

if TYPE_CHECKING:
    from fucina.config import AdapterConfig
    from fucina.models.stack import Stack

__all__ = ["adapter_config", "from_tensors", "mean_of", "to_tensors"]

PREFIX = "base_model.model."
PARTS = {"a": "lora_A.weight", "b": "lora_B.weight", "m": "lora_magnitude_vector"}


def to_tensors(stack: "Stack", adapter: Tensor) -> dict[str, Tensor]:
    """Name one member's P numbers as PEFT does, or as the network does when all is trained."""
    tensors: dict[str, Tensor] = {}
    begin = 0
    for name, shape in stack.names:
        values = adapter[begin : begin + shape.numel()].view(shape)
        begin += shape.numel()
        if name in stack.full:
            tensors[name] = values
        else:
            path, part = name.rsplit(".", 1)
            tensors[f"{PREFIX}{path}.{PARTS[part]}"] = values
    return tensors


def from_tensors(stack: "Stack", tensors: dict[str, Tensor]) -> Tensor:
    """The inverse of `to_tensors`: P numbers in the order of the stack.

    Raises:
        RunError: A tensor is missing or has another shape.
    """
    row: list[Tensor] = []
    for name, shape in stack.names:
        path, part = name.rsplit(".", 1)
        key = name if name in stack.full else f"{PREFIX}{path}.{PARTS[part]}"
        values = tensors.get(key)
        if values is None:
            raise RunError(f"the adapter has no {key}.", fix="Restore the folder, or train again.")
        if values.shape != shape:
            raise RunError(
                f"{key} is {tuple(values.shape)}, but this base needs {tuple(shape)}.",
                fix="Use the base model that the adapter was trained on.",
            )
        row.append(values.flatten())
    return torch.cat(row) if row else torch.zeros(0)


def mean_of(stack: "Stack", adapters: Sequence[Tensor]) -> dict[str, Tensor]:
    """One adapter that changes weights by the mean of what k plain ones do: the same, side by side.

    The sum of k products of rank r is one product of rank k r: (B1 A1 + B2 A2) / 2 is [B1 B2] / 2
    times A1 above A2.

    Args:
        stack: Of the members.
        adapters: Their P numbers each.
    """
    each = [to_tensors(stack, adapter) for adapter in adapters]
    return {
        name: torch.cat([own[name] for own in each]) if name.endswith(PARTS["a"])
        else torch.cat([own[name] for own in each], dim=1) / len(each)
        for name in each[0]
    }  # fmt: skip


def adapter_config(stack: "Stack", config: "AdapterConfig", *, members: int = 1) -> dict[str, Any]:
    """The content of adapter_config.json: modules are named one by one, so nothing is guessed.

    Args:
        stack: Of the member.
        config: What was asked.
        members: Of how many it is the mean; see `mean_of`. The scale stays what it was.
    """
    modules = sorted({name.rsplit(".", 1)[0] for name, _ in stack.names})
    transposed = any(was_transposed(stack.base.network.get_submodule(module)) for module in modules)
    return {
        "peft_type": "LORA",
        "task_type": _task_type(stack),
        "base_model_name_or_path": stack.base.name,
        "r": config.rank * members,
        "lora_alpha": config.alpha * (math.sqrt(members) if config.rslora else members),
        "lora_dropout": config.dropout,
        "target_modules": modules,
        "use_rslora": config.rslora,
        "use_dora": config.dora,
        "fan_in_fan_out": transposed,
        "bias": "none",
        "inference_mode": True,
    }


def _task_type(stack: "Stack") -> str:
    if stack.labels:
        return "FEATURE_EXTRACTION"
    return "CAUSAL_LM" if stack.base.halves is None else "SEQ_2_SEQ_LM"
