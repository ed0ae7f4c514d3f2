"""A base model without its numbers: enough to count and to plan, from config.json alone."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from fucina.errors import ModelError
from fucina.models.base import find_layers
from fucina.models.source import locate, read_config, read_tokenizer

if TYPE_CHECKING:
    from fucina.config import ModelConfig

__all__ = ["Blueprint", "draw", "weights_at_hand"]


@dataclass(frozen=True)
class Blueprint:
    """The shape of a base.

    Attributes:
        name: What the recipe called it.
        network: On the meta device: shapes without memory.
        tokenizer: None where the folder has none.
        layers: Dotted name of the list of transformer layers.
        width: d.
        max_length_tokens: Longer texts are cut.
    """

    name: str
    network: nn.Module
    tokenizer: Any | None
    layers: str
    width: int
    max_length_tokens: int


def draw(config: "ModelConfig") -> Blueprint:
    """Build the network of a base without reading weights.

    Raises:
        ModelError: Its config.json cannot be had, or describes nothing that can be adapted.

    Example:
        >>> from fucina.config import ModelConfig
        >>> drawn = draw(ModelConfig(base="minilm"))
        >>> sum(p.numel() for p in drawn.network.parameters()), drawn.layers
        (22713216, 'encoder.layer')
    """
    import transformers

    source = locate(config.base)
    settings = read_config(config.base, source)
    try:
        with torch.device("meta"):
            network = transformers.AutoModel.from_config(settings, trust_remote_code=False)
    except (ValueError, KeyError, AttributeError, ImportError) as error:
        raise ModelError(
            f"model.base: the config.json of {config.base!r} describes no network that can be "
            f"built ({str(error).splitlines()[0][:120]}).",
            fix="Use a base with a standard architecture, for example model.base: minilm.",
        ) from error
    if getattr(settings, "is_encoder_decoder", False):
        network = network.get_encoder()
    network.requires_grad_(False)
    layers, _ = find_layers(network)
    tokenizer = _tokenizer(config.base, source)
    most = getattr(settings, "max_position_embeddings", None) or sys.maxsize
    if tokenizer is not None:
        most = min(most, tokenizer.model_max_length)
    return Blueprint(
        name=config.base,
        network=network,
        tokenizer=tokenizer,
        layers=layers,
        width=settings.hidden_size,
        max_length_tokens=min(config.max_length_tokens, most),
    )


def weights_at_hand(name: str) -> bool:
    """Whether the weights of a base are on this disk: in a folder, or in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    source = locate(name)
    folder = Path(source).expanduser()
    if folder.is_dir():
        return any(folder.glob("*.safetensors"))
    if source.startswith((".", "/", "~")):
        return False
    names = ("model.safetensors", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(source, file), str) for file in names)


def _tokenizer(name: str, source: str) -> Any | None:
    """The tokenizer, if there is one; without it, tokens are guessed from characters."""
    folder = Path(source).expanduser()
    if folder.is_dir() and not any(folder.glob("tokenizer*")) and not any(folder.glob("vocab*")):
        return None
    try:
        tokenizer = read_tokenizer(name, source)
    except ModelError:
        return None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer
