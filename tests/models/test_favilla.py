"""The embedded decoder: what ships with it, that it is whole, and that it knows both languages."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from fucina.errors import ModelError
from fucina.models.source import locate, read
from fucina.pretrain.judge import bits_a_byte
from fucina.pretrain.network import build
from fucina.pretrain.recipe import load
from fucina.reading import settle
from fucina.recipe import parse
from fucina.records import Dataset

FOLDER = Path(str(files("fucina"))) / "bases/favilla"
TEXTS = [
    "Perché non è più così? L'università apre alle nove, e il caffè costa 1,20 euro.",
    "The old house stood at the end of the road, and nobody had lived in it for years.",
]


@pytest.fixture(scope="module")
def favilla():
    return read("favilla", locate("favilla"), "text")


def test_all_that_must_go_with_it_is_there():
    names = {path.name for path in FOLDER.iterdir()}
    assert {
        "README.md",
        "LICENSE",
        "DATA_CARD.md",
        "recipe.yaml",
        "training_log.jsonl",
        "sums.json",
    } <= names
    assert (FOLDER / "model.safetensors").stat().st_size <= 40_000_000
    log = [json.loads(line) for line in (FOLDER / "training_log.jsonl").read_text().splitlines()]
    recipe = load(FOLDER / "recipe.yaml")
    last = [event for event in log if event["event"] == "step"][-1]
    batch = recipe.training.batch_tokens
    assert last["tokens"] == recipe.training.tokens // batch * batch
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{last['tokens']:,}" in card
    assert all(Path(corpus.path).name.partition(".")[0] in card for corpus in recipe.corpus)


def test_words_are_of_both_languages_and_numbers_of_digits(favilla):
    _, tokenizer = favilla
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert len(ids) < 0.45 * len(text)
    assert len(tokenizer("2026")["input_ids"]) == 4
    turns = [{"role": "user", "content": "Ciao!"}, {"role": "assistant", "content": "Salve."}]
    written = tokenizer.apply_chat_template(turns, tokenize=False)
    assert written.count("<|im_start|>") == written.count("<|im_end|>") == 2


def test_it_foretells_both_languages_far_better_than_random_weights(favilla):
    network, tokenizer = favilla
    recipe = load(FOLDER / "recipe.yaml")
    untrained = build(
        recipe.network, vocabulary=len(tokenizer), end=tokenizer.eos_token_id, pad=0, seed=0
    )
    for text in TEXTS:
        ids, size = np.array(tokenizer(text)["input_ids"], dtype=np.uint16), len(text.encode())
        bits = [bits_a_byte(one, ids, size, length=512, begin=0) for one in (network, untrained)]
        assert bits[0] < 0.75 * bits[1]


def test_a_cut_weight_file_is_named(tmp_path):
    base = tmp_path / "favilla"
    shutil.copytree(FOLDER, base)
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        read("base", str(base), "text")


@pytest.mark.parametrize(("settings", "base"), [
    ("task: chat", "favilla"),
    ("task: classification", "favilla-encoder"),
    ("task: classification, model: {head: words}", "favilla"),
    ("task: entities", "favilla-encoder"),
    ("task: entities.json", "favilla"),
    ("task: chat, model: {base: other}", "other"),
])  # fmt: skip
def test_without_a_base_the_embedded_one_that_suits_is_taken(settings, base):
    recipe = parse(f"{{{settings}, name: a, data: {{train: a}}}}")[0]
    assert settle(recipe, Dataset("train", ())).model.base == base
