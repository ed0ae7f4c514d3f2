"""How llama.cpp wants a network: its settings and tensors, for the families that are proved.

Proved means: a test writes a random network of the family and finds transformers' odds again in
llama.cpp. The keys are those of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fucina.errors import ModelError
from fucina.export.gguf.rope import by_position, rotation

__all__ = ["FAMILIES", "Layout", "interleave", "layout_of"]

Config = Mapping[str, Any]
Change = Callable[[str, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Layout:
    """One network as llama.cpp wants it.

    Attributes:
        arch: What llama.cpp calls the family.
        layers: How many there are.
        facts: Key, without the family's name before it, to value.
        change: What a tensor of the checkpoint becomes, by its name there.
        skip: Parts of names of tensors that llama.cpp computes itself.
        more: Tensors that no checkpoint holds.
        notes: What a person should know.
    """

    arch: str
    layers: int
    facts: Mapping[str, Any]
    change: Change = lambda _, tensor: tensor
    skip: tuple[str, ...] = ()
    more: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def layout_of(config: Config) -> Layout:
    """Find how llama.cpp wants a network.

    Args:
        config: What its config.json says.

    Raises:
        ModelError: Its family is not proved, or it has something that llama.cpp's family lacks.
    """
    kind = config.get("model_type", "")
    if kind not in FAMILIES:
        raise ModelError(
            f"networks of the kind {kind!r} are not proved as GGUF; proved are "
            f"{', '.join(sorted(FAMILIES))}.",
            fix="Export it merged (--to merged), convert that folder with convert_hf_to_gguf.py "
            "of llama.cpp, and compare its answers.",
        )
    return FAMILIES[kind](config)


def interleave(tensor: np.ndarray, heads: int) -> np.ndarray:
    """Order the n rows of each head as llama.cpp's Llama turns them: row 0, then n/2, then 1.

    Args:
        tensor: Rows of all heads first.
        heads: How many there are.

    Example:
        >>> interleave(np.arange(8), 2).tolist()
        [0, 2, 1, 3, 4, 6, 5, 7]
    """
    pairs = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(tensor.shape))


def _llama(config: Config) -> Layout:
    _want(config, {"hidden_act": "silu"})
    facts, more = _turning(config)
    queries, keys = facts["attention.head_count"], facts["attention.head_count_kv"]

    def change(name: str, tensor: np.ndarray) -> np.ndarray:
        if ".q_proj." in name:
            return interleave(tensor, queries)
        return interleave(tensor, keys) if ".k_proj." in name else tensor

    return Layout("llama", config["num_hidden_layers"], facts, change, ("rotary_emb",), more)


def _mistral(config: Config) -> Layout:
    layout, window = _llama(config), config.get("sliding_window")
    if window is None or window >= layout.facts["context_length"]:
        return layout
    # llama.cpp's Llama sees everything; so long as all fits the window, both see the same.
    return Layout(
        layout.arch, layout.layers, {**layout.facts, "context_length": window}, layout.change,
        layout.skip, layout.more,
        (f"it reads {window} tokens at most, its window: llama.cpp has none for this family",),
    )  # fmt: skip


def _qwen2(config: Config) -> Layout:
    _want(config, {"hidden_act": "silu", "use_sliding_window": False})
    facts, more = _turning(config)
    if facts["attention.key_length"] * facts["attention.head_count"] != config["hidden_size"]:
        raise _lacks("head_dim", "heads that are together as wide as the network")
    return Layout("qwen2", config["num_hidden_layers"], facts, more=more, skip=("rotary_emb",))


def _qwen3(config: Config) -> Layout:
    _want(config, {"hidden_act": "silu", "use_sliding_window": False})
    facts, more = _turning(config)
    return Layout("qwen3", config["num_hidden_layers"], facts, more=more, skip=("rotary_emb",))


GEMMA = {
    "hidden_activation": "gelu_pytorch_tanh",
    "attn_logit_softcapping": None,
    "use_bidirectional_attention": False,
    "attention_bias": False,
}
WINDOW_EVERY = 6  # layers; of Gemma 3, the last of them sees everything
LARGEST_GEMMA = 62  # layers; llama.cpp divides its attention otherwise than that of the others


def _gemma3(config: Config) -> Layout:
    _want(config, GEMMA)
    facts, more = _turning(config, "full_attention")
    layers, width = config["num_hidden_layers"], facts["attention.key_length"]
    divided = config["hidden_size"] // config["num_attention_heads"]
    if config.get("query_pre_attn_scalar", 256) != (width if layers != LARGEST_GEMMA else divided):
        raise _lacks("query_pre_attn_scalar", f"{width} here")
    near = by_position(config, "sliding_attention").get("rope_theta", 10_000.0)
    if "rope_parameters" not in config:
        near = config.get("rope_local_base_freq", 10_000.0)
    facts |= {
        "attention.sliding_window": config["sliding_window"],
        "rope.freq_base_swa": float(near),
    }
    usual = [(layer + 1) % WINDOW_EVERY != 0 for layer in range(layers)]
    slides = [kind == "sliding_attention" for kind in config.get("layer_types") or ()] or usual
    if slides != usual:
        facts["attention.sliding_window_pattern"] = slides
    if cap := config.get("final_logit_softcapping"):
        facts["final_logit_softcapping"] = float(cap)

    def change(name: str, tensor: np.ndarray) -> np.ndarray:
        return tensor + 1 if name.endswith("norm.weight") else tensor  # Gemma's norms count from 1

    return Layout("gemma3", layers, facts, change, ("rotary_emb",), more)


PHI = {"hidden_act": "gelu_new", "qk_layernorm": False, "tie_word_embeddings": False}


def _phi(config: Config) -> Layout:
    _want(config, PHI)
    facts, more = _turning(config)
    rope = by_position(config)
    share = rope.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 0.5
    facts["rope.dimension_count"] = int(facts["attention.key_length"] * share)
    facts["attention.layer_norm_epsilon"] = float(config["layer_norm_eps"])
    return Layout("phi2", config["num_hidden_layers"], facts, more=more, skip=("rotary_emb",))


GPT2 = {
    "activation_function": "gelu_new",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


def _gpt2(config: Config) -> Layout:
    _want(config, GPT2)
    width = config["n_embd"]
    facts = {
        "context_length": config["n_positions"],
        "embedding_length": width,
        "block_count": config["n_layer"],
        "feed_forward_length": config.get("n_inner") or 4 * width,
        "attention.head_count": config["n_head"],
        "attention.layer_norm_epsilon": float(config["layer_norm_epsilon"]),
        "vocab_size": config["vocab_size"],
    }

    def change(name: str, tensor: np.ndarray) -> np.ndarray:
        # Its layers hold their matrices the other way round than all others do.
        turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
        return np.ascontiguousarray(tensor.T) if name.endswith(turned) else tensor

    return Layout("gpt2", config["n_layer"], facts, change, (".attn.bias", ".attn.masked_bias"))


FAMILIES: Mapping[str, Callable[[Config], Layout]] = {
    "gemma3_text": _gemma3,
    "gpt2": _gpt2,
    "llama": _llama,
    "mistral": _mistral,
    "phi": _phi,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
}


def _turning(config: Config, kind: str = "") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The settings of a network whose positions turn, and the tensor that says how fast."""
    heads, width = config["num_attention_heads"], config["hidden_size"]
    head = config.get("head_dim") or width // heads
    positions = config["max_position_embeddings"]
    rope, divisors = rotation(by_position(config, kind), head, positions)
    facts: dict[str, Any] = {
        "context_length": positions,
        "embedding_length": width,
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": heads,
        "attention.head_count_kv": config.get("num_key_value_heads") or heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "rope.dimension_count": head,
        "vocab_size": config["vocab_size"],
        **{f"rope.{name}": value for name, value in rope.items()},
    }
    if "rms_norm_eps" in config:
        facts["attention.layer_norm_rms_epsilon"] = float(config["rms_norm_eps"])
    return facts, {} if divisors is None else {"rope_freqs.weight": divisors}


def _want(config: Config, wanted: Mapping[str, Any]) -> None:
    """Refuse a network that computes something else than llama.cpp's family.

    Raises:
        ModelError: A setting is another.
    """
    for name, value in wanted.items():
        found = config.get(name, value)
        if found != value and not (value is False and found is None):
            raise _lacks(name, repr(value), found)


def _lacks(name: str, has: str, found: Any = None) -> ModelError:
    said = "" if found is None else f" of {found!r}"
    return ModelError(
        f"its config.json has a {name}{said}; llama.cpp's network of this family has {has}.",
        fix="Serve it with the built-in engine, or use a base that llama.cpp knows.",
    )
