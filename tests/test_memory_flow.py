"""Runs that hold less: what is decided, kept, told and refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fucina import flow, plan, run, using
from fucina.config import ModelConfig
from fucina.errors import RecipeError
from fucina.models import blueprint
from fucina.recipe import parse
from fucina.tasks.settings import refuse_idle

PAIRS = [(f"{asked} {when}?", f"{said} {when}.") for when in ("oggi", "domani", "stasera", "a maggio")
         for asked, said in (("com'è il mare", "grosso"), ("posso uscire", "no, gira a libeccio"),
                             ("che luce è", "la testa del molo"))]  # fmt: skip


@pytest.fixture
def job(tmp_path, make_decoder):
    """Give a function: overrides → recipe of a small chat job in `tmp_path`."""
    rows = [{"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
            for asked, said in PAIRS]  # fmt: skip
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")

    def make(*overrides):
        return parse(
            "{task: chat, name: sea, data: {train: rows.jsonl}, chat: {max_new_tokens: 4},"
            " adapter: {rank: 4, layers: 2}, training: {epochs: 2, batch_size: 4, precision: float32},"
            f" model: {{base: '{make_decoder('llama')}'}}, output: '{tmp_path}/runs',"
            " evaluation: {bootstrap_samples: 100, baselines: []}}",
            overrides,
        )[0]  # fmt: skip

    return make


def _adapter(outcome):
    return load_file(next(Path(outcome.folder).glob("best_model*/adapter_model.safetensors")))


def _log(outcome):
    return next((Path(outcome.folder) / "logs").glob("*.log")).read_text(encoding="utf-8")


def test_a_run_over_four_bits_is_judged_and_answers_over_four_bits(job, tmp_path):
    pytest.importorskip("bitsandbytes")
    outcome = flow.train(job("model.quantize=nf4", "engine.optimizer=adamw_8bit"), tmp_path)
    plain = flow.train(job(), tmp_path)
    folder = Path(outcome.folder)
    assert run.read_recipe(folder).model.quantize == "nf4"
    assert using.judge(folder).scores == outcome.model.scores
    assert outcome.model.scores["perplexity"].value == pytest.approx(
        plain.model.scores["perplexity"].value, rel=0.3
    )
    assert outcome.model.scores != plain.model.scores
    kept, whole = (run.read_json(Path(o.folder) / "plan.json")["estimate"]["memory"]
                   for o in (outcome, plain))  # fmt: skip
    assert kept["weights"] < whole["weights"]


@pytest.mark.parametrize(("free_mib", "twice"), [(1e6, False), (1.0, True)])
def test_layers_are_computed_twice_only_where_memory_needs_it(
    free_mib, twice, job, tmp_path, monkeypatch
):
    from fucina.train import cross_validate

    real, built = plan.here, []
    build = cross_validate.build
    monkeypatch.setattr(
        plan, "here", lambda *args, **more: replace(real(*args, **more), memory_mib=free_mib)
    )
    monkeypatch.setattr("fucina.forecast.held_mib", lambda: 0.0)
    monkeypatch.setattr(
        cross_validate, "build",
        lambda *args, **more: built.append(more["checkpointing"]) or build(*args, **more),
    )  # fmt: skip
    outcome = flow.train(job("adapter.dropout=0.2"), tmp_path)
    assert built == [twice]
    assert ("computed twice" in _log(outcome)) == twice
    plain = flow.train(job("adapter.dropout=0.2", "engine.checkpointing=false"), tmp_path)
    assert built == [twice, False]
    ours, theirs = _adapter(outcome), _adapter(plain)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_peak_is_told_beside_the_plan(job, tmp_path):
    outcome = flow.train(job(), tmp_path)
    found = run.read_json(Path(outcome.folder) / "metrics.json")["memory"]
    assert found["peak_mib"] > 100
    assert found["planned_mib"] > 100
    sentence = f"peak memory {found['peak_mib']:.0f} MiB of {found['where']}; the plan said"
    assert sentence in _log(outcome)
    page = (Path(outcome.folder) / "report.html").read_text(encoding="utf-8")
    assert f"the plan said {found['planned_mib']:.0f} MiB" in page


MACHINE = plan.Machine(
    "test", gpu=True, precision="bfloat16", flops_s=1e13, bytes_s=2e11, memory_mib=4000, workers=1,
    layer_s=5e-4,
)  # fmt: skip
LARGE = {
    "model_type": "llama", "dtype": "bfloat16", "vocab_size": 32000, "hidden_size": 2048,
    "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
    "num_key_value_heads": 8,
}  # fmt: skip


@pytest.fixture
def weigh(tmp_path):
    """Give a function: overrides → what a base of a billion parameters takes on a GPU of 4 GB."""
    (tmp_path / "config.json").write_text(json.dumps(LARGE), encoding="utf-8")
    drawn = blueprint.draw(ModelConfig(base=str(tmp_path)), "text")
    passes = [[8.0, 512.0]] * 8

    def make(*overrides):
        import numpy as np

        recipe = parse(
            "{task: chat, name: a, data: {train: a}, adapter: {layers: all}}", overrides
        )[0]
        network = plan.measure(
            drawn.network, drawn.layers, drawn.width, recipe.adapter, drawn.head,
            quantize=recipe.model.quantize,
        )  # fmt: skip
        empty = np.zeros((0, 2))
        shapes = plan.Shapes(
            rows=64, learned=64, test_rows=0, labels=0, members=1, characters=1000, tokens=32768,
            steps=4, reading=empty, training=np.array(passes), held_out=empty, answering=empty,
        )  # fmt: skip
        work = plan.work(network, shapes, recipe)
        return work, plan.estimate(work, MACHINE, recipe)

    return make


def test_the_plan_counts_weights_in_four_bits(weigh):
    work, four = weigh("model.quantize=nf4")
    whole = weigh()[1]
    layers = sum(work.network.products)
    expected = (0.5 + 1 / 64 + 4 / 64 / 256) * layers + 2 * (work.network.parameters - layers)
    largest = 2 * 2048 * 8192  # unpacked to multiply
    assert four.memory["weights"] == pytest.approx((expected + largest) / 2**20, rel=1e-6)
    assert whole.memory["weights"] == pytest.approx(2 * work.network.parameters / 2**20)
    assert four.seconds["training"] > whole.seconds["training"]


def test_the_plan_counts_what_checkpointing_saves_and_costs(weigh):
    plain, twice = weigh("engine.checkpointing=false")[1], weigh("engine.checkpointing=true")[1]
    name = "steps"
    assert twice.memory[name] < 0.5 * plain.memory[name]
    assert 1.1 < twice.seconds["training"] / plain.seconds["training"] < 1.6


def test_the_plan_counts_moments_in_eight_bits(weigh):
    whole, eight = weigh()[1], weigh("engine.optimizer=adamw_8bit")[1]
    numbers = weigh()[0].trainable
    saved = numbers * (8 - 2 * (1 + 4 / 256)) / 2**20
    assert whole.memory["members"] - eight.memory["members"] == pytest.approx(saved, rel=1e-6)


def test_changes_name_checkpointing_eight_and_four_bits_before_layers_are_given_up():
    text = "{task: chat, name: a, data: {train: a}, adapter: {kind: KIND, layers: all}}"

    def flat(kind, *overrides):
        changes = plan.changes(parse(text.replace("KIND", kind), overrides)[0], 4)
        return [part for change in changes for part in change]

    adapters = flat("lora", "engine.checkpointing=false")
    assert adapters.index("engine.checkpointing=true") < adapters.index("model.quantize=nf4")
    assert adapters.index("model.quantize=nf4") < adapters.index("adapter.layers=2")
    assert "engine.optimizer=adamw_8bit" not in adapters  # moments of adapters are small
    assert "engine.checkpointing=true" not in flat("lora")  # auto does it by itself
    assert "model.quantize=nf4" not in flat("lora", "model.quantize=nf4")
    whole = flat("full")
    assert "engine.optimizer=adamw_8bit" in whole
    assert "model.quantize=nf4" not in whole


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("adapter.kind=full", "model.quantize=nf4"), "model.quantize=nf4 does nothing"),
        (("adapter.kind=full", "adapter.dora=true"), "adapter.dora=true does nothing"),
        (("adapter.kind=head", "adapter.rslora=true"), "adapter.rslora=true does nothing"),
        (("adapter.kind=head", "engine.checkpointing=true"), "engine.checkpointing=true does"),
        (("engine.python=x",), "engine.python=x does nothing"),
        (("engine.backend=unsloth",), "engine.backend=unsloth does nothing"),
    ],
)
def test_a_setting_that_does_nothing_beside_another_is_refused(overrides, words):
    recipe, _ = parse("{task: classification, name: a, data: {train: a}}", overrides)
    with pytest.raises(RecipeError, match=words) as caught:
        refuse_idle(recipe)
    assert "eave" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "place", "value"),
    [
        ("load_in_4bit: true", "model.quantize", "nf4"),
        ("load_in_4bit: false", "model.quantize", "none"),
        ("quantization_bit: 4", "model.quantize", "nf4"),
        ("training: {optim: adamw_bnb_8bit}", "engine.optimizer", "adamw_8bit"),
        ("optimizer: adamw_torch", "engine.optimizer", "adamw"),
        ("gradient_checkpointing: true", "engine.checkpointing", True),
        ("adapter: {use_dora: true}", "adapter.dora", True),
        ("peft_use_rslora: true", "adapter.rslora", True),
        ("use_unsloth: true", "engine.backend", "unsloth"),
    ],
)
def test_names_and_values_of_other_tools_are_read_and_told(text, place, value):
    recipe, mapped = parse(f"{{task: chat, name: a, data: {{train: a}}, {text}}}")
    section, _, last = place.partition(".")
    assert getattr(getattr(recipe, section), last) == value
    assert len(mapped) == 1
    assert place in mapped[0]


def test_a_name_of_another_tool_in_an_override_is_told_with_its_value():
    text = "{task: chat, name: a, data: {train: a}}"
    recipe, mapped = parse(text, ["load_in_4bit=true", "training.optimizer=adamw_8bit"])
    assert (recipe.model.quantize, recipe.engine.optimizer) == ("nf4", "adamw_8bit")
    assert mapped == [
        "load_in_4bit is read as model.quantize=nf4",
        "training.optimizer is read as engine.optimizer",
    ]
