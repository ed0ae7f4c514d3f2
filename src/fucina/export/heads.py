"""A base with a member in its weights and a head of classes, as other programs load it.

A classifier is a folder of sentence-transformers, whose vectors are the scores of the labels:
transformer, pooling, unit length, a dense layer. A tagger is a token classification model of
transformers. Both are transformers checkpoints besides.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fucina import run
from fucina.errors import ModelError
from fucina.models.stack import pool

if TYPE_CHECKING:
    from fucina.models.base import Base

__all__ = ["DENSE", "DTYPES", "Heard", "open_labeller", "open_tagger", "weigh",
           "write_labeller", "write_tagger"]  # fmt: skip

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SHARD = "5GB"
DENSE = "3_Dense"
POOLING = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token",
           "last": "pooling_mode_lasttoken"}  # fmt: skip
MODULES = ("Transformer", "Pooling", "Normalize", "Dense")
ALIKE = 1e-3  # how near the scores of a class of transformers must be to those of the bare network


def write_labeller(
    network: Any, base: "Base", head: Tensor, bias: Tensor, folder: Path, precision: str
) -> None:
    """Write a classifier as sentence-transformers reads it; its words are written beside it.

    Args:
        network: The bare transformer in float32, with the member in its weights.
        base: Of the run.
        head: d x c.
        bias: c.
        folder: Where it goes.
        precision: Of the weights; the head stays in float32.
    """
    _save(network, folder, precision)
    places = ("", "1_Pooling", "2_Normalize", DENSE)
    run.write_json(
        folder / "modules.json",
        [
            {"idx": place, "name": str(place), "path": path,
             "type": f"sentence_transformers.models.{name}"}
            for place, (name, path) in enumerate(zip(MODULES, places, strict=True))
        ],
    )  # fmt: skip
    run.write_json(
        folder / "sentence_bert_config.json",
        {"max_seq_length": base.max_length_tokens, "do_lower_case": False},
    )
    modes = {name: name == POOLING[base.pooling] for name in POOLING.values()}
    run.write_json(
        folder / "1_Pooling" / "config.json", {"word_embedding_dimension": base.width, **modes}
    )
    run.write_json(
        folder / DENSE / "config.json",
        {"in_features": base.width, "out_features": len(bias), "bias": True,
         "activation_function": "torch.nn.modules.linear.Identity"},
    )  # fmt: skip
    # Heads are learnt on vectors of length sqrt(d), and these have length 1.
    weight = head.detach().cpu().float().t() * base.width**0.5
    run.write_tensors(
        folder / DENSE / "model.safetensors",
        {"linear.weight": weight.contiguous(), "linear.bias": bias.detach().cpu().float()},
        {},
    )


def write_tagger(
    network: Any, head: Tensor, bias: Tensor, tags: Sequence[str], folder: Path, precision: str
) -> None:
    """Write a tagger as `AutoModelForTokenClassification` reads it.

    Args:
        network: The bare transformer in float32, with the member in its weights.
        head: d x c.
        bias: c.
        tags: The c names of tags.
        folder: Where it goes.
        precision: Of all weights.

    Raises:
        ModelError: transformers has no such class for this architecture, or one that computes more
            than a linear layer.
    """
    made = _tagging(network, head, bias, tags)
    if made is None:
        raise ModelError(
            f"transformers has no plain token classification for {type(network).__name__}.",
            fix="Export it with --to onnx, or train an encoder such as favilla-encoder.",
        )
    _save(made, folder, precision)


def _tagging(network: Any, head: Tensor, bias: Tensor, tags: Sequence[str]) -> Any:
    """A token classification model around a network; None where there is none that is plain."""
    import transformers

    config = copy.deepcopy(network.config)
    config.id2label = dict(enumerate(tags))
    config.label2id = {tag: place for place, tag in enumerate(tags)}
    try:
        made: Any = transformers.AutoModelForTokenClassification.from_config(config).float().eval()
    except ValueError:  # it names all architectures that it has
        return None
    own = {name: tensor for name, tensor in network.state_dict().items() if "pooler" not in name}
    getattr(made, made.base_model_prefix).load_state_dict(own, strict=False)
    lasts = [layer for layer in made.children() if isinstance(layer, nn.Linear)]
    if len(lasts) != 1 or lasts[0].weight.shape != head.t().shape:
        return None
    ids = (torch.arange(10).view(2, 5) + 3) % config.vocab_size
    with torch.no_grad():
        lasts[0].weight.copy_(head.t())
        if lasts[0].bias is None:
            return None
        lasts[0].bias.copy_(bias)
        states = network(input_ids=ids).last_hidden_state.float()
        wanted = states @ head.cpu().float() + bias.cpu().float()
        alike = (made(input_ids=ids).logits - wanted).abs().max() <= ALIKE * wanted.abs().max()
    return made if alike else None


def _save(network: Any, folder: Path, precision: str) -> None:
    network = network.to(DTYPES[precision])
    network.config.dtype = DTYPES[precision]
    network.config.use_cache = True
    network.save_pretrained(folder, max_shard_size=SHARD)


class Heard:
    """Remembers networks of others with heads; called as a graph of ONNX Runtime is.

    Args:
        scores: Token ids and mask, b x L, to scores, k x b x c or k x b x L x c.
    """

    def __init__(self, scores: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._scores = scores

    def run(self, _: Sequence[str], given: Mapping[str, Any]) -> list[Any]:
        """Scores of all members."""
        ids, mask = (torch.from_numpy(given[name]) for name in ("ids", "mask"))
        with torch.no_grad():
            return [self._scores(ids, mask).float().numpy()]


def weigh(
    states: Tensor, mask: Tensor, base: "Base", head: Mapping[str, Tensor], *, pooled: bool
) -> Tensor:
    """Scores by a head of classes, b x c, or b x L x c of taggers.

    Args:
        states: b x L x d.
        mask: b x L, 1 where there is a token.
        base: How states are pooled.
        head: `weight`, c x d, and `bias`, c.
        pooled: Of each text, not of each token.
    """
    seen = pool(states, mask, base.pooling) if pooled else states
    return seen @ head["weight"].t() + head["bias"]


def open_labeller(network: Any, base: "Base", dense: Mapping[str, Tensor]) -> Heard:
    """A written classifier, as sentence-transformers computes it.

    Args:
        network: The transformer in it, in float32.
        base: How its states are pooled.
        dense: The tensors of its dense layer.
    """
    head = {"weight": dense["linear.weight"] / base.width**0.5, "bias": dense["linear.bias"]}

    def scores(ids: Tensor, mask: Tensor) -> Tensor:
        states = network(input_ids=ids, attention_mask=mask).last_hidden_state
        return weigh(states, mask, base, head, pooled=True)[None]

    return Heard(scores)


def open_tagger(network: Any) -> Heard:
    """A token classification model of transformers.

    Args:
        network: In float32.
    """
    return Heard(lambda ids, mask: network(input_ids=ids, attention_mask=mask).logits[None])
