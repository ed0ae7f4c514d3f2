"""The network to be pretrained: a layout of transformers, with fresh weights."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fucina.pretrain.settings import NetworkConfig

__all__ = ["build", "flops_a_token", "scaled"]


def build(config: "NetworkConfig", *, vocabulary: int, end: int, pad: int, seed: int) -> Any:
    """Make a network with random weights.

    Args:
        config: Its shape.
        vocabulary: Tokens.
        end: Token that ends an answer.
        pad: Token that fills up.
        seed: Draws the weights.

    Returns:
        A causal language model of transformers in float32, its words tied to its head.
    """
    import torch
    import transformers

    kinds = {"llama": transformers.LlamaConfig, "qwen3": transformers.Qwen3Config}
    made = kinds[config.layout](
        vocab_size=vocabulary,
        hidden_size=config.width,
        intermediate_size=config.feed_forward,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.key_value_heads,
        head_dim=config.width // config.heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        initializer_range=0.02,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = transformers.AutoModelForCausalLM.from_config(made)
        scaled(network, config.layers)
    return network


def scaled(network: Any, layers: int) -> None:
    """Draw what each layer adds smaller, so that the sum of all does not grow with their number.

    As in GPT-2 (Radford et al. 2019): divided by the root of twice the layers.
    """
    import torch

    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.div_((2 * layers) ** 0.5)


def flops_a_token(network: Any, length: int) -> float:
    """Operations to learn a token: six a weight that multiplies, and attention over half the row.

    As PaLM counts them (Chowdhery et al. 2022, appendix B); the words count once, as the head.

    Args:
        network: Whose words are tied to its head.
        length: Tokens of a row.
    """
    config = network.config
    weights = sum(p.numel() for p in network.parameters() if p.ndim == 2)
    attention = config.num_hidden_layers * config.num_attention_heads * config.head_dim * length
    return 6.0 * (weights + attention)
