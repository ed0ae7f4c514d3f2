"""Which way a network looks: back only, or both ways; found out by trying."""

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from fucina.errors import ModelError
from fucina.models.prefix import see_all
from fucina.records import Answer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from fucina.config import ModelConfig

__all__ = ["probe", "require_look_ahead", "require_one_way"]


def probe(
    network: nn.Module, layers: nn.ModuleList, *, look_ahead: bool = False
) -> tuple[bool, bool, bool]:
    """See by trying whether attention is causal, whether layers return tuples, and hand on more.

    Args:
        network: The bare transformer.
        layers: Its layers.
        look_ahead: Try it with a mask that lets every token see all.
    """
    returned: list[Any] = []
    hook = layers[0].register_forward_hook(lambda *called: returned.append(called[2]))
    size = int(cast("PreTrainedModel", network).config.vocab_size)
    try:
        with torch.no_grad():
            ids = torch.tensor([[5 % size, 6 % size, 7 % size], [5 % size, 6 % size, 8 % size]])
            ids = ids.to(next(network.parameters()).device)
            mask: Any = torch.ones_like(ids)
            mask = see_all(network, mask) if look_ahead else mask
            states = network(input_ids=ids, attention_mask=mask).last_hidden_state
    finally:
        hook.remove()
    # In a causal model the first token cannot see that the last one differs.
    causal = bool(torch.allclose(states[0, 0], states[1, 0], atol=1e-6))
    tuples = isinstance(returned[0], tuple)
    more = tuples and any(isinstance(part, torch.Tensor) for part in returned[0][1:])
    return causal, tuples, more


def require_look_ahead(
    name: str, network: nn.Module, layers: nn.ModuleList, *, causal: bool
) -> None:
    """Refuse a network that sees what follows anyway, or cannot be made to.

    Raises:
        ModelError: It is one of these.
    """
    if not causal:
        raise ModelError(
            f"model.base: {name} reads both ways already: model.look_ahead does nothing.",
            fix="Leave out model.look_ahead.",
        )
    try:
        still = probe(network, layers, look_ahead=True)[0]
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError):
        still = True  # a network that takes no masks of this shape
    if still:
        raise ModelError(
            f"model.base: {name} cannot be made to see the words that follow.",
            fix="Leave out model.look_ahead, or use an encoder.",
        )


def require_one_way(config: "ModelConfig", answer: Answer, *, causal: bool, apart: bool) -> None:
    """Refuse a base that cannot foretell the words that a recipe wants of it.

    Args:
        config: What the recipe asks for.
        answer: What it is to answer with.
        causal: A token sees only what stands before it.
        apart: It is an encoder-decoder that writes.

    Raises:
        ModelError: It reads both ways where it must not.
    """
    if answer == "text" and not causal:
        raise _both_ways(config, "write text")
    if apart and config.head == "words":
        raise _both_ways(config, "weigh the names of labels")


def _both_ways(config: "ModelConfig", job: str) -> ModelError:
    """The base looks ahead where the job needs one that does not."""
    instead = ", or set model.head: classes" if config.head == "words" else ""
    return ModelError(
        f"model.base: {config.base} reads both ways, so it cannot {job}.",
        fix=f"Set model.base: favilla, or a folder or hub id of another decoder{instead}.",
    )
