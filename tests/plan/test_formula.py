"""The formula: what it counts is what the engine builds, and it grows as the work does."""

from dataclasses import replace

import numpy as np
import pytest

from fucina import forecast, plan
from fucina.config import AdapterConfig, ModelConfig
from fucina.counting import of_labels, token_counts
from fucina.models import blueprint
from fucina.models.build import build
from fucina.plan.machine import _hardware
from fucina.recipe import parse
from fucina.records import Dataset, Example, Fold, Split

RECIPE = "{task: classification, name: a, data: {train: a.csv}}"


def _split(rows, folds=1):
    examples = tuple(
        Example(f"{'dove ordine ' * (1 + i % 5)}{i}", "ab"[i % 2]) for i in range(rows)
    )
    parts = []
    for fold in range(folds):
        held = tuple(range(fold, rows, 5))
        parts.append(Fold(tuple(i for i in range(rows) if i not in held), held))
    data = Dataset("train", examples)
    return Split(data, data.take(range(rows // 5)), tuple(parts), ("a", "b"))


def _work(split, *overrides, base="minilm"):
    recipe = parse(RECIPE, overrides)[0]
    drawn = blueprint.draw(ModelConfig(base=str(base)))
    network = plan.measure(drawn.network, drawn.layers, drawn.width, recipe.adapter)
    return plan.work(
        network, forecast.shapes(split, of_labels(split, None, 64), recipe), recipe
    ), recipe


MACHINE = plan.Machine(
    "test", gpu=False, precision="float32", flops_s=1e11, bytes_s=1e10, memory_mib=8000, workers=2,
    layer_s=5e-4,
)  # fmt: skip


def test_twice_the_rows_are_twice_the_training():
    small, large = (_work(_split(rows), "model.lexical=false")[0] for rows in (400, 800))
    ratio = large.stages["training"].flops / small.stages["training"].flops
    assert ratio == pytest.approx(2, rel=0.05)  # padding differs a little from batch to batch
    assert large.shapes.tokens / small.shapes.tokens == pytest.approx(2, rel=0.02)


def test_twice_the_epochs_are_twice_the_steps_and_not_twice_the_reading():
    split = _split(400)
    four, eight = (_work(split, f"training.epochs={n}")[0] for n in (4, 8))
    assert eight.stages["training"].flops == 2 * four.stages["training"].flops
    assert eight.stages["reading"].flops == four.stages["reading"].flops


def test_more_members_and_more_layers_ask_for_more():
    one = _work(_split(400))[0]
    five = _work(_split(400, folds=5))[0]
    deep = _work(_split(400), "adapter.layers=all")[0]
    assert five.trainable == 5 * one.trainable
    assert five.stages["training"].flops > 4 * one.stages["training"].flops
    assert deep.stages["training"].flops > 2.5 * one.stages["training"].flops
    assert deep.stages["reading"].flops == 0  # no layer is left to run only once


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2", "gpt_bigcode"])
def test_parameters_from_the_configuration_are_those_of_the_loaded_model(
    kind, make_base, load_base
):
    base = load_base(kind)
    drawn = blueprint.draw(ModelConfig(base=str(make_base(kind))))
    assert drawn.layers == base.layers
    assert drawn.width == base.width
    assert drawn.max_length_tokens == base.max_length_tokens
    assert {p.device.type for p in drawn.network.parameters()} == {"meta"}
    for settings in ({"rank": 3}, {"rank": 3, "layers": "all"}, {"kind": "full", "layers": 1},
                     {"kind": "full", "layers": "all"}, {"kind": "head"},
                     {"target_modules": "attention"}):  # fmt: skip
        config = AdapterConfig(**settings)
        counted = plan.measure(drawn.network, drawn.layers, drawn.width, config)
        stack = build(base, config, members=1, labels=2, seed=0, workers=1)
        assert counted.trained == stack.adapters.shape[1], settings
        assert counted.parameters == sum(p.numel() for p in base.network.parameters())
        assert counted.trunk == stack.depth


def test_steps_and_passes_are_those_of_the_engine(load_base):
    from fucina.train.batches import epoch_batches

    split = _split(300, folds=3)
    recipe = parse(RECIPE, ["training.batch_size=8"])[0]
    base = load_base("bert")
    cut = forecast.shapes(split, forecast.count(split, base, recipe), recipe)
    lengths, _ = token_counts(split.development.prompts, base.tokenizer, 64)
    batches = epoch_batches(lengths, split.folds, 8, seed=recipe.seed, epoch=1)
    assert cut.steps == len(batches)
    assert cut.training[:, 0].sum() == sum(batch.size for batch in batches)
    assert cut.tokens == sum(lengths[list(fold.train)].sum() for fold in split.folds)


def test_a_smaller_batch_needs_less_memory_where_texts_are_long():
    rows = tuple(Example(f"{i} " + "dove ordine " * 200, "ab"[i % 2]) for i in range(64))
    data = Dataset("train", rows)
    split = Split(data, data, (Fold(tuple(range(48)), tuple(range(48, 64))),), ("a", "b"))
    base = ("model.base=minilm", "adapter.layers=all", "model.lexical=false")
    peaks, steps = [], []
    for more in ((), ("training.batch_size=1", "training.accumulation=16")):
        recipe = parse(RECIPE, [*base, *more])[0]
        drawn = blueprint.draw(recipe.model)
        network = plan.measure(drawn.network, drawn.layers, drawn.width, recipe.adapter)
        work = plan.work(
            network, forecast.shapes(split, of_labels(split, None, 512), recipe), recipe
        )
        steps.append(work.shapes.steps)
        peaks.append(plan.estimate(work, MACHINE, recipe).peak_mib)
    assert steps[0] == steps[1]
    assert peaks[1] < 0.9 * peaks[0]


def test_the_first_change_that_is_tried_keeps_the_mathematics():
    recipe = parse(RECIPE, ["folds.count=5", "adapter.layers=all"])[0]
    tried = list(plan.changes(recipe, 6))
    assert tried[0] == ("training.batch_size=8", "training.accumulation=2")
    assert tried[3] == ("training.batch_size=1", "training.accumulation=16")
    assert tried[4] == ("model.quantize=nf4",)  # near, but not the same
    assert tried[9][-1] == "adapter.layers=3"
    assert tried[-1][-1] == "folds.count=0"
    for change in tried:
        parse(RECIPE, change)  # each can be typed as it is printed


def test_history_moves_an_estimate_towards_what_was_seen():
    work, recipe = _work(_split(400))
    formula = plan.estimate(work, MACHINE, recipe)
    size = work.stages["training"].flops
    past = [
        plan.Past(
            size * scale,
            formula.seconds,
            {stage: factor * seconds for stage, seconds in formula.seconds.items()},
            formula.peak_mib,
            formula.peak_mib + 100,
        )
        for scale, factor in ((1, 2.0), (1.1, 2.1), (0.9, 1.9), (1, 2.0), (1.2, 2.0), (1e4, 9.0))
    ]
    learned = plan.learn(past, size)
    assert learned.ratios["training"] == pytest.approx(2.0)  # the far one is not asked
    better = plan.estimate(work, MACHINE, recipe, learned)
    assert better.seconds["training"] == pytest.approx(2 * formula.seconds["training"])
    assert better.peak_mib == pytest.approx(formula.peak_mib + 100)
    # Runs that needed much more say nothing of the memory of a small one.
    assert plan.learn(past, size, formula.peak_mib / 2).memory_mib == 0
    assert plan.learn(past, size, formula.peak_mib / 1.2).memory_mib == pytest.approx(100)
    assert plan.past_error(past[:5]) < 0.06
    assert plan.past_error([]) is None


def test_history_of_another_machine_or_a_resumed_run_is_not_asked():
    estimate = {"seconds": {"training": 2.0, "checkpoints": 1.0}, "memory": {"all": 1.0}}
    truth = {"seconds": {"training": 3.0}, "epochs": 2, "resumed": False, "peak_mib": 2.0}
    record = {"machine": "x", "epochs": 4, "flops": 1.0, "estimate": estimate, "truth": truth}
    seen = plan.from_record(record, "x")
    assert seen.estimated == {
        "training": 1.0,
        "checkpoints": 0.5,
    }  # it stopped after two of four epochs
    assert plan.from_record(record, "y") is None
    assert plan.from_record({**record, "truth": {**truth, "resumed": True}}, "x") is None
    assert plan.from_record({**record, "truth": None}, "x") is None


def test_cost_follows_time_and_price():
    work, recipe = _work(_split(100))
    found = plan.estimate(work, replace(MACHINE, price=3600.0), recipe)
    assert found.cost == pytest.approx(found.total_s)


def test_every_number_of_the_hardware_has_a_source():
    names = [entry["name"] for entry in _hardware()]
    assert {"T4", "RTX 4090", "RTX 5070 Ti", "A100 80GB", "H100 SXM"} <= set(names)
    for entry in _hardware():
        numbers = [value for value in entry.values() if isinstance(value, dict)]
        assert len(numbers) == 6, entry["name"]
        for number in numbers:
            assert set(number) == {"value", "source"}
            assert len(number["source"]) > 10
    for machine in plan.catalog(full=True):
        assert machine.precision == "float32"


def test_a_part_keeps_the_folds_and_a_row_on_each_side():
    split = _split(400, folds=5)
    small = plan.part(split, 64, 8, seed=1)
    assert len(small.folds) == 5
    assert len(small.test) == 8
    for fold in small.folds:
        assert fold.train
        assert fold.held_out
        assert not set(fold.train) & set(fold.held_out)
    again = plan.part(split, 64, 8, seed=1)
    assert again == small


def test_tokens_of_many_texts_are_sampled(load_base):
    tokenizer = load_base("bert").tokenizer
    texts = ["dove ordine", "dove ordine arriva il pacco"] * 3000
    lengths, cut = token_counts(texts, tokenizer, 64)
    assert len(lengths) == len(texts)
    exact = np.mean([4, 7])
    assert lengths.mean() == pytest.approx(exact, rel=0.05)
    assert cut == 0


def test_a_part_of_the_rows_has_rows_of_every_task():
    """A probe judges each task by itself, and the rows of one follow those of another."""
    told = ["tags"] * 30 + ["sql"] * 3
    rows = [Example(f"row {n}", "x", facts={"part": part}) for n, part in enumerate(told)]
    data = Dataset("train", tuple(rows))
    folds = (Fold(tuple(range(0, 33, 2)), tuple(range(1, 33, 2))),)
    small = plan.part(Split(data, data, folds, ()), 6, 4, seed=0)
    parts = [row.facts["part"] for row in small.test.examples]
    assert (len(parts), set(parts)) == (4, {"tags", "sql"})
    for side in (small.folds[0].train, small.folds[0].held_out):
        assert {small.development.examples[row].facts["part"] for row in side} == {"tags", "sql"}
