"""A GGUF file is proved against the trained model, and an adapter against PEFT."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import fucina
from fucina.errors import ModelError
from fucina.export import gguf
from fucina.records import Example

pytest.importorskip("gguf")
FAVILLA = Path(fucina.__file__).parent / "bases" / "favilla"
ROWS = [Example(text, "") for text in ("Ciao, come va?", "Dov'è il pacco?", "SELECT 1", "ok")]


@pytest.fixture(scope="module")
def writer():
    from fucina.config import ChatConfig
    from fucina.models import base, saved
    from fucina.recipe import parse

    recipe, _ = parse("task: chat\nname: a\ndata: {train: '-'}\nmodel: {base: favilla}", [])
    loaded = base.with_template(base.load(recipe.model, answer="text"), ChatConfig(), Path())
    return replace(saved.untrained_writer(recipe, loaded, workers=2), max_new_tokens=12)


@pytest.fixture(scope="module")
def trained(writer):
    return gguf.trained_on(writer, ROWS)


def _open(path, **how):
    pytest.importorskip("llama_cpp")
    from fucina.engines.llama import LlamaTalker

    return LlamaTalker(path, max_tokens=12, threads=1, **how)


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_0"])
def test_a_file_of_the_trained_model_is_proved(kind, trained, tmp_path):
    gguf.write(FAVILLA, tmp_path / "a.gguf", kind)
    talker = _open(tmp_path / "a.gguf")
    try:
        tokens, logits, words, answers = gguf.prove(talker, trained, kind)
    finally:
        talker.close()
    assert (tokens.value, tokens.limit, tokens.passed) == (1.0, 1.0, True)
    assert tokens.engine == f"llama.cpp {kind}"
    assert logits.passed
    assert {"F16": 1e-5, "Q8_0": 1e-3, "Q4_0": 1e-2}[kind] < logits.value
    assert logits.value < {"F16": 1e-3, "Q8_0": 3e-2, "Q4_0": 0.2}[kind]
    if kind == "F16":
        assert (answers.value, answers.limit, answers.cases) == (1.0, 0.95, 4)
    if kind == "Q4_0":
        assert answers.limit is None
        assert (words.limit, words.passed) == (0.9, words.value >= 0.9)
    else:
        assert words.passed
        assert words.cases > 4


def test_where_training_rounds_more_than_the_file_nothing_is_judged(trained, tmp_path):
    gguf.write(FAVILLA, tmp_path / "a.gguf", "F16")
    talker = _open(tmp_path / "a.gguf")
    coarse = replace(trained, exact=False, answers=("anything else",) * 4)
    try:
        tokens, *others = gguf.prove(talker, coarse, "F16")
        asked = gguf.prove(talker, coarse, "F16", least_equal=0.5)[-1]
    finally:
        talker.close()
    assert tokens.limit == 1.0
    assert [(check.limit, check.passed) for check in others] == [(None, True)] * 3
    assert (asked.value, asked.passed) == (0.0, False)


def test_a_file_of_another_model_is_not(trained, tmp_path):
    """The same network, with the layers of another place."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(FAVILLA, tmp_path / "other")
    tensors = load_file(FAVILLA / "model.safetensors")
    name = "model.layers.{}.self_attn.q_proj.weight"
    tensors[name.format(1)] = tensors[name.format(4)].clone()
    save_file(tensors, tmp_path / "other" / "model.safetensors")
    gguf.write(tmp_path / "other", tmp_path / "a.gguf", "F16")
    talker = _open(tmp_path / "a.gguf")
    try:
        tokens, logits, words, answers = gguf.prove(talker, trained, "F16")
    finally:
        talker.close()
    assert tokens.passed
    assert not logits.passed
    assert not words.passed
    assert not answers.passed
    assert "rows that differ: 1" in answers.note


