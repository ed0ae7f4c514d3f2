"""What a base is known by, to refuse another one under an adapter."""

import hashlib
import json
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["fingerprint_of"]

# Where it lies, who reads it and how do not change what it computes.
TELLS_NOTHING = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"}
SAMPLE_BYTES = 1 << 20  # hashing whole multi-gigabyte files would cost minutes


def fingerprint_of(network: "PreTrainedModel", kind: torch.dtype) -> str:
    """Hash configuration and weights (a sample of each).

    Args:
        network: As it was read, before anything is packed.
        kind: In which precision it will compute; that of its file does not matter.
    """
    told = json.loads(network.config.to_json_string(use_diff=False))
    settings = {name: value for name, value in told.items() if name not in TELLS_NOTHING}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        sample = tensor.detach().flatten()[: SAMPLE_BYTES // 4]
        sample = sample.to(kind) if sample.is_floating_point() else sample
        digest.update(name.encode() + sample.float().cpu().numpy().tobytes())
    return digest.hexdigest()
