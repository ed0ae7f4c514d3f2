"""What a base is known by, to refuse another one under an adapter."""

import hashlib
import re
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["fingerprint_of"]

SAMPLE_BYTES = 1 << 20  # hashing whole multi-gigabyte files would cost minutes


def fingerprint_of(network: "PreTrainedModel", kind: torch.dtype) -> str:
    """Hash configuration and weights (a sample of each).

    Args:
        network: As it was read, before anything is packed.
        kind: In which precision it will compute; that of its file does not matter.
    """
    settings = re.sub(
        r'"dtype": "\w+"', '"dtype": "float32"', network.config.to_json_string(use_diff=False)
    )
    digest = hashlib.sha256(settings.encode())
    for name, tensor in sorted(network.state_dict().items()):
        sample = tensor.detach().flatten()[: SAMPLE_BYTES // 4]
        sample = sample.to(kind) if sample.is_floating_point() else sample
        digest.update(name.encode() + sample.float().cpu().numpy().tobytes())
    return digest.hexdigest()
