"""What is particular of an encoder-decoder: two halves, and a decoder that starts from a token."""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fucina.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Halves", "StandIn", "halves_of", "ignored", "name_of", "start_of", "take_bias"]

CLOSE = 1e-4  # of the length of the logits: sums in another order differ by a hundredth of it
CLOSE_COARSELY = 3e-2  # in bfloat16


@dataclass(frozen=True)
class Halves:
    """The two halves of an encoder-decoder; its decoder is what other fields of a base speak of.

    Attributes:
        encoder: Dotted name of the bare encoder inside the network.
        layers: Dotted name of the encoder's list of layers.
        start: The token that the decoder is given before the first one it writes.
        forced: The token that it writes first, whatever it foretells; None where it is free.
        forced_end: The token that it writes last, where it may write no more; None as above.
        scale: What the decoder's states are multiplied by before they become words.
        stands: Whether frozen layers of the decoder can be left out, their states kept.
    """

    encoder: str
    layers: str
    start: int
    forced: int | None
    forced_end: int | None
    scale: float
    stands: bool


class StandIn(nn.Module):
    """Stands in for a frozen layer of a decoder: gives what was kept of it, or its input back.

    T5 computes how far tokens are apart in its lowest layer and hands it to all others, so that
    is done here too.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.hidden: Tensor | None = None
        found = [
            part for part in layer.modules() if getattr(part, "has_relative_attention_bias", 0)
        ]
        self.distances = found[0] if found else None
        self.several = any(hasattr(part, "has_relative_attention_bias") for part in layer.modules())

    def forward(self, hidden: Tensor, *given: Any, **_: object) -> Any:
        """Return what was kept; with nothing kept, `hidden`."""
        kept = hidden if self.hidden is None else self.hidden
        if not self.several:
            return kept
        bias = given[1] if len(given) > 1 else None
        if self.distances is not None:
            compute: Any = self.distances.compute_bias
            bias = compute(hidden.shape[1], hidden.shape[1], device=hidden.device)
        return kept, bias, None


def halves_of(network: "PreTrainedModel", layers: str, encoder_layers: str, head: str) -> Halves:
    """Find out what the stack must know of an encoder-decoder.

    Args:
        network: With its head that writes words, in eval mode.
        layers: Dotted name of the decoder's list of layers.
        encoder_layers: Dotted name of the encoder's.
        head: Dotted name of the head.

    Raises:
        ModelError: It has no token to start from, or makes words in a way that is not known.
    """
    asked: Any = network.generation_config
    start = start_of(network)
    encoder = name_of(network, network.get_encoder())
    device = next(network.parameters()).device
    ids = torch.tensor([[5, 6, 7, 8], [8, 7, 6, 5]], device=device) % network.config.vocab_size
    answer = torch.tensor([[start, 5, 6], [start, 9, 7]], device=device) % network.config.vocab_size
    with torch.no_grad():
        read = network.get_submodule(encoder)(input_ids=ids).last_hidden_state
        states = _decoded(network.get_decoder(), answer, read)
        theirs: Any = network(input_ids=ids, decoder_input_ids=answer, use_cache=False)
    return Halves(
        encoder=encoder,
        layers=encoder_layers,
        start=start,
        forced=getattr(asked, "forced_bos_token_id", None),
        forced_end=_lowest(getattr(asked, "forced_eos_token_id", None)),
        scale=_scale(network, states, network.get_submodule(head), theirs.logits),
        stands=_stands(network, layers, answer, read, states),
    )


def _lowest(tokens: int | list[int] | None) -> int | None:
    """Of several tokens that are equally certain, greedy writing takes the lowest."""
    return min(tokens) if isinstance(tokens, list) else tokens


def start_of(network: "PreTrainedModel") -> int:
    """The token that a decoder is given before the first one it writes.

    Raises:
        ModelError: The config names none.
    """
    found = getattr(network.config, "decoder_start_token_id", None)
    if found is None:
        found = getattr(network.generation_config, "decoder_start_token_id", None)
    if found is None:
        raise ModelError(
            "the config.json of model.base has no decoder_start_token_id: nobody knows which token "
            "its decoder begins with.",
            fix="Write it there, as the model was trained with: T5 begins with its pad token (0), "
            "BART with its end token (2).",
        )
    return int(found)


def name_of(network: nn.Module, wanted: nn.Module) -> str:
    """The dotted name of a part of a network."""
    return next(name for name, module in network.named_modules() if module is wanted)


def take_bias(network: "PreTrainedModel", head: str) -> None:
    """Move what BART-like models add to all logits into the head, where every use of it sees it."""
    bias = getattr(network, "final_logits_bias", None)
    layer = network.get_submodule(head)
    if bias is None or not bias.any() or getattr(layer, "bias", None) is not None:
        return
    del layer._parameters["bias"]
    layer.register_buffer("bias", bias[0].detach().clone())
    bias.zero_()


def ignored(network: "PreTrainedModel") -> list[str]:
    """What a model's generation_config.json asks for that answers are written without.

    They are greedy: the likeliest token each time, up to the end token.
    """
    usual = {
        "num_beams": 1, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
        "repetition_penalty": 1.0, "min_length": 0, "min_new_tokens": 0, "bad_words_ids": None,
        "suppress_tokens": None, "begin_suppress_tokens": None, "do_sample": False,
    }  # fmt: skip
    asked: Any = network.generation_config
    values = {name: getattr(asked, name, None) for name in usual}
    return [
        f"{name}={value}"
        for name, value in values.items()
        if value is not None and value != usual[name] and value != []
    ]


def _decoded(decoder: Any, ids: Tensor, read: Tensor) -> Tensor:
    return decoder(input_ids=ids, encoder_hidden_states=read, use_cache=False).last_hidden_state


def _scale(network: "PreTrainedModel", states: Tensor, head: nn.Module, theirs: Tensor) -> float:
    """T5 shortens states before the head that is tied to its embeddings; others do not."""
    for scale in (1.0, network.config.hidden_size**-0.5):
        if _like(head(states * scale), theirs):
            return scale
    raise ModelError(
        f"model.base: {type(network).__name__} makes words of its states in a way that is not "
        "known here.",
        fix="Use an encoder-decoder with the layout of T5, BART or Pegasus, or a decoder.",
    )


def _stands(
    network: "PreTrainedModel", layers: str, ids: Tensor, read: Tensor, states: Tensor
) -> bool:
    """Whether a decoder gives the same with its lowest layer left out and its states kept."""
    shared = {id(t): t for t in [*network.parameters(), *network.buffers()]}
    own = copy.deepcopy(network.get_decoder(), shared)
    inner = layers.removeprefix(name_of(network, network.get_decoder()) + ".")
    stack: Any = own.get_submodule(inner)
    if len(stack) < 2:
        return False
    kept: list[Any] = []
    stack[0].register_forward_hook(lambda *called: kept.append(called[2]))
    try:
        with torch.no_grad():
            _decoded(own, ids, read)
            stand = StandIn(stack[0])
            stand.hidden = kept[0][0] if isinstance(kept[0], tuple) else kept[0]
            stack[0] = stand
            return _like(_decoded(own, ids, read), states)
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):
        return False  # layers that hand on more than is known here


def _like(found: Tensor, expected: Tensor) -> bool:
    off = (found.float() - expected.float()).norm() / expected.float().norm()
    return bool(off < (CLOSE if expected.dtype == torch.float32 else CLOSE_COARSELY))
