"""Classifiers and taggers that are exported answer as the run does, in the programs of others."""

import json
import re

import numpy as np
import pytest

import onnx_models as models
from conftest import LABELLED
from fucina import run, using
from fucina.config import ShipConfig
from fucina.errors import ModelError, RecipeError, RunError
from fucina.records import Example
from fucina.shipping import ship
from serve.conftest import _marked, _train

TEXTS = [text for text, _ in LABELLED]
LABELS = [{"text": text, "label": label} for text, label in LABELLED]
NOISY = [
    row if number % 3 else {**row, "label": LABELS[number - 1]["label"]}
    for number, row in enumerate(LABELS)
]
SPANS = [_marked(number) for number in range(30)]


@pytest.fixture(scope="module")
def trained(make_base, make_pair, tokenizer_folder, tmp_path_factory):
    """Give a function: task, architecture and settings → a run that labels or marks."""
    made = {}

    def _base(kind, folder):
        if kind in ("bert", "llama"):
            return make_base(kind)
        if kind in ("roberta", "modernbert"):
            (folder / kind).mkdir()
            models.make_folder(kind, folder / kind, tokenizer_folder)
            return folder / kind
        return make_pair(kind) if kind == "t5" else kind

    def train(task="classification", kind="bert", *more):
        if (task, kind, *more) not in made:
            folder = tmp_path_factory.mktemp("ship")
            rows = {"classification": LABELS, "noisy": NOISY, "entities": SPANS}[task]
            base = _base(kind, folder)
            own = "entities" if task == "entities" else "classification"
            made[task, kind, *more] = _train(folder, "kind", own, base, rows, *more)
        return made[task, kind, *more]

    return train


def _checks(shipped):
    return {(check.name, check.engine.split(" (")[0]): check for check in shipped.proof.checks}


def _exact(**more):
    return ShipConfig(precision="float32", **more)


@pytest.mark.parametrize(
    ("task", "kind", "more"),
    [("classification", "bert", ()), ("classification", "llama", ("model.pooling=last",)),
     ("classification", "bert", ("adapter.dora=true", "model.lexical=false")),
     ("classification", "bert", ("adapter.kind=full", "adapter.layers=all")),
     ("classification", "bert", ("adapter.kind=head",)),
     ("entities", "bert", ()), ("entities", "roberta", ("adapter.rslora=true",))],
)  # fmt: skip
def test_merged_heads_answer_as_the_run(task, kind, more, trained, tmp_path):
    folder = trained(task, kind, *more)
    shipped = ship(folder, "merged", tmp_path / "out", config=_exact())
    checks = _checks(shipped)
    assert checks["prompt tokens", "transformers"].value == 1
    assert checks["probabilities", "transformers"].value < 1e-4
    assert checks["answers", "transformers"].value == 1
    name = "accuracy" if task == "classification" else "f1"
    told = run.read_json(folder / "metrics.json")["model"]["scores"][name]["value"]
    assert checks[name, "transformers"].value == pytest.approx(told)


def _run_code(page, given):
    """What the lines of Python on a page answer to some texts."""
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    known = {}
    exec(code.replace('["…"]', repr(given)), known)
    return known


