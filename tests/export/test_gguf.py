"""A GGUF file holds the network and the tokenizer it was written from."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fucina
from fucina.errors import MissingExtraError, ModelError, ResourceError
from fucina.export import gguf
from fucina.export.gguf import kinds

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
                "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
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


def metadata(path):
    found = reading.GGUFReader(path)
    return {name: field.contents() for name, field in found.fields.items()}


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"])
def test_a_file_read_back_holds_the_weights(kind, tmp_path):
    written = gguf.write(FAVILLA, tmp_path / "a.gguf", kind)
    check = gguf.check_weights(FAVILLA, written.path, kind)
    assert check.passed
    assert check.cases == 56
    limits = {"F32": 0, "F16": 1e-6, "BF16": 0, "Q8_0": 0.01, "Q5_1": 0.05, "Q5_0": 0.06}
    assert check.value <= limits.get(kind, 0.12)
    assert written.size_bytes == (tmp_path / "a.gguf").stat().st_size
    assert written.types[kind] > 40 or kind == "F32"


def test_a_file_of_other_weights_fails_its_check(make_variant, tmp_path):
    kind, settings = VARIANTS["llama"]
    folder = make_variant(kind, **settings)
    gguf.write(folder, tmp_path / "a.gguf", "F32")
    other = make_variant(kind, **{**settings, "initializer_range": 0.5})
    assert gguf.check_weights(folder, tmp_path / "a.gguf", "F32").passed
    shutil.copytree(other, tmp_path / "other")
    tensors = {name: tensor * 1.01 for name, tensor in _load(other).items()}
    _save(tensors, tmp_path / "other")
    check = gguf.check_weights(tmp_path / "other", tmp_path / "a.gguf", "F32")
    assert not check.passed
    assert check.value > 0.005


def _load(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def _save(tensors, folder):
    from safetensors.torch import save_file

    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def test_queries_and_keys_are_ordered_as_llama_cpp_turns_them(make_variant, tmp_path):
    folder = make_variant(*VARIANTS["llama"][:1], **VARIANTS["llama"][1])
    gguf.write(folder, tmp_path / "a.gguf", "F32")
    tensors = {t.name: t.data for t in reading.GGUFReader(tmp_path / "a.gguf").tensors}
    query = _load(folder)["model.layers.1.self_attn.q_proj.weight"].numpy()
    # 4 heads of 8 rows: the second half of a head stands between the rows of the first.
    order = [head * 8 + row for head in range(4) for pair in range(4) for row in (pair, pair + 4)]
    assert np.array_equal(tensors["blk.1.attn_q.weight"], query[order])
    value = _load(folder)["model.layers.1.self_attn.v_proj.weight"].numpy()
    assert np.array_equal(tensors["blk.1.attn_v.weight"], value)
    assert "output.weight" not in tensors  # tied


def test_a_file_says_what_it_is(tmp_path):
    about = gguf.About("portiere", base="favilla", description="Answers at the door.")
    gguf.write(FAVILLA, tmp_path / "a.gguf", "Q8_0", about=about)
    said = metadata(tmp_path / "a.gguf")
    assert said["general.architecture"] == "llama"
    assert said["general.name"] == "portiere"
    assert said["general.license"] == "apache-2.0"  # of the README in the folder
    assert said["general.base_model.0.name"] == "favilla"
    assert said["general.file_type"] == 7
    assert said["llama.context_length"] == 2048
    assert said["llama.attention.head_count_kv"] == 2
    assert said["llama.rope.freq_base"] == 10000
    tokenizer = {key.removeprefix("tokenizer."): value for key, value in said.items()}
    assert tokenizer["ggml.pre"] == "gpt-2"
    assert tokenizer["ggml.tokens"][2] == "<|im_end|>"
    assert tokenizer["ggml.token_type"][:4] == [3, 3, 3, 1]
    assert tokenizer["ggml.eos_token_id"] == tokenizer["ggml.eot_token_id"] == 2
    assert tokenizer["ggml.padding_token_id"] == 0
    assert not tokenizer["ggml.add_bos_token"]
    assert len(tokenizer["ggml.merges"]) == 7933
    assert tokenizer["chat_template"] == (FAVILLA / "chat_template.jinja").read_text("utf-8")


def test_equal_checkpoints_give_equal_files(tmp_path):
    for name in ("a", "b"):
        gguf.write(FAVILLA, tmp_path / f"{name}.gguf", "Q8_0")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_chatml_needs_nothing_that_training_alone_gives(make_decoder, tmp_path):
    written = gguf.write(make_decoder("qwen3"), tmp_path / "a.gguf", "F16")
    assert written.template.startswith('{%- set END = "<|im_end|>" %}{%- for')
    assert written.end == "<|im_end|>"


def test_a_template_that_thinks_is_told_not_to(make_decoder, tmp_path):
    thinking = (
        "{% for m in messages %}{% generation %}<|im_start|>{{ m.content }}<|im_end|>"
        "{% endgeneration %}{% endfor %}{% if enable_thinking is false %}!{% endif %}"
    )
    written = gguf.write(make_decoder("llama"), tmp_path / "a.gguf", "F16", template=thinking)
    from jinja2 import Environment

    shown = Environment().from_string(written.template).render(messages=[{"content": "x"}])
    assert shown == "<|im_start|>x<|im_end|>!"


def test_weights_in_several_files_are_one_network(make_variant, tmp_path):
    folder = make_variant("Qwen2Config")
    tensors = _load(folder)
    split = tmp_path / "split"
    shutil.copytree(folder, split)
    (split / "model.safetensors").unlink()
    names = sorted(tensors)
    where = {name: f"model-{1 + i % 2}.safetensors" for i, name in enumerate(names)}
    from safetensors.torch import save_file

    for file in set(where.values()):
        save_file({n: tensors[n] for n in names if where[n] == file}, split / file)
    (split / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    gguf.write(folder, tmp_path / "a.gguf", "F16")
    gguf.write(split, tmp_path / "b.gguf", "F16", about=gguf.About(folder.name))
    assert (tmp_path / "b.gguf").stat().st_size == (tmp_path / "a.gguf").stat().st_size
    assert gguf.check_weights(folder, tmp_path / "b.gguf", "F16").passed


PREFIXED = {
    "type": "ByteLevel", "add_prefix_space": True, "use_regex": True, "trim_offsets": True,
}  # fmt: skip
REFUSED = {
    "an unknown family": ({"model_type": "mamba"}, "proved are gemma3_text, gpt2, llama"),
    "another activation": ({"hidden_act": "gelu"}, "hidden_act of 'gelu'"),
    "positions of another kind": (
        {"rope_parameters": {"rope_type": "longrope", "rope_theta": 1.0}}, "'longrope'",
    ),
    "too few tokens": ({"vocab_size": 300}, "the network has 300 tokens"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_proved_is_refused_and_nothing_is_written(case, make_variant, tmp_path):
    change, message = REFUSED[case]
    folder = tmp_path / "base"
    shutil.copytree(make_variant("LlamaConfig", tie_word_embeddings=True), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ModelError, match=message):
        gguf.write(folder, tmp_path / "out" / "a.gguf")
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, "no way to cut text"),
        ({"normalizer": {"type": "Lowercase"}}, "changes texts"),
        ({"pre_tokenizer": PREFIXED}, "no way to cut text"),
        ({"pre_tokenizer": {"type": "Nothing"}}, "cannot be loaded"),
    ],
)  # fmt: skip
def test_a_tokenizer_that_llama_cpp_lacks_is_refused(change, message, make_variant, tmp_path):
    folder = tmp_path / "base"
    shutil.copytree(make_variant("LlamaConfig", tie_word_embeddings=True), folder)
    raw = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**raw, **change}), "utf-8")
    with pytest.raises(ModelError, match=message):
        gguf.write(folder, tmp_path / "a.gguf")


def test_a_missing_or_broken_file_is_told(tmp_path, make_variant):
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        gguf.write(tmp_path, tmp_path / "a.gguf")
    folder = tmp_path / "base"
    shutil.copytree(make_variant("LlamaConfig", tie_word_embeddings=True), folder)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read"):
        gguf.write(folder, tmp_path / "a.gguf")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no model\.safetensors"):
        gguf.write(folder, tmp_path / "a.gguf")


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write"):
        gguf.write(FAVILLA, tmp_path / "file" / "a.gguf")


def test_an_unknown_type_names_the_nearest():
    with pytest.raises(ModelError, match="Q4_K_M"):
        kinds.kind_of("q4km")


def test_without_llama_cpp_types_of_its_own_name_others(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(MissingExtraError, match=r"Q4_K_M is made by llama\.cpp.*or take Q8_0"):
        gguf.write(FAVILLA, tmp_path / "a.gguf", "Q4_K_M")


def test_llama_cpp_writes_its_own_types_and_says_where_it_could_not(tmp_path):
    pytest.importorskip("llama_cpp")
    written = gguf.write(FAVILLA, tmp_path / "a.gguf", "Q4_K_M")
    assert written.types["Q4_K"] > 20
    assert any("640" in note for note in written.notes)  # favilla's inner width
    assert metadata(tmp_path / "a.gguf")["general.file_type"] == 15
    assert [file.name for file in tmp_path.iterdir()] == ["a.gguf"]
    check = gguf.check_weights(FAVILLA, written.path, "Q4_K_M")
    assert check.passed
    assert 0.01 < check.value < 0.12


def test_a_window_of_mistral_limits_what_it_reads(make_variant, tmp_path):
    folder = make_variant("MistralConfig", sliding_window=64, head_dim=8)
    written = gguf.write(folder, tmp_path / "a.gguf", "F32")
    assert written.context == 64
    assert "its window" in written.notes[0]
