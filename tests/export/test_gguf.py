"""A GGUF file holds the network and the tokenizer it was written from."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import fucina
from fucina.export import gguf

reading = pytest.importorskip("gguf")

FAVILLA = Path(fucina.__file__).parent / "bases" / "favilla"
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
}  # fmt: skip
YARN = {
    "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}


@pytest.fixture(scope="session")
def make_variant(decoder_tokenizer, tmp_path_factory):
    """Give a function: class of a configuration and settings → folder of a tiny random model."""
    import transformers

    made = {}

    def make(kind, **settings):
        key = (kind, json.dumps(settings, sort_keys=True))
        if key not in made:
            tokenizer = decoder_tokenizer()
            size = {
                "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 3,
                "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64,
                "max_position_embeddings": 256, "bos_token_id": 0, "eos_token_id": 1,
            }  # fmt: skip
            config = getattr(transformers, kind)(**{**size, **settings})
            torch.manual_seed(1)
            model = transformers.AutoModelForCausalLM.from_config(config)
            for name, parameter in model.named_parameters():
                spread = 0.1 if parameter.dim() == 1 else 0.15
                center = 1.0 if "norm" in name and "bias" not in name else 0.0
                torch.nn.init.normal_(parameter, mean=center, std=spread)
            folder = tmp_path_factory.mktemp(kind)
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[key] = folder
        return made[key]

    return make


VARIANTS = {
    "llama": ("LlamaConfig", {"tie_word_embeddings": True}),
    "llama with biases and wide heads": (
        "LlamaConfig", {"attention_bias": True, "mlp_bias": True, "head_dim": 16},
    ),
    "llama 3": ("LlamaConfig", {"rope_parameters": LLAMA3}),
    "llama linear": ("LlamaConfig", {"rope_parameters": LINEAR}),
    "llama yarn": ("LlamaConfig", {"rope_parameters": YARN}),
    "mistral": ("MistralConfig", {"sliding_window": None, "head_dim": 8}),
    "qwen2": ("Qwen2Config", {}),
    "qwen2 yarn": ("Qwen2Config", {"rope_parameters": YARN}),
    "qwen3": ("Qwen3Config", {"head_dim": 16, "tie_word_embeddings": True}),
    "gemma3": (
        "Gemma3TextConfig",
        {"num_hidden_layers": 7, "sliding_window": 6, "query_pre_attn_scalar": 8, "head_dim": 8},
    ),
    "gemma3 of another pattern": (
        "Gemma3TextConfig",
        {
            "num_hidden_layers": 4, "sliding_window": 6, "query_pre_attn_scalar": 8, "head_dim": 8,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "final_logit_softcapping": 5.0,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
    ),
    "phi": ("PhiConfig", {"num_key_value_heads": 4, "partial_rotary_factor": 0.5}),
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 128}),
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_llama_cpp_computes_what_transformers_computes(variant, make_variant, tmp_path):
    pytest.importorskip("llama_cpp")
    from transformers import AutoModelForCausalLM

    from fucina.engines.llama_model import LlamaModel

    kind, settings = VARIANTS[variant]
    folder = make_variant(kind, **settings)
    gguf.write(folder, tmp_path / "a.gguf", "F32")
    ids = torch.randint(4, 300, (1, 90), generator=torch.Generator().manual_seed(0))
    network = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        expected = network(ids).logits[0].numpy()
    model = LlamaModel(tmp_path / "a.gguf", threads=1)
    try:
        for last in (1, 5, 8, 40, 90):
            found = model.odds(ids[0, :last].tolist())
            # llama.cpp keeps what was read in float16, which has three digits.
            spread = np.ptp(expected[last - 1])
            assert np.abs(found - expected[last - 1]).max() < 3e-3 * spread, last
    finally:
        model.close()
