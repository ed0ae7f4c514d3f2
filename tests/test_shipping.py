"""What is exported answers as the run does, in the programs of others; what does not, is no export."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fucina import run, using
from fucina.cli.app import app
from fucina.config import ShipConfig
from fucina.errors import RecipeError, RunError
from fucina.shipping import ship
from serve.conftest import SPOKEN, _train

ROWS = [{"prompt": asked, "answer": said} for asked, said in SPOKEN * 3]
SHORT = "chat.max_new_tokens=10"


@pytest.fixture(scope="module")
def trained(make_decoder, tmp_path_factory):
    """Give a function: architecture and settings → a run that talks."""
    made = {}

    def train(kind="llama", *more):
        if (kind, *more) not in made:
            folder = tmp_path_factory.mktemp("ship")
            made[kind, *more] = _train(
                folder, "talk", "chat", make_decoder(kind), ROWS, SHORT, *more
            )
        return made[kind, *more]

    return train


def _checks(shipped):
    return {check.name: check for check in shipped.proof.checks}


@pytest.mark.parametrize(("kind", "more"), [
    ("llama", ()), ("gpt2", ()), ("qwen3", ("adapter.rslora=true",)), ("llama", ("adapter.dora=true",)),
    ("llama", ("adapter.kind=full",)), ("gemma3", ("adapter.layers=all",)),
])  # fmt: skip
def test_merged_weights_answer_in_transformers_as_the_run(kind, more, trained, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = trained(kind, *more)
    shipped = ship(folder, "merged", tmp_path / "out", config=ShipConfig(precision="float32"))
    checks = _checks(shipped)
    assert checks["prompt tokens"].value == 1
    assert checks["logits"].value < 1e-3
    assert checks["answers"].value == 1
    told = run.read_json(folder / "metrics.json")["model"]["scores"]["token_loss"]["value"]
    assert checks["token_loss"].value == pytest.approx(told, abs=2e-3)
    asked = SPOKEN[0][0]
    (answer,) = using.predict(folder, [asked]).answers
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    given = tokenizer.apply_chat_template(
        [{"role": "user", "content": asked}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )  # fmt: skip
    with torch.no_grad():
        written = network.generate(**given, max_new_tokens=10, do_sample=False)
    said = tokenizer.decode(written[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
    assert said.strip() == answer
    kept = json.loads((tmp_path / "out" / "verify.json").read_text())
    assert kept["passed"]
    assert len(kept["facts"]["files"]["model.safetensors"]) == 64
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert card.startswith("---\nbase_model:")
    assert "| prompt tokens | transformers |" in card


def test_a_member_of_folds_is_chosen_and_its_price_is_told(trained, tmp_path):
    folder = trained("llama", "folds.count=3")
    facts = run.read_json(folder / "metrics.json")
    losses = facts["folds"]["token_loss"]["values"]
    prices = {}
    for members in ("best", "averaged", str(int(np.argmin(losses)) + 1)):
        config = ShipConfig(precision="float32", members=members)
        checks = _checks(ship(folder, "merged", tmp_path / members, config=config))
        prices[members] = checks["token_loss"].value
        assert f"({members} of 3 members)" in checks["token_loss"].engine
        assert (checks["logits"].limit is None) == (members == "averaged")
    best, averaged, same = prices.values()
    assert best == same
    assert averaged != best
    with pytest.raises(RecipeError, match="the run has 3 members"):
        ship(folder, "merged", tmp_path / "no", config=ShipConfig(members="4"))
    assert not (tmp_path / "no").exists()


def test_weights_in_four_bits_are_merged_as_they_were_trained(trained, tmp_path):
    pytest.importorskip("bitsandbytes")
    folder = trained("llama", "model.quantize=nf4")
    checks = _checks(
        ship(folder, "merged", tmp_path / "out", config=ShipConfig(precision="float32"))
    )
    assert checks["logits"].value < 1e-3
    assert checks["answers"].value == 1


def test_an_export_that_answers_otherwise_is_refused_and_kept_apart(trained, tmp_path, monkeypatch):
    from fucina import export

    whole = export.write_folder

    def spoiled(network, *rest):
        with torch.no_grad():
            next(iter(network.parameters())).mul_(1.5)
        whole(network, *rest)

    monkeypatch.setattr(export, "write_folder", spoiled)
    with pytest.raises(
        RunError, match=r"does not answer as the run does: .*logits \(transformers\)"
    ):
        ship(trained(), "merged", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    kept = json.loads((tmp_path / "out.failed" / "verify.json").read_text())
    assert not kept["passed"]
    with pytest.raises(RunError, match=r"out\.failed exists already"):
        ship(trained(), "merged", tmp_path / "out")


def test_a_writer_that_fails_leaves_nothing(trained, tmp_path, monkeypatch):
    from fucina import export

    def broken(*_):
        raise OSError("full")

    monkeypatch.setattr(export, "write_folder", broken)
    with pytest.raises(OSError, match="full"):
        ship(trained(), "merged", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_a_gguf_file_is_proved_where_llama_cpp_is(kind, trained, tmp_path):
    pytest.importorskip("llama_cpp")
    shipped = ship(trained(), "gguf", tmp_path / "out", config=ShipConfig(kind=kind))
    checks = _checks(shipped)
    assert {"weights", "prompt tokens", "logits", "tokens", "answers"} <= set(checks)
    by_llama = [check for check in shipped.proof.checks if "llama.cpp" in check.engine]
    assert all(check.passed for check in by_llama)
    assert shipped.files == ("README.md", f"talk-{kind}.gguf", "verify.json")


def test_an_ollama_folder_has_a_modelfile_that_was_compared(trained, tmp_path):
    pytest.importorskip("gguf")
    shipped = ship(trained(), "ollama", tmp_path / "out", config=ShipConfig(kind="Q8_0"))
    written = (tmp_path / "out" / "Modelfile").read_text("utf-8")
    assert "FROM ./talk-Q8_0.gguf" in written
    assert "PARAMETER num_predict 10" in written
    assert any(check.name == "template" and check.passed for check in shipped.proof.checks)


def test_what_has_no_export_says_so(trained, make_base, tmp_path):
    from conftest import LABELLED

    rows = [{"text": text, "label": label} for text, label in LABELLED]
    labels = _train(tmp_path, "kind", "classification", make_base("bert"), rows)
    with pytest.raises(RecipeError, match="answers with labels"):
        ship(labels, "gguf", tmp_path / "out")
    with pytest.raises(RunError, match="is not a run folder"):
        ship(tmp_path / "niente", "merged", tmp_path / "out")
    (tmp_path / "there").mkdir()
    with pytest.raises(RunError, match="exists already"):
        ship(trained(), "merged", tmp_path / "there")


def test_the_command_shows_what_was_proved(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, ["export", str(trained()), "--to", "merged", "cases=3"])
    assert done.exit_code == 0, done.output
    assert "talk-merged: README.md" in done.stdout
    assert "prompt tokens" in done.stdout
    assert "next: vllm serve talk-merged" in done.stdout
    assert Path("talk-merged/model.safetensors").is_file()
    told = CliRunner().invoke(
        app, ["export", str(trained()), "--to", "merged", "--json", "--output", "b", "cases=3"]
    )
    assert json.loads(told.stdout)["proof"]["checks"][0]["name"] == "prompt tokens"
