"""The formula for texts: what it counts is what the engine cuts, and it grows as the work does."""

from types import SimpleNamespace

import numpy as np
import pytest

from fucina import forecast, plan
from fucina.config import AdapterConfig, ChatConfig, ModelConfig
from fucina.counting import Counts, of_texts
from fucina.models import blueprint
from fucina.models.build import build
from fucina.models.conversations import write
from fucina.recipe import parse
from fucina.records import Dataset, Example, Fold, Split

RECIPE = "{task: chat, name: a, data: {train: a.jsonl}, chat: {max_new_tokens: 8}}"
SYSTEM = "Sei Nerina, guardiana del faro: parli poco, da marinaia, e dici sempre che tempo fa."
MACHINE = plan.Machine(
    "test", gpu=False, precision="float32", flops_s=1e11, bytes_s=1e10, memory_mib=8000, workers=2,
    layer_s=5e-4,
)  # fmt: skip


def _split(rows, folds=1, answer="il pacco arriva", asked="dove ordine"):
    examples = tuple(Example(f"{asked} " * (1 + i % 5) + str(i), answer) for i in range(rows))
    parts = []
    for fold in range(folds):
        held = tuple(range(fold, rows, 5))
        parts.append(Fold(tuple(i for i in range(rows) if i not in held), held))
    data = Dataset("train", examples)
    return Split(data, data.take(range(rows // 5)), tuple(parts), ())


@pytest.fixture
def drawn(make_decoder):
    base = blueprint.draw(ModelConfig(base=str(make_decoder("llama"))), "text")
    return lambda recipe: blueprint.with_template(base, recipe.chat, None)


def _work(drawn, split, *overrides, counts=None):
    recipe = parse(RECIPE, overrides)[0]
    base = drawn(recipe)
    network = plan.measure(base.network, base.layers, base.width, recipe.adapter, base.head)
    counts = counts or forecast.count(split, base, recipe)
    return plan.work(network, forecast.shapes(split, counts, recipe), recipe)


def _flat(rows, *, length=40, prefix=0, learnt=10, asked=20):
    """Counts of rows that are all alike, the fifth part of them test rows."""
    of, test = np.full(rows, length), np.full(rows // 5, length + prefix)
    return Counts(
        of, test, prefix=prefix, learnt=np.full(rows, learnt),
        test_learnt=np.full(rows // 5, learnt), asked=np.full(rows // 5, asked), begun=prefix,
    )  # fmt: skip


def test_the_drawn_decoder_is_the_loaded_one_with_its_head(make_decoder, load_decoder):
    for kind in ("llama", "qwen3", "gpt2"):  # tied, not tied, and tied under another name
        base = load_decoder(kind)
        found = blueprint.draw(ModelConfig(base=str(make_decoder(kind))), "text")
        assert (found.layers, found.head, found.width) == (base.layers, base.head, base.width)
        assert {p.device.type for p in found.network.parameters()} == {"meta"}
        for settings in ({"rank": 3}, {"kind": "full", "layers": 1},
                         {"kind": "full", "layers": "all"}):  # fmt: skip
            config = AdapterConfig(**settings)
            counted = plan.measure(found.network, found.layers, found.width, config, found.head)
            stack = build(base, config, members=1, labels=0, seed=0, workers=1)
            assert counted.trained == stack.adapters.shape[1], (kind, settings)
            assert counted.parameters == sum(p.numel() for p in base.network.parameters())
            writes = stack.replicas[0].network.get_submodule(base.head).weight
            assert counted.head == writes.numel()
            assert counted.trains_head == writes.requires_grad, (kind, settings)


def test_steps_tokens_and_what_is_learnt_are_those_of_the_engine(load_decoder):
    from fucina.train.batches import at_most, chunks, epoch_batches

    recipe = parse(RECIPE, ["training.batch_size=8", f"chat.system='{SYSTEM}'"])[0]
    split, loaded = _split(60, folds=2), load_decoder("llama")
    base = SimpleNamespace(
        template=blueprint.choose_template(loaded.tokenizer, recipe.chat, None),
        encoder="",
        max_length_tokens=256,
    )
    cut = forecast.shapes(split, forecast.count(split, base, recipe), recipe)
    written = write(split.development.examples, base.template, max_length_tokens=256)
    batches = epoch_batches(written.lengths, split.folds, 8, seed=recipe.seed, epoch=1)
    parts = [part for batch in batches for part in at_most(chunks(batch, written.lengths), 8)]
    assert cut.steps == len(batches)
    assert len(cut.training) == len(parts)
    trained = [row for fold in split.folds for row in fold.train]
    assert cut.texts.prefix == written.prefix > 16
    assert cut.texts.learnt == written.weights[trained].sum()
    assert cut.tokens == written.lengths[trained].sum() + 2 * cut.steps * written.prefix


def test_no_stage_of_labels_is_planned(drawn):
    stages = _work(drawn, _split(60)).stages
    assert list(stages) == ["libraries", "rows", "loading", "reading", "training", "checkpoints",
                            "saving", "answering", "baselines", "report"]  # fmt: skip
    alone = _work(drawn, _split(60), "evaluation.baselines=[]").stages
    assert alone["baselines"].flops == 0 < stages["baselines"].flops


def test_more_rows_members_and_layers_ask_for_more(drawn):
    one, twice = (_work(drawn, _split(rows)) for rows in (200, 400))
    ratio = twice.stages["training"].flops / one.stages["training"].flops
    assert ratio == pytest.approx(2, rel=0.05)
    three = _work(drawn, _split(200, folds=3))
    assert three.trainable == 3 * one.trainable
    assert three.stages["training"].flops > 2 * one.stages["training"].flops
    deep = _work(drawn, _split(200), "adapter.layers=all")
    assert deep.stages["training"].flops > 1.3 * one.stages["training"].flops
    assert deep.stages["reading"].flops == 0 < one.stages["reading"].flops


def test_learnt_tokens_reach_the_head_there_and_back_and_no_others_do(drawn):
    split = _split(100)
    few, many = (_work(drawn, split, counts=_flat(100, learnt=n)) for n in (10, 20))
    head = few.network.head
    held, trained = 20 * 10, 80 * 10  # tokens that were added
    more = many.stages["training"].flops - few.stages["training"].flops
    assert more == pytest.approx(
        2 * head * (4 * 2 * trained + 5 * held)
    )  # 4 epochs, judged 5 times
    whole = ("adapter.kind=full", "adapter.layers=all")
    few, many = (_work(drawn, split, *whole, counts=_flat(100, learnt=n)) for n in (10, 20))
    assert few.network.trains_head
    more = many.stages["training"].flops - few.stages["training"].flops
    assert more == pytest.approx(2 * head * (4 * 3 * trained + 5 * held))


def test_a_larger_vocabulary_asks_for_more_time_and_memory(drawn):
    from dataclasses import replace

    split, recipe = _split(100), parse(RECIPE)[0]
    work = _work(drawn, split)
    wide = replace(work.network, head=100 * work.network.head)
    large = plan.work(wide, work.shapes, recipe)
    for stage in ("training", "answering", "baselines"):
        assert large.stages[stage].flops > 2 * work.stages[stage].flops
    small, grown = (plan.estimate(one, MACHINE, recipe) for one in (work, large))
    assert grown.peak_mib > small.peak_mib


def test_a_shared_beginning_costs_its_tokens_once_a_step_and_not_once_a_row(drawn):
    split, deep = _split(160), "adapter.layers=all"
    own = _work(drawn, split, deep, counts=_flat(160, length=140))
    shared = _work(drawn, split, deep, counts=_flat(160, length=40, prefix=100))
    longer = _work(drawn, split, deep, counts=_flat(160, length=40, prefix=200))
    steps = shared.shapes.steps
    assert own.shapes.tokens - shared.shapes.tokens == 100 * (128 - steps)
    assert longer.shapes.tokens - shared.shapes.tokens == 100 * steps
    training = [one.stages["training"].flops for one in (shared, longer, own)]
    assert training == sorted(training)
    # A step has 16 rows: 100 tokens for each, or 100 for all, which each looks back at.
    assert training[2] - training[0] > 4 * (training[1] - training[0])
    assert training[1] > training[0]


def test_longer_prompts_and_answers_take_longer_to_write(drawn):
    split = _split(100)
    stages = [
        _work(drawn, split, f"chat.max_new_tokens={most}", counts=_flat(100, asked=asked)).stages
        for most, asked in ((8, 20), (8, 60), (64, 20))
    ]
    short, prompts, answers = (one["answering"].flops for one in stages)
    assert short < prompts < answers
    assert stages[2]["answering"].alone == 8 * stages[0]["answering"].alone
    assert len({one["training"].flops for one in stages}) == 1


def test_without_a_tokenizer_tokens_are_guessed_from_characters():
    split, most = _split(40), 256
    counts = of_texts(split, None, most, ChatConfig(system=SYSTEM * 2))
    assert counts.prefix > 30
    assert counts.lengths.min() > 0
    assert counts.learnt.sum() == 40 * (round(len("il pacco arriva") / 4) + 1)
    assert (counts.asked + counts.begun < counts.test).all()
    assert of_texts(split, None, most, ChatConfig()).prefix < counts.prefix
    assert of_texts(split, None, 20, ChatConfig()).truncated > 0


def test_all_weights_keep_gradients_and_moments(drawn):
    split = _split(100)
    found = []
    for kind in ("lora", "full"):
        own = (f"adapter.kind={kind}", "adapter.layers=all", "adapter.rank=1")
        work = _work(drawn, split, *own)
        recipe = parse(RECIPE, own)[0]
        found.append(plan.memory(work, recipe, weight_bytes=4, workers=2, gpu=False))
    assert found[1]["members"] > 3 * found[0]["members"]


def test_a_part_of_conversations_keeps_its_folds():
    small = plan.part(_split(100, folds=3), 32, 8, seed=0)
    assert small.labels == ()
    assert all(fold.train and fold.held_out for fold in small.folds)
