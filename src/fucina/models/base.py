"""Load a base model by alias, hub id or folder, and find out what the stack must know of it."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from fucina.errors import ModelError
from fucina.models.fingerprint import fingerprint_of
from fucina.models.halves import Halves, halves_of, name_of, take_bias
from fucina.models.prefix import see_all
from fucina.models.product import quicken
from fucina.models.quantize import pack
from fucina.models.sight import probe, require_look_ahead, require_one_way
from fucina.models.source import beside, has_halves, locate, read
from fucina.records import Answer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from fucina.config import ChatConfig, ModelConfig
    from fucina.models.pairing import Pairing
    from fucina.models.template import Template

__all__ = [
    "Base",
    "choose_template",
    "find_head",
    "find_layers",
    "layers_of",
    "load",
    "with_template",
]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Base:
    """A frozen base model with what is needed to adapt it.

    Attributes:
        name: What the recipe called it.
        network: The bare transformer, or with its head that writes tokens; in eval mode, frozen.
        tokenizer: Its tokenizer, with a pad token.
        pooling: `mean`, `cls` or `last`: how a sentence becomes one vector.
        body: Dotted name of the bare transformer inside `network`; empty where it is all of it.
            Of an encoder-decoder it is the decoder, as `layers` and `depth` are.
        head: Dotted name of the layer that writes tokens; empty without one.
        cap: Logits of tokens are bent to stay within this; 0 for not.
        template: How it wants conversations; None where it does not write.
        halves: What is particular of an encoder-decoder; None for others.
        layers: Dotted name of the list of transformer layers inside `network`.
        depth: How many layers there are.
        width: Size d of a hidden state.
        tuple_output: Whether a layer returns a tuple instead of a tensor.
        max_length_tokens: Longer texts are cut: what the recipe says, or less if it reads less.
        positions: The most tokens it can read, those that it writes itself included.
        precision: Of the frozen weights, `float32` or `bfloat16`.
        fingerprint: SHA-256 of configuration and weights (sampled), to refuse a changed base.
        causal: A token sees only what stands before it.
        look_ahead: A decoder that was made to see what follows too.
        whole: Its layers hand each other more than states, as those of T5 do, so that frozen ones
            cannot run apart from those above them.
    """

    name: str
    network: "PreTrainedModel"
    tokenizer: Any
    pooling: str
    layers: str
    depth: int
    width: int
    tuple_output: bool
    max_length_tokens: int
    precision: str
    fingerprint: str
    body: str = ""
    head: str = ""
    cap: float = 0.0
    positions: int = sys.maxsize
    template: "Template | Pairing | None" = None
    halves: Halves | None = None
    causal: bool = False
    look_ahead: bool = False
    whole: bool = False

    @property
    def encoder(self) -> str:
        """Dotted name of the list of layers of an encoder-decoder's encoder; empty for others."""
        return self.halves.layers if self.halves else ""

    def seen(self, mask: torch.Tensor) -> Any:
        """The mask that the network wants, from b x L that are 1 where there is a token."""
        return see_all(self.network, mask) if self.look_ahead else mask


def load(
    config: "ModelConfig",
    precision: str = "float32",
    answer: Answer = "label",
    *,
    trained_in: str | None = None,
) -> Base:
    """Load the base model that a recipe names.

    Only safetensors weights are read and no code from the model's folder is run. It computes on
    the GPU when there is one.

    Args:
        config: Which model, and how its states are pooled.
        precision: Of the frozen weights, `float32` or `bfloat16`.
        answer: What it is to answer with; `text` needs a decoder, or an encoder and a decoder.
        trained_in: In which precision a run that will be opened on it was trained, which its
            fingerprint tells; None for the same.

    Raises:
        ModelError: The model cannot be had, has no safetensors, or has no layers; or it is to
            write text and reads both ways.
        MissingExtraError: The package behind an alias is not installed.

    Example:
        >>> from fucina.config import ModelConfig
        >>> base = load(ModelConfig(base="favilla-encoder"))
        >>> base.pooling, base.depth, base.width, base.layers
        ('mean', 6, 384, 'encoder.layer')
    """
    source = locate(config.base)
    packs = config.quantize == "nf4"
    # What is packed anyway is not made wider first: a large model would take twice the memory.
    network, tokenizer = read(config.base, source, answer, None if packs else torch.float32)
    writes_apart = answer == "text" and has_halves(network.config)
    if answer != "text" and has_halves(network.config):
        network = network.get_encoder()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.config.use_cache = False  # a cache of keys and values only serves generation
    kind = DTYPES[precision]
    head = find_head(network) if answer == "text" else ""
    if writes_apart:
        take_bias(network, head)
    fingerprint = fingerprint_of(network, DTYPES[trained_in or precision])
    if packs:
        halves = (network.get_encoder(), network.get_decoder()) if writes_apart else (network,)
        for half in halves:
            pack(find_layers(half)[1], device)
    if precision == "bfloat16" and device.type == "cpu":
        from fucina.models.attention import widen  # transformers takes seconds to import

        widen(network)
    # What is in no file stays as it is: positions are counted in float32, scales of 4 bits too.
    for tensor in network.state_dict(keep_vars=True).values():
        tensor.data = tensor.data.to(kind) if tensor.is_floating_point() else tensor.data
    network = network.to(device).eval().requires_grad_(False)
    quicken(network)
    if tokenizer.pad_token is None:
        # Padding is always masked, so the choice of token does not matter.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    body = network.base_model_prefix if answer == "text" else ""
    if writes_apart:
        body = name_of(network, network.get_decoder())
    layers, stack = find_layers(network, body if writes_apart else "")
    causal, tuple_output, more = probe(network.get_submodule(body), stack)
    require_one_way(config, answer, causal=causal, apart=writes_apart)
    if config.look_ahead:
        require_look_ahead(config.base, network, stack, causal=causal)
    positions = _positions(network, tokenizer)
    halves = None
    if writes_apart:
        encoder, _ = find_layers(network, name_of(network, network.get_encoder()))
        halves = halves_of(network, layers, encoder, head)
    return Base(
        name=config.base,
        network=network,
        tokenizer=tokenizer,
        pooling=_pooling(source, causal) if config.pooling == "auto" else config.pooling,
        layers=layers,
        depth=len(stack),
        width=network.config.hidden_size,
        tuple_output=tuple_output,
        max_length_tokens=min(config.max_length_tokens, positions),
        positions=positions,
        precision=precision,
        fingerprint=fingerprint,
        body=body,
        head=head,
        halves=halves,
        cap=getattr(network.config, "final_logit_softcapping", None) or 0.0,
        causal=causal and not config.look_ahead,
        look_ahead=config.look_ahead,
        whole=more,
    )