@pytest.mark.parametrize(
    "more",
    [(), ("model.pooling=cls", "folds.count=2"), ("folds.count=3", "folds.ensemble=vote")],
)
@pytest.mark.parametrize("to", ["merged", "adapter"])
def test_the_lines_on_the_page_of_a_classifier_answer_as_the_run(
    to, more, trained, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = trained("classification", "favilla-encoder", *more)
    together = "together" if to == "adapter" else "best"
    shipped = ship(folder, to, config=_exact(members=together))
    page = (tmp_path / shipped.folder / "README.md").read_text("utf-8")
    assert "license: apache-2.0" in page
    asked = [*TEXTS[:5], "Perché l'ordine è così in ritardo?", "", "x" * 4000]
    known = _run_code(page, asked)
    if to == "adapter" or not more:
        wanted = using.predict(folder, asked)
        assert known["answers"] == wanted.answers
        assert np.allclose(known["sure"], wanted.probabilities.max(axis=1), atol=2e-3)
    assert set(known["answers"]) <= {label for _, label in LABELLED}


def test_a_merged_tagger_is_loaded_by_transformers(trained, tmp_path):
    from transformers import pipeline

    folder = trained("entities", "favilla-encoder", "model.lexical=false")
    ship(folder, "merged", tmp_path / "out", config=_exact())
    mark = pipeline("token-classification", str(tmp_path / "out"), aggregation_strategy="first")
    for text in (row["text"] for row in SPANS[:10]):
        (wanted,) = using.predict(folder, [text]).answers
        found = [(span["start"], span["end"], span["entity_group"]) for span in mark(text)]
        assert found == [(span.start, span.end, span.label) for span in wanted]


def test_a_merged_classifier_that_has_no_place_is_refused(trained, tmp_path):
    with pytest.raises(ModelError, match="no plain token classification"):
        ship(trained("entities", "modernbert"), "merged", tmp_path / "out")
    ahead = trained("entities", "llama", "model.look_ahead=true")
    with pytest.raises(RecipeError, match="made to see what follows") as caught:
        ship(ahead, "merged", tmp_path / "out")
    assert "--to onnx" in caught.value.fix
    half = trained("classification", "t5")
    with pytest.raises(RecipeError, match="half of an encoder-decoder"):
        ship(half, "merged", tmp_path / "out")
    with pytest.raises(RecipeError, match="no adapter"):
        ship(trained("classification", "bert", "adapter.kind=head"), "adapter", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", ["classification", "entities"])
def test_adapters_of_all_folds_are_loaded_by_peft(task, trained, tmp_path):
    folder = trained(task, "bert", "folds.count=3")
    shipped = ship(folder, "adapter", tmp_path / "out", config=_exact(members="together"))
    checks = _checks(shipped)
    assert checks["probabilities", "peft"].value < 1e-4
    assert checks["answers", "peft"].value == 1
    assert "member-3/adapter_model.safetensors" in shipped.files
    assert "member-3/head.safetensors" in shipped.files


@pytest.mark.parametrize("more", [(), ("adapter.rslora=true",)])
def test_the_mean_of_folds_is_one_adapter_and_its_price_is_told(more, trained, tmp_path):
    folder = trained("noisy", "bert", "folds.count=3", *more)
    name = "accuracy"
    adapter = _checks(ship(folder, "adapter", tmp_path / "a", config=_exact(members="averaged")))
    merged = _checks(ship(folder, "merged", tmp_path / "m", config=_exact(members="averaged")))
    # The same weights either way.
    assert adapter[name, "peft"].value == merged[name, "transformers"].value
    mine, theirs = adapter["probabilities", "peft"], merged["probabilities", "transformers"]
    assert mine.limit is None
    assert mine.value == pytest.approx(theirs.value, abs=1e-4)
    assert mine.value > 1e-6
    assert "averaged of 3 members" in adapter[name, "peft"].engine
    rank = json.loads((tmp_path / "a" / "adapter_config.json").read_text())["r"]
    assert rank == 12


@pytest.mark.parametrize("task", ["classification", "entities"])
def test_a_graph_holds_all_folds(task, trained, tmp_path):
    folder = trained(task, "bert", "folds.count=3")
    shipped = ship(folder, "onnx", tmp_path / "out")
    checks = _checks(shipped)
    assert checks["probabilities", "onnx"].value < 1e-4
    assert checks["answers", "onnx"].value == 1
    name = "accuracy" if task == "classification" else "f1"
    told = run.read_json(folder / "metrics.json")["model"]["scores"][name]["value"]
    assert checks[name, "onnx"].value == pytest.approx(told)
    assert shipped.next == f"fucina serve {tmp_path / 'out'}"
    kept = json.loads((tmp_path / "out" / "verify.json").read_text())
    assert {"onnxruntime", "files"} <= set(kept["facts"])
    page = (tmp_path / "out" / "README.md").read_text("utf-8")
    answers = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    assert "open_labeller" in answers or "open_marker" in answers


def test_the_rules_of_a_run_go_with_its_export(trained, tmp_path):
    (tmp_path / "rules.yaml").write_text(
        f"rules:\n  - label: {LABELLED[0][1]}\n    keywords: [pacco]\ndefault: {LABELLED[0][1]}\n"
    )
    folder = trained("classification", "bert", f"evaluation.rules={tmp_path}/rules.yaml")
    shipped = ship(folder, "onnx", tmp_path / "out")
    assert "rules.yaml" in shipped.files


@pytest.mark.parametrize(
    ("task", "more"),
    [("classification", ()), ("entities", ()), ("classification", ("model.lexical=false",))],
)
def test_folds_are_distilled_into_one_adapter_and_its_price_is_told(task, more, trained, tmp_path):
    folder = trained(task, "bert", "folds.count=3", *more)
    said = []
    shipped = ship(
        folder, "merged", tmp_path / "out", config=_exact(members="distilled"), say=said.append
    )
    checks = _checks(shipped)
    assert checks["answers", "transformers"].value == 1
    name = "accuracy" if task == "classification" else "f1"
    assert "(distilled of 3 members)" in checks[name, "transformers"].engine
    whole = run.read_json(folder / "metrics.json")["model"]["scores"][name]
    assert f"the run {whole['value']:.3f}" in checks[name, "transformers"].note
    assert any("distilling 3 members into one" in line for line in said)
    again = []
    ship(folder, "adapter", tmp_path / "b", config=_exact(members="distilled"), say=again.append)
    assert any("distilled already" in line for line in again)


@pytest.mark.long
def test_a_distilled_member_is_nearer_to_the_members_than_one_of_them(trained):
    from fucina.shipment import distilled

    folder = trained("classification", "favilla-encoder", "folds.count=3", "training.epochs=10")
    own = distilled(folder, progress=lambda *_: None, say=lambda _: None)
    asked = [f"{text} {word}" for text in TEXTS for word in ("subito", "grazie", "non so")]
    together = using.predict(folder, asked).probabilities
    apart = np.abs(using.predict(own, asked).probabilities - together).mean()
    assert apart < 0.15
    rows = [Example(text, label) for text, label in LABELLED]
    assert run.read_rows(own / "development.parquet")[0].targets == [row.target for row in rows]


def test_one_member_has_nothing_to_distil(trained, tmp_path):
    with pytest.raises(RecipeError, match="nothing to distil"):
        ship(trained(), "merged", tmp_path / "out", config=_exact(members="distilled"))
    assert list(tmp_path.iterdir()) == []


def test_members_that_are_no_single_network_are_refused(trained, tmp_path):
    folder = trained("classification", "bert", "folds.count=3")
    with pytest.raises(RecipeError, match="those of one network"):
        ship(folder, "merged", tmp_path / "out", config=_exact(members="together"))
    with pytest.raises(RecipeError, match="a graph holds all members"):
        ship(folder, "onnx", tmp_path / "out", config=_exact(members="averaged"))
    with pytest.raises(RecipeError, match="is for models that write"):
        ship(folder, "gguf", tmp_path / "out")
    dora = trained("classification", "bert", "folds.count=3", "adapter.dora=true")
    with pytest.raises(RecipeError, match="mean of DoRA"):
        ship(dora, "adapter", tmp_path / "out", config=_exact(members="averaged"))


@pytest.mark.parametrize("task", ["classification", "entities"])
def test_an_export_whose_server_gives_no_answers_is_refused(task, trained, tmp_path, monkeypatch):
    from fucina.serve.batching import Batcher
    from fucina.serve.interface import Failure

    folder = trained(task)
    monkeypatch.setattr(Batcher, "_each", lambda _, rows: [Failure("error", "broken")] * len(rows))
    with pytest.raises(RunError, match=r"answers \(server of the run\) 0, held to"):
        ship(folder, "merged", tmp_path / "out", config=_exact())
    assert [path.name for path in tmp_path.iterdir()] == ["out.failed"]
