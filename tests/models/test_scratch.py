"""A base made from nothing: the same for the same rows, and refused where it cannot help."""

import pytest

from fucina import reading, tasks
from fucina.errors import RecipeError
from fucina.models import base as bases
from fucina.models import scratch
from fucina.recipe import parse

TEXTS = ["Com'è il mare? Perché è così grosso?", "Grosso, e di cattivo umore: resta a casa."] * 9


def test_the_same_texts_and_seed_give_the_same_folder(tmp_path):
    first = scratch.make(tmp_path, TEXTS, seed=1)
    kept = (first / "model.safetensors").read_bytes()
    assert scratch.make(tmp_path, TEXTS, seed=1) == first
    assert scratch.make(tmp_path, TEXTS, seed=2) != first
    assert scratch.make(tmp_path, TEXTS[:1], seed=1) != first
    other = scratch.make(tmp_path / "again", TEXTS, seed=1)
    assert (other / "model.safetensors").read_bytes() == kept


def test_it_loads_as_any_decoder_and_writes_italian(tmp_path):
    folder = scratch.make(tmp_path, TEXTS, seed=1)
    recipe, _ = parse(f"{{task: chat, name: a, data: {{train: a}}, model: {{base: '{folder}'}}}}")
    base = bases.with_template(bases.load(recipe.model, answer="text"), recipe.chat, tmp_path)
    assert base.template is not None
    assert base.template.end == "<|im_end|>"
    text = "perché l'acqua è più fredda: 12,5°"
    assert base.tokenizer.decode(base.tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize(("text", "fix"), [
    ("{task: classification, name: a, data: {train: a}, model: {base: scratch}}", "favilla-encoder"),
    ("{task: chat, name: a, data: {train: a}, model: {base: scratch}}", "adapter.kind: full"),
    ("{task: chat, name: a, data: {train: a}, model: {base: scratch},"
     " adapter: {kind: full, layers: 2}}", "adapter.layers: all"),
])  # fmt: skip
def test_it_is_refused_where_it_cannot_learn(text, fix, tmp_path):
    with pytest.raises(RecipeError) as caught:
        reading.read_subject(parse(text)[0], tmp_path)
    assert fix in caught.value.fix


def test_what_a_recipe_calls_scratch_becomes_a_folder_of_its_rows(tmp_path):
    folder = tasks.folder("hashtags")
    recipe, _ = parse(
        (folder / "recipe.yaml").read_text("utf-8"), [f"output={tmp_path}", "model.base=scratch"]
    )
    rows = reading.read_subject(recipe, folder).train
    settled = reading.settle(recipe, rows)
    assert settled.model.base.startswith(str(tmp_path))
    assert reading.settle(settled, rows) == settled
