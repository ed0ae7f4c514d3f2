"""The formula for encoder-decoders: both halves are counted, and what frozen ones say is kept."""

import numpy as np
import pytest

from fucina import forecast, plan
from fucina.config import AdapterConfig, ModelConfig
from fucina.models import blueprint
from fucina.models.build import build
from fucina.models.pairs import pair
from fucina.recipe import parse
from fucina.records import Dataset, Example, Fold, Split
from fucina.train.batches import at_most, chunks, epoch_batches

RECIPE = "{task: chat, name: a, data: {train: a.jsonl}, chat: {max_new_tokens: 8}}"


def _split(rows, folds=1, asked="dove ordine"):
    examples = tuple(Example(f"{asked} " * (1 + i % 5) + str(i), "il pacco") for i in range(rows))
    parts = []
    for fold in range(folds):
        held = tuple(range(fold, rows, 5))
        parts.append(Fold(tuple(i for i in range(rows) if i not in held), held))
    data = Dataset("train", examples)
    return Split(data, data.take(range(rows // 5)), tuple(parts), ())


@pytest.fixture
def drawn(make_pair):
    base = blueprint.draw(ModelConfig(base=str(make_pair("t5"))), "text")
    return lambda recipe: blueprint.with_template(base, recipe.chat, None)


def _work(drawn, split, *overrides, stored=True):
    recipe = parse(RECIPE, overrides)[0]
    base = drawn(recipe)
    network = plan.measure(
        base.network, base.layers, base.width, recipe.adapter, base.head, base.encoder
    )
    shapes = forecast.shapes(split, forecast.count(split, base, recipe), recipe)
    return plan.work(network, shapes, recipe, stored=stored)


@pytest.mark.parametrize("kind", ["t5", "flan-t5", "bart", "pegasus"])
def test_what_is_trained_is_what_the_engine_trains(kind, make_pair, load_pair):
    base, drawn = load_pair(kind), blueprint.draw(ModelConfig(base=str(make_pair(kind))), "text")
    for settings in ({"rank": 3}, {"rank": 3, "layers": "all"}, {"kind": "full", "layers": 1},
                     {"kind": "full", "layers": "all"}):  # fmt: skip
        config = AdapterConfig(**settings)
        counted = plan.measure(
            drawn.network, drawn.layers, drawn.width, config, drawn.head, drawn.encoder
        )
        stack = build(base, config, members=1, labels=0, seed=0, workers=1)
        assert counted.trained == stack.adapters.shape[1], settings
        assert counted.encoder.trunk == (0 if config.layers == "all" else counted.encoder.depth)
    layer = base.network.get_submodule(base.layers)[0]
    linear = sum(m.weight.numel() for m in layer.modules() if hasattr(m, "in_features"))
    assert counted.products[0] + counted.crossed[0] == linear
    assert counted.crossed[0] == 2 * 32 * 32  # keys and values of what is read


def test_passes_of_both_halves_are_those_of_the_engine(drawn, load_pair):
    recipe, split = parse(RECIPE, ["training.batch_size=8"])[0], _split(60, folds=2)
    cut = forecast.shapes(split, forecast.count(split, drawn(recipe), recipe), recipe)
    pairs = pair(split.development.examples, load_pair("t5").template, max_length_tokens=256)
    batches = epoch_batches(pairs.lengths, split.folds, 8, seed=recipe.seed, epoch=1)
    parts = [part for batch in batches for part in at_most(chunks(batch, pairs.lengths), 8)]
    sources = [(part.rows.size, pairs.source_lengths[part.rows].max()) for part in parts]
    targets = [(part.rows.size, pairs.target_lengths[part.rows].max()) for part in parts]
    assert cut.texts.sources.training.tolist() == np.array(sources, float).tolist()
    assert cut.training.tolist() == np.array(targets, float).tolist()
    trained = [row for fold in split.folds for row in fold.train]
    assert cut.texts.learnt == pairs.weights[trained].sum()
    assert cut.tokens == pairs.lengths[trained].sum()


def test_a_frozen_encoder_reads_once_and_an_adapted_one_in_every_epoch(drawn):
    split = _split(100)
    top, both = _work(drawn, split), _work(drawn, split, "adapter.layers=all")
    again = _work(drawn, split, stored=False)
    assert top.stages["reading"].flops > 0 == both.stages["reading"].flops
    assert both.stages["training"].flops > 3 * top.stages["training"].flops
    assert top.stages["training"].flops < again.stages["training"].flops
    assert again.stages["training"].flops < both.stages["training"].flops
    longer = _work(drawn, _split(100, asked="dove ordine perché quando spedizione"))
    assert longer.stages["training"].flops > 1.2 * top.stages["training"].flops
    assert longer.stages["reading"].flops > 1.5 * top.stages["reading"].flops


def test_longer_answers_and_more_members_ask_for_more(drawn):
    split = _split(100)
    one, long = _work(drawn, split), _work(drawn, split, "chat.max_new_tokens=64")
    ratio = long.stages["answering"].flops / one.stages["answering"].flops
    assert 1.3 < ratio < 8  # what is read stays
    three = _work(drawn, _split(100, folds=3))
    assert three.trainable == 3 * one.trainable
    alone = _work(drawn, split, "evaluation.baselines=[]")
    assert alone.stages["baselines"].flops == 0 < one.stages["baselines"].flops


def test_memory_holds_what_is_kept_and_what_an_adapted_encoder_keeps(drawn):
    split = _split(400, asked="dove ordine perché quando spedizione")

    def parts(*overrides):
        recipe = parse(RECIPE, overrides)[0]
        work = _work(drawn, split, *overrides)
        return plan.memory(work, recipe, weight_bytes=4, workers=2, gpu=False)

    top, both = parts(), parts("adapter.layers=all")
    assert top["stored"] > 0 == both["stored"]
    assert both["steps"] > 1.5 * top["steps"]


def test_without_a_tokenizer_tokens_are_guessed_from_characters(make_pair, tmp_path):
    import shutil

    folder = shutil.copytree(make_pair("t5"), tmp_path / "bare")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    recipe, split = parse(RECIPE)[0], _split(60)
    bare = blueprint.draw(ModelConfig(base=str(folder)), "text")
    assert bare.tokenizer is None
    guessed = forecast.count(split, blueprint.with_template(bare, recipe.chat, None), recipe)
    assert len(guessed.read) == len(guessed.learnt) == 60
    assert guessed.read.mean() > guessed.learnt.mean() > 1
