"""The backend in an environment of its own: all but Unsloth's lines, with a stand-in that trains.

The stand-in is a package called `unsloth` that a second Python finds and this one does not. It
makes models with transformers and PEFT; job, worker, protocol and judging are the real ones.
"""

import json
import shlex
import stat
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fucina import flow, run, using
from fucina.errors import FucinaError, RecipeError, TrainingError
from fucina.recipe import load
from fucina.tasks.settings import refuse_idle
from fucina.train.elsewhere import require

STAND_IN = """
    import os
    if os.environ.get("STAND_IN") == "no gpu":
        raise NotImplementedError("Unsloth cannot find any torch accelerator? You need a GPU.")

    import peft, torch, transformers

    DEVICE_TYPE = "cpu"  # the real one refuses to be imported without a GPU
    __version__ = "stand-in"


    class FastLanguageModel:
        @staticmethod
        def from_pretrained(model_name, max_seq_length, load_in_4bit, dtype):
            print("libraries print what they like")
            torch.set_num_threads(1)
            if os.environ.get("STAND_IN") == "broken":
                raise RuntimeError("CUDA driver version is insufficient")
            model = transformers.AutoModelForCausalLM.from_pretrained(
                model_name, dtype=torch.float32
            )
            return model, transformers.AutoTokenizer.from_pretrained(model_name)

        @staticmethod
        def get_peft_model(model, r, lora_alpha, lora_dropout, target_modules,
                           layers_to_transform, bias, use_rslora,
                           use_gradient_checkpointing, random_state):
            return peft.get_peft_model(model, peft.LoraConfig(
                r=r, lora_alpha=lora_alpha, lora_dropout=lora_dropout, bias=bias,
                target_modules=target_modules, layers_to_transform=layers_to_transform,
                use_rslora=use_rslora, task_type="CAUSAL_LM",
            ))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Give a function: how it behaves → path of a Python that has the stand-in."""
    folder = tmp_path_factory.mktemp("environment")
    (folder / "site" / "unsloth").mkdir(parents=True)
    (folder / "site" / "unsloth" / "__init__.py").write_text(textwrap.dedent(STAND_IN))

    def make(mood="well"):
        python = folder / f"python_{mood.replace(' ', '_')}"
        path = shlex.quote(str(folder / "site"))
        python.write_text(
            "#!/bin/sh\n"
            f"STAND_IN={shlex.quote(mood)} PYTHONPATH={path}:$PYTHONPATH "
            f'exec {shlex.quote(sys.executable)} "$@"\n'
        )
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
        return str(python)

    return make


ROWS = [
    ("Com'è il mare?", "Grosso."), ("Posso uscire?", "No, gira a libeccio."),
    ("Che luce è quella?", "La testa del molo."), ("Hai paura?", "La paura tiene asciutti."),
    ("Quando accendi?", "Al tramonto."), ("E la nebbia?", "Porta un libro."),
    ("Che ora è?", "Presto."), ("Chi sei?", "Nerina."), ("E il vento?", "Calo."),
    ("Che barca è?", "Un gozzo."), ("Piove?", "Da ieri."), ("Dove vai?", "Sul molo."),
]  # fmt: skip