def with_template(base: Base, config: "ChatConfig", path: Path) -> Base:
    """Give a base that writes the template that a recipe asks for.

    Args:
        base: The decoder, or encoder-decoder.
        config: Which template, what the system says, and what is learnt.
        path: Of the Jinja file, where it asks for one.

    Raises:
        ModelError: There is no template that this tokenizer can use.
    """
    template = choose_template(base.tokenizer, config, path, halves=base.halves is not None)
    return replace(base, template=template)


def choose_template(
    tokenizer: Any, config: "ChatConfig", path: Path, *, halves: bool = False
) -> "Template | Pairing":
    """Open the template that a recipe asks for; arguments and errors as above.

    Args:
        tokenizer: Of the base.
        config: What is asked for.
        path: Of the Jinja file.
        halves: Whether the base is an encoder-decoder, which has no template.
    """
    from fucina.models.pairing import open_pairing
    from fucina.models.template import open_template

    if halves:
        return open_pairing(tokenizer, config)
    choice = config.template if config.template in {"auto", "chatml"} else str(path)
    return open_template(tokenizer, choice, system=config.system, supervise=config.supervise)


def find_head(network: "PreTrainedModel") -> str:
    """Where the layer that writes tokens is."""
    head = network.get_output_embeddings()
    return next(name for name, module in network.named_modules() if module is head)


def _positions(network: "PreTrainedModel", tokenizer: Any) -> int:
    """How many tokens a network can read."""
    known = getattr(network.config, "max_position_embeddings", None)
    most = min(known or sys.maxsize, tokenizer.model_max_length)
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa counts positions from after the padding token's.
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            most = min(most, module.num_embeddings - first)
    return most


def find_layers(network: nn.Module, inside: str = "") -> tuple[str, nn.ModuleList]:
    """Find the list of transformer layers: the module list that holds most parameters.

    Args:
        network: All of it.
        inside: Dotted name of the part to look in; empty for all.

    Returns:
        Its dotted name and the list.

    Raises:
        ModelError: There is no such list.
    """
    best: tuple[int, str, nn.ModuleList] | None = None
    for name, module in network.named_modules():
        # A list inside a layer (experts, heads) holds fewer parameters than the layers do.
        if isinstance(module, nn.ModuleList) and len(module) and name.startswith(inside):
            size = sum(parameter.numel() for parameter in module.parameters())
            if best is None or size > best[0]:
                best = (size, name, module)
    if best is None:
        raise ModelError(
            f"{type(network).__name__} has no list of transformer layers.",
            fix="Choose an encoder or decoder transformer, such as model.base: favilla-encoder.",
        )
    return best[1], best[2]


def layers_of(network: nn.Module, name: str) -> nn.ModuleList:
    """The list of layers under its dotted name, in this network or a copy of it."""
    layers = network.get_submodule(name)
    if not isinstance(layers, nn.ModuleList):
        raise ModelError(f"{name} is not a list of layers.", fix="Use another base model.")
    return layers


def _pooling(source: str, causal: bool) -> str:
    """Read the pooling a sentence encoder was trained with; else what suits its attention."""
    declared = beside(source, "1_Pooling/config.json")
    if declared is not None:
        modes = json.loads(declared.read_text(encoding="utf-8"))
        if modes.get("pooling_mode_cls_token"):
            return "cls"
        return "last" if modes.get("pooling_mode_lasttoken") else "mean"
    return "last" if causal else "mean"
