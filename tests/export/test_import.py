"""Configurations of Axolotl and LLaMA-Factory as people write them, read into recipes."""

import json
from pathlib import Path

import pytest

from fucina.errors import FucinaError
from fucina.importing import import_config
from fucina.recipe import load

AXOLOTL = """
base_model: org/model
load_in_4bit: true
adapter: qlora
lora_r: 32
lora_alpha: 64
lora_target_linear: true
datasets:
  - {path: rows.jsonl, type: chat_template, field_messages: conversations}
  - {path: more.jsonl, type: alpaca}
val_set_size: 0.05
sequence_len: 131072
micro_batch_size: 2
num_epochs: 3
learning_rate: 2e-4
lr_scheduler: cosine_with_min_lr
warmup_steps: 10
optimizer: paged_adamw_8bit
bf16: auto
fp16:
neftune_noise_alpha: 5
flash_attention: true
chat_template: llama3
"""
LLAMAFACTORY = """
model_name_or_path: org/model
stage: sft
finetuning_type: lora
lora_rank: 12
lora_target: q_proj,v_proj
dataset: mine
dataset_dir: data
cutoff_len: 1024
learning_rate: 1.0e-4
num_train_epochs: 2.5
mask_history: true
template: chatml
"""


def _read(text, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "given.yaml").write_text(text, encoding="utf-8")
    found = import_config(folder / "given.yaml", folder / "made.yaml")
    return found, load(Path(found.recipe))[0]


def test_axolotl_is_read_with_its_defaults_guesses_and_what_is_left_out(tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}\n", encoding="utf-8")
    found, recipe = _read(AXOLOTL, tmp_path)
    assert recipe.data.train == "rows.jsonl"
    assert (recipe.adapter.kind, recipe.adapter.layers, recipe.adapter.rank) == ("lora", "all", 32)
    assert (recipe.training.learning_rate, recipe.training.warmup) == (2e-4, 10)
    assert (recipe.training.weight_decay, recipe.seed) == (0.0, 42), "defaults of Axolotl, not ours"
    assert (recipe.stopping.patience, recipe.stopping.keep) == (1000, "rollback")
    assert recipe.model.max_length_tokens == 32768
    assert (recipe.model.quantize, recipe.engine.optimizer) == ("nf4", "adamw_8bit")
    assert set(found.left) == {
        "neftune_noise_alpha",
        "flash_attention",
    }
    told = "\n".join(found.guessed)
    for word in ("1 more data sets", "cosine_with_min_lr", "paged_adamw_8bit", "llama3", "131072"):
        assert word in told
    head = Path(found.recipe).read_text(encoding="utf-8").partition("\ntask:")[0]
    assert "neftune_noise_alpha" in head
    assert "llama3" in head


def test_llamafactory_is_read_with_its_list_of_data_sets(tmp_path):
    (tmp_path / "data").mkdir()
    listed = {"mine": {"file_name": "rows.json", "columns": {"prompt": "q", "response": "a"}}}
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(listed), encoding="utf-8")
    (tmp_path / "data" / "rows.json").write_text("[]", encoding="utf-8")
    found, recipe = _read(LLAMAFACTORY, tmp_path)
    assert recipe.data.train == "data/rows.json"
    assert recipe.data.columns == {"prompt": "q", "answer": "a"}
    assert recipe.adapter.alpha == 24, "twice the rank unless it is written"
    assert recipe.adapter.target_modules == ("q_proj", "v_proj")
    assert (recipe.training.epochs, recipe.training.schedule) == (3, "linear")
    assert (recipe.chat.supervise, recipe.chat.template) == ("last", "chatml")
    assert any("2.5 epochs" in sentence for sentence in found.guessed)


def test_rows_that_are_not_there_are_told(tmp_path):
    found, recipe = _read(LLAMAFACTORY, tmp_path)
    assert recipe.data.train == "data/mine.json"
    assert any("there is no file data/mine.json" in sentence for sentence in found.guessed)
    assert any("dataset_info.json has no mine" in sentence for sentence in found.guessed)


@pytest.mark.parametrize(("text", "problem"), [
    (AXOLOTL + "rl: dpo\n", "does not train on answers"),
    (LLAMAFACTORY.replace("stage: sft", "stage: ppo"), "does not train on answers"),
    ("task: chat\nname: a\n", "of no tool"),
    ("model_name_or_path: a\nlearning_rate: 1e-4\n", "names no rows"),
    ("- a\n", "holds no settings"),
    ("a: [1\n", "is not YAML"),
    (AXOLOTL.replace("lora_r: 32", "lora_r: many"), ""),
])  # fmt: skip
def test_what_cannot_be_read_is_told_and_nothing_is_written(text, problem, tmp_path):
    if not problem:
        found, _ = _read(text, tmp_path)
        assert "lora_r" in found.left, "a value that no recipe can hold"
        return
    with pytest.raises(FucinaError, match=problem):
        _read(text, tmp_path)
    assert not (tmp_path / "made.yaml").exists()