def test_another_template_is_seen_in_the_tokens(trained, tmp_path):
    plain = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    gguf.write(FAVILLA, tmp_path / "a.gguf", "F16", template=plain)
    talker = _open(tmp_path / "a.gguf")
    try:
        tokens, logits, *_ = gguf.prove(talker, trained, "F16")
    finally:
        talker.close()
    assert (tokens.value, tokens.passed) == (0.0, False)
    assert tokens.note == "rows that differ: 1, 2, 3, 4"
    assert logits.passed  # which read the tokens of training


def test_a_proof_tells_of_what_it_is(tmp_path):
    gguf.write(FAVILLA, tmp_path / "a.gguf", "Q8_0")
    facts = gguf.facts_of(tmp_path / "a.gguf")
    assert facts["bytes"] == (tmp_path / "a.gguf").stat().st_size
    assert len(facts["sha256"]) == 64
    assert facts["gguf"][0].isdigit()


MODULES = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj"],
    "qwen3": ["q_proj", "k_proj", "up_proj"],
    "gemma3": ["q_proj", "v_proj", "down_proj"],
    "gpt2": ["c_attn", "c_fc"],
}


def _adapter(base, folder, modules, **settings):
    """A random adapter as PEFT saves it, and the network with it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(3)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=modules, task_type="CAUSAL_LM", **settings
    )
    adapted = get_peft_model(network, config).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted.save_pretrained(folder)
    return adapted


@pytest.mark.filterwarnings("ignore:.*fan_in_fan_out")
@pytest.mark.parametrize(
    ("kind", "settings"),
    [("llama", {}), ("llama", {"use_rslora": True}), ("qwen3", {}), ("gemma3", {}), ("gpt2", {})],
)
def test_llama_cpp_puts_an_adapter_on_as_peft_does(kind, settings, make_decoder, tmp_path):
    pytest.importorskip("llama_cpp")
    from fucina.engines.llama_model import LlamaModel

    base = make_decoder(kind)
    adapted = _adapter(base, tmp_path / "peft", MODULES[kind], **settings)
    gguf.write(base, tmp_path / "base.gguf", "F32")
    made = gguf.write_adapter(tmp_path / "peft", base, tmp_path / "lora.gguf", name="mine")
    ids = torch.randint(4, 250, (1, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = adapted(ids).logits[0, -1].numpy()
        with adapted.disable_adapter():
            bare = adapted(ids).logits[0, -1].numpy()
    model = LlamaModel(tmp_path / "base.gguf", adapter=made, threads=1)
    try:
        found = model.odds(ids[0].tolist())
    finally:
        model.close()
    spread = np.ptp(expected)
    assert np.abs(found - expected).max() < 3e-3 * spread
    assert np.abs(bare - expected).max() > 0.05 * spread


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, "is DoRA"),
        ({"rank_pattern": {"q_proj": 2}}, "another alpha or rank"),
        ({"modules_to_save": ["lm_head"]}, "changes"),
        ({"target_modules": ["embed_tokens"]}, "changes"),
    ],
)
def test_an_adapter_that_is_more_than_plain_lora_wants_merging(
    settings, message, make_decoder, tmp_path
):
    base = make_decoder("qwen3")
    modules = settings.pop("target_modules", ["q_proj", "v_proj"])
    _adapter(base, tmp_path / "peft", modules, **settings)
    with pytest.raises(ModelError, match=message) as caught:
        gguf.write_adapter(tmp_path / "peft", base, tmp_path / "lora.gguf")
    assert "--to gguf" in caught.value.fix
    assert not (tmp_path / "lora.gguf").exists()


def test_a_folder_without_an_adapter_is_told(make_decoder, tmp_path):
    with pytest.raises(ModelError, match=r"adapter_config\.json cannot be read"):
        gguf.write_adapter(tmp_path, make_decoder("llama"), tmp_path / "lora.gguf")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 8}))
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors cannot be read"):
        gguf.write_adapter(tmp_path, make_decoder("llama"), tmp_path / "lora.gguf")
