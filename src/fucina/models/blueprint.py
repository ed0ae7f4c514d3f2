"""A base model without its numbers: enough to count and to plan, from config.json alone."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from fucina.errors import ModelError
from fucina.models.base import choose_template, find_head, find_layers
from fucina.models.halves import name_of
from fucina.models.source import has_halves, locate, read_config, read_tokenizer, writer_class
from fucina.records import Answer

if TYPE_CHECKING:
    from fucina.config import ChatConfig, ModelConfig
    from fucina.models.pairing import Pairing
    from fucina.models.template import Template

__all__ = ["Blueprint", "draw", "weights_at_hand", "with_template"]


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
        head: Dotted name of the layer that writes tokens; empty without one.
        template: How it wants conversations; None where it does not write, or has no tokenizer.
        encoder: Dotted name of the layers of the encoder of an encoder-decoder, whose decoder
            `layers` are of; empty for others.
    """

    name: str
    network: nn.Module
    tokenizer: Any | None
    layers: str
    width: int
    max_length_tokens: int
    head: str = ""
    template: "Template | Pairing | None" = None
    encoder: str = ""


def draw(config: "ModelConfig", answer: Answer = "label") -> Blueprint:
    """Build the network of a base without reading weights.

    Args:
        config: Which model.
        answer: What it is to answer with; `text` draws the head that writes tokens too.

    Raises:
        ModelError: Its config.json cannot be had, or describes nothing that can be adapted.

    Example:
        >>> from fucina.config import ModelConfig
        >>> drawn = draw(ModelConfig(base="favilla-encoder"))
        >>> sum(p.numel() for p in drawn.network.parameters()), drawn.layers
        (28656768, 'encoder.layer')
    """
    import transformers

    source = locate(config.base)
    settings = read_config(config.base, source)
    kind = writer_class(settings) if answer == "text" else transformers.AutoModel
    good = "favilla" if answer == "text" else "favilla-encoder"
    try:
        with torch.device("meta"):
            network = kind.from_config(settings, trust_remote_code=False)
    except (ValueError, KeyError, AttributeError, ImportError) as error:
        raise ModelError(
            f"model.base: the config.json of {config.base!r} describes no network that can be "
            f"built ({str(error).splitlines()[0][:120]}).",
            fix=f"Use a base with a standard architecture, for example model.base: {good}.",
        ) from error
    halves = has_halves(settings)
    if halves and answer != "text":
        network, halves = network.get_encoder(), False
    network.requires_grad_(False)
    inside = ["", ""]
    if halves:
        inside = [name_of(network, half) for half in (network.get_encoder(), network.get_decoder())]
    layers, _ = find_layers(network, inside[1])
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
        head=find_head(network) if answer == "text" else "",
        encoder=find_layers(network, inside[0])[0] if halves else "",
    )


def with_template(drawn: Blueprint, config: "ChatConfig", path: Path) -> Blueprint:
    """Give a drawn decoder the template that a recipe asks for, if it has a tokenizer.

    Args:
        drawn: The decoder.
        config: Which template, what the system says, and what is learnt.
        path: Of the Jinja file, where it asks for one.

    Raises:
        ModelError: There is no template that this tokenizer can use.
    """
    if drawn.tokenizer is None:
        return drawn
    halves = bool(drawn.encoder)
    template = choose_template(drawn.tokenizer, config, path, halves=halves)
    return replace(drawn, template=template)


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