@pytest.fixture
def job(tmp_path, make_decoder):
    """Give a function: overrides → recipe and folder of a small chat job."""
    lines = [
        json.dumps({"messages": [{"role": "user", "content": asked},
                                 {"role": "assistant", "content": said}]})
        for asked, said in ROWS
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(
        "{task: chat, name: sea, data: {train: rows.jsonl}, chat: {max_new_tokens: 4},"
        " adapter: {rank: 4, layers: 2},"
        " training: {epochs: 2, batch_size: 2, accumulation: 2, learning_rate: 0.01,"
        " precision: float32}, evaluation: {bootstrap_samples: 100, baselines: []}}",
        encoding="utf-8",
    )

    def make(*overrides):
        base, output = f"model.base={make_decoder('llama')}", f"output={tmp_path}/runs"
        return load(tmp_path / "recipe.yaml", [base, output, *overrides])[0], tmp_path

    return make


def _adapter(outcome):
    return load_file(next(Path(outcome).glob("best_model*/adapter_model.safetensors")))


def test_it_learns_what_fucinas_own_loop_learns_and_is_judged_as_any_run(job, environment):
    recipe, root = job()
    own = flow.train(recipe, root)
    recipe, root = job("engine.backend=unsloth", f"engine.python={environment()}",
                       "training.precision=auto")  # fmt: skip
    said = []
    # The judge's precision is that of the machine; the stand-in trains in float32 like the other.
    outside = flow.train(recipe, root, say=said.append)
    ours, theirs = _adapter(own.folder), _adapter(outside.folder)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        # Adam divides by the root of tiny second moments, which magnifies the last bits.
        assert torch.allclose(value, theirs[name], atol=2e-3), name
    moved = max(value.abs().max() for name, value in ours.items() if "lora_B" in name)
    assert moved > 0.02
    epochs = run.read_epochs(Path(outside.folder))
    assert [epoch.epoch for epoch in epochs] == [0, 1, 2]
    plain = run.read_epochs(Path(own.folder))
    for one, two in zip(plain[1:], epochs[1:], strict=True):
        assert one.train_loss == pytest.approx(two.train_loss, abs=1e-3)
        assert one.validation_loss == pytest.approx(two.validation_loss, abs=1e-3)
        assert one.learning_rate == pytest.approx(two.learning_rate)
    assert not [sentence for sentence in said if "Unsloth says" in sentence]
    assert using.predict(Path(outside.folder), ["Com'è il mare?"]).answers


@pytest.mark.long
def test_folds_are_taught_one_after_the_other_and_stopping_is_ours(job, environment):
    recipe, root = job(
        "engine.backend=unsloth", f"engine.python={environment()}", "training.precision=auto",
        "folds.count=2", "training.epochs=6", "stopping.patience=1", "stopping.min_gain=9",
    )  # fmt: skip
    said = []
    outcome = flow.train(recipe, root, say=said.append)
    epochs = run.read_epochs(Path(outcome.folder))
    assert {epoch.member for epoch in epochs} == {0, 1}
    assert max(epoch.epoch for epoch in epochs) == 2  # no epoch gains nine nats
    assert sum("stopped because" in sentence for sentence in said) == 2
    assert len(list(Path(outcome.folder).glob("best_model*_fold*"))) == 2


@pytest.mark.parametrize(
    ("mood", "words"),
    [("no gpu", "You need a GPU"), ("broken", "CUDA driver version is insufficient")],
)
def test_an_environment_that_cannot_is_named_with_the_fix(mood, words, job, environment):
    recipe, root = job("engine.backend=unsloth", f"engine.python={environment(mood)}",
                       "training.precision=auto")  # fmt: skip
    with pytest.raises(TrainingError, match=words) as caught:
        flow.train(recipe, root)
    assert "engine.backend: fucina" in caught.value.fix


@pytest.mark.parametrize("python", [None, "/no/such/python", sys.executable])
def test_a_python_without_unsloth_is_refused(python):
    with pytest.raises(FucinaError) as caught:
        require(python)
    assert "Install Unsloth in an environment of its own" in caught.value.fix


@pytest.mark.parametrize(
    "overrides",
    [("adapter.kind=full", "adapter.layers=all"), ("adapter.dora=true",),
     ("stopping.save_every_epoch=true",), ("training.precision=float32",)],
)  # fmt: skip
def test_what_unsloth_does_not_do_is_refused(overrides, job):
    given = ["training.precision=auto", "engine.backend=unsloth", "engine.python=x", *overrides]
    with pytest.raises(RecipeError, match="unsloth"):
        refuse_idle(job(*given)[0])
