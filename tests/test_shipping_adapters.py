"""Adapters that are exported change their base as in the run, by PEFT and by llama.cpp."""

import json

import pytest
import torch

from fucina import run, using
from fucina.config import ShipConfig
from fucina.errors import RecipeError
from fucina.shipping import ship
from serve.conftest import SPOKEN, _train

ROWS = [{"prompt": asked, "answer": said} for asked, said in SPOKEN * 3]
SHORT = "chat.max_new_tokens=10"


@pytest.fixture(scope="module")
def trained(make_decoder, make_pair, tmp_path_factory):
    """Give a function: architecture and settings → a run that talks, or labels by names."""
    made = {}

    def train(kind="llama", *more):
        if (kind, *more) not in made:
            folder = tmp_path_factory.mktemp("ship")
            base = (
                kind
                if kind == "favilla"
                else make_pair(kind)
                if kind in ("t5", "bart")
                else make_decoder(kind)
            )
            made[kind, *more] = _train(folder, "talk", "chat", base, ROWS, SHORT, *more)
        return made[kind, *more]

    return train


def _checks(shipped):
    return {check.name: check for check in shipped.proof.checks}


def _exact(**more):
    return ShipConfig(precision="float32", cases=8, **more)


@pytest.mark.parametrize(
    ("kind", "more"),
    [("llama", ()), ("qwen3", ("adapter.rslora=true",)), ("gpt2", ("adapter.dora=true",)),
     ("t5", ()), ("bart", ("adapter.layers=all",)), ("favilla", ())],
)  # fmt: skip
def test_peft_loads_an_adapter_that_answers_as_the_run(kind, more, trained, tmp_path, monkeypatch):
    from peft import AutoPeftModelForCausalLM, AutoPeftModelForSeq2SeqLM
    from transformers import AutoTokenizer

    monkeypatch.chdir(tmp_path)
    folder = trained(kind, *more)
    shipped = ship(folder, "adapter", config=_exact())
    checks = _checks(shipped)
    assert checks["logits"].value < 1e-3
    assert checks["weights"].value == 0
    told = run.read_json(folder / "metrics.json")["model"]["scores"]["token_loss"]["value"]
    assert checks["token_loss"].value == pytest.approx(told, abs=2e-3)
    assert ("base/model.safetensors" in shipped.files) == (kind == "favilla")
    loads = AutoPeftModelForSeq2SeqLM if kind in ("t5", "bart") else AutoPeftModelForCausalLM
    adapted = loads.from_pretrained("talk-adapter", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained("talk-adapter")
    asked = SPOKEN[0][0]
    (answer,) = using.predict(folder, [asked]).answers
    if kind in ("t5", "bart"):
        given = tokenizer(asked, return_tensors="pt")
        options = {"max_length": 11} if kind == "bart" else {"max_new_tokens": 10}
    else:
        turns = [{"role": "user", "content": asked}]
        given = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        options = {"max_new_tokens": 10}
    given.pop("token_type_ids", None)
    with torch.no_grad():
        written = adapted.generate(**given, **options, do_sample=False, num_beams=1)[0]
    written = written if kind in ("t5", "bart") else written[given["input_ids"].shape[1] :]
    assert tokenizer.decode(written, skip_special_tokens=True).strip() == answer
    if kind in ("t5", "bart", "gpt2"):
        assert shipped.next.startswith("see talk-adapter/README.md")
    else:
        assert shipped.next.startswith("vllm serve ")
        assert "--lora-modules talk=talk-adapter" in shipped.next
        assert "--chat-template talk-adapter/chat_template.jinja" in shipped.next
        ends = json.loads((tmp_path / "talk-adapter/generation_config.json").read_text())
        assert tokenizer.decode(ends["eos_token_id"]) in ("<|end|>", "<|im_end|>")


def test_adapters_of_folds_answer_together_or_as_their_mean(trained, tmp_path):
    folder = trained("llama", "folds.count=3", "training.epochs=1")
    together = ship(folder, "adapter", tmp_path / "t", config=_exact(members="together"))
    checks = _checks(together)
    assert checks["logits"].value < 1e-3
    told = run.read_json(folder / "metrics.json")["model"]["scores"]["token_loss"]["value"]
    assert checks["token_loss"].value == pytest.approx(told, abs=2e-3)
    assert "member-3/adapter_config.json" in together.files
    mean = ship(folder, "adapter", tmp_path / "m", config=_exact(members="averaged"))
    by = {(check.name, check.engine.split(" (")[0]): check for check in mean.proof.checks}
    assert by["logits", "peft"].value < 1e-3  # against the weights that are the mean
    assert by["logits", "peft"].limit is not None
    assert by["logits", "transformers"].limit is None  # against the members together
    assert by["logits", "transformers"].value > 1e-3
    merged = ship(folder, "merged", tmp_path / "g", config=_exact(members="averaged"))
    assert by["token_loss", "torch merged"].value == _checks(merged)["token_loss"].value


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_an_encoder_decoder_is_merged(kind, make_pair, tmp_path, tmp_path_factory):
    folder = _train(tmp_path_factory.mktemp("ship"), "talk", "chat", make_pair(kind), ROWS, SHORT)
    checks = _checks(ship(folder, "merged", tmp_path / "out", config=_exact()))
    assert checks["prompt tokens"].value == 1
    assert checks["logits"].value < 1e-3
    assert checks["answers"].value == 1
    with pytest.raises(RecipeError, match="is an encoder-decoder"):
        ship(folder, "gguf", tmp_path / "no", config=_exact())
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("to", ["gguf", "ollama"])
def test_llama_cpp_puts_the_adapter_on_the_base(to, trained, tmp_path):
    pytest.importorskip("gguf")
    folder = trained("llama", "folds.count=3", "training.epochs=1")
    config = ShipConfig(kind="F16", adapter=True, cases=8, members="2")
    shipped = ship(folder, to, tmp_path / "out", config=config)
    assert {"talk-base-F16.gguf", "talk-adapter.gguf"} <= set(shipped.files)
    if to == "ollama":
        made = (tmp_path / "out" / "Modelfile").read_text("utf-8")
        assert "FROM ./talk-base-F16.gguf\nADAPTER ./talk-adapter.gguf" in made
    else:
        assert shipped.next.startswith("llama-server -m ")
    pytest.importorskip("llama_cpp")
    checks = _checks(shipped)
    assert checks["logits"].passed
    assert checks["answers"].value == 1


@pytest.mark.parametrize("to", ["merged", "adapter", "gguf"])
def test_labels_weighed_by_names_are_exported_as_a_model_that_writes(to, make_decoder, tmp_path):
    from conftest import LABELLED

    if to == "gguf":
        pytest.importorskip("gguf")
    rows = [{"text": text, "label": label} for text, label in LABELLED]
    folder = _train(
        tmp_path, "kind", "classification", make_decoder("llama"), rows, "model.head=words"
    )
    config = ShipConfig(precision="float32", kind="F16", cases=8)
    shipped = ship(folder, to, tmp_path / "out", config=config)
    checks = _checks(shipped)
    assert checks["logits"].passed
    told = run.read_json(folder / "metrics.json")["model"]["scores"]["accuracy"]["value"]
    assert checks["accuracy"].value == pytest.approx(told)
    with pytest.raises(RecipeError, match="weighs labels by their names"):
        ship(folder, "onnx", tmp_path / "no")


def test_what_is_no_adapter_is_refused(trained, tmp_path):
    with pytest.raises(RecipeError, match="trained all weights"):
        ship(trained("llama", "adapter.kind=full"), "adapter", tmp_path / "out")
    with pytest.raises(RecipeError, match="adapter= is for gguf and ollama"):
        ship(trained(), "merged", tmp_path / "out", config=_exact(adapter=True))
    folds = trained("llama", "folds.count=3", "training.epochs=1")
    with pytest.raises(RecipeError, match="would add the adapters up"):
        ship(folds, "gguf", tmp_path / "out", config=_exact(adapter=True, members="together"))
    assert list(tmp_path.iterdir()) == []


def test_words_are_distilled_by_what_the_members_write(trained, tmp_path):
    folder = trained("llama", "folds.count=3", "training.epochs=1")
    shipped = ship(folder, "merged", tmp_path / "out", config=_exact(members="distilled"))
    checks = _checks(shipped)
    assert checks["answers"].value == 1
    assert "(distilled of 3 members)" in checks["token_loss"].engine
    (own,) = (folder / "distilled" / "talk").iterdir()
    rows, _ = run.read_rows(own / "development.parquet")
    first = run.read_rows(folder / "development.parquet")[1]
    learnt = [row for row, fold in zip(rows.examples, first, strict=True) if fold != min(first)]
    said = using.predict(folder, [row.prompt for row in learnt]).answers
    assert tuple(row.target for row in learnt) == said
    kept = json.loads((tmp_path / "out" / "verify.json").read_text())
    assert kept["facts"]["members"] == "distilled"
