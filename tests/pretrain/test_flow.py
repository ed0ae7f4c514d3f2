"""`fucina pretrain` from texts to a base that other recipes can name; what stops it loses nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from transformers import AutoTokenizer

from fucina.errors import ModelError, RecipeError, RunError
from fucina.models.source import read
from fucina.pretrain.recipe import load, parse
from fucina.pretraining import pretrain
from fucina.recipe import parse as parse_recipe

WORDS = "il faro sul mare e la barca che torna di notte con la luna alta sopra le case".split()
RECIPE = """
name: lanterna
corpus:
  - {path: texts.jsonl, language: it, domain: sea, held_out: held.jsonl}
words: {vocabulary: 330}
network: {width: 32, layers: 2, heads: 2, key_value_heads: 1, feed_forward: 64, context: 512}
training: {tokens: 40000, batch_tokens: 512, length_tokens: 64, checkpoint_steps: 5, judge_steps: 40,
           compile: "off", learning_rate: 0.01}
prompts: ["il faro"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [" ".join(WORDS[(i * 7 + k * k) % len(WORDS)] for k in range(60)) for i in range(80)]
    for name, part in (("texts", rows[:70]), ("held", rows[70:])):
        text = "".join(json.dumps({"text": row}) + "\n" for row in part)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def _fucina(folder, *words):
    command = [sys.executable, "-m", "fucina", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280)


def test_texts_become_a_base_that_a_recipe_can_train(folder):
    done = _fucina(folder, "pretrain", "r.yaml")
    assert done.returncode == 0, done.stderr
    assert "Bits a byte of held-out texts" in done.stdout
    assert "tokens/s, MFU" in done.stderr
    made = json.loads((folder / "bases/lanterna/metrics.json").read_text(encoding="utf-8"))
    bits = made["bits"]["texts"]
    assert bits["model"] < 0.6 * bits["untrained"]
    assert 0 < bits["5-gram"] < bits["untrained"]
    assert made["samples"]["il faro"].split()[0] in WORDS
    sums = json.loads((folder / "bases/lanterna/model/sums.json").read_text(encoding="utf-8"))
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= set(sums)
    _refuses_damage(folder / "bases/lanterna/model")
    (folder / "chat.jsonl").write_text(
        "".join(
            json.dumps({"prompt": f"{a} {b}?", "answer": b}) + "\n"
            for a in WORDS
            for b in WORDS[:3]
        ),
        encoding="utf-8",
    )
    trained = _fucina(
        folder, "train", _recipe(folder), "training.epochs=1", "chat.max_new_tokens=8",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr


def _refuses_damage(base):
    """Every file is looked at, one bit or one byte; a tokenizer of another network too."""
    for name, spoil in [
        ("model.safetensors", lambda b: b[:-4]), ("model.safetensors", lambda b: b[:-1] + b"\1"),
        ("tokenizer.json", lambda b: b[:200]), ("sums.json", lambda b: b[:20]),
    ]:  # fmt: skip
        whole = (base / name).read_bytes()
        (base / name).write_bytes(spoil(whole))
        with pytest.raises(ModelError, match=f"is damaged: {name}"):
            read("base", str(base), "text")
        (base / name).write_bytes(whole)
    read("base", str(base), "text")


def test_a_tokenizer_of_another_network_is_refused(make_decoder, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(make_decoder("llama"), base)
    words = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    number = max(words["model"]["vocab"].values())
    for extra in range(1, 5000):
        words["model"]["vocab"][f"più{extra}"] = number + extra
    (base / "tokenizer.json").write_text(json.dumps(words), encoding="utf-8")
    with pytest.raises(ModelError, match="a tokenizer that does not fit"):
        read("base", str(base), "text")


def test_an_added_token_without_a_row_is_no_mistake(make_decoder, tmp_path):
    """Gemma 3 has one for pictures, behind the last row of its words."""
    base = tmp_path / "base"
    shutil.copytree(make_decoder("llama"), base)
    words = AutoTokenizer.from_pretrained(base)
    rows = read("base", str(base), "text")[0].get_input_embeddings().num_embeddings
    words.add_tokens([f"<picture{n}>" for n in range(rows - len(words) + 1)], special_tokens=True)
    words.save_pretrained(base)
    network, tokenizer = read("base", str(base), "text")
    assert len(tokenizer) > network.get_input_embeddings().num_embeddings


def _recipe(folder):
    text = (
        "{task: chat, name: a, data: {train: chat.jsonl}, model: {base: bases/lanterna/model}, "
        "adapter: {layers: all}}"
    )
    parse_recipe(text)
    (folder / "chat.yaml").write_text(text, encoding="utf-8")
    return "chat.yaml"


def test_a_killed_run_goes_on_and_ends_with_the_same_file(folder):
    whole = pretrain(load(folder / "r.yaml", ["output=whole"]), folder)
    started = subprocess.Popen(
        [sys.executable, "-m", "fucina", "pretrain", "r.yaml"], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    checkpoint = folder / "bases/lanterna/checkpoint.safetensors"
    limit = time.monotonic() + 200
    while not checkpoint.is_file() and started.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert checkpoint.is_file()
    recipe = load(folder / "r.yaml")
    with pytest.raises(RunError, match="unfinished run, which would be lost"):
        pretrain(recipe, folder)
    with pytest.raises(RunError, match="of another recipe"):
        pretrain(load(folder / "r.yaml", ["seed=5"]), folder, resume=True)
    said = []
    again = pretrain(recipe, folder, say=said.append, resume=True)
    assert any("going on behind step" in sentence for sentence in said)
    files = [(folder / made.folder / "model.safetensors").read_bytes() for made in (whole, again)]
    assert files[0] == files[1]
    assert not checkpoint.exists()
    with pytest.raises(RunError, match="is there already"):
        pretrain(recipe, folder, resume=True)


def test_a_run_before_its_decay_may_be_made_longer_or_shorter(folder):
    def stop(stage, done, _):
        if (stage, done) == ("pretraining", 10):
            raise KeyboardInterrupt

    short = ["training.warmup=3", "training.tokens=20000"]
    whole = pretrain(load(folder / "r.yaml", ["output=whole", *short]), folder)
    with pytest.raises(KeyboardInterrupt):
        pretrain(load(folder / "r.yaml", short[:1]), folder, progress=stop)
    for no in (
        ["training.tokens=20000"],
        [*short, "training.schedule=cosine"],
        [*short[:1], "training.tokens=2560"],
    ):
        with pytest.raises(RunError, match="of another recipe"):
            pretrain(load(folder / "r.yaml", no), folder, resume=True)
    again = pretrain(load(folder / "r.yaml", short), folder, resume=True)
    files = [(folder / made.folder / "model.safetensors").read_bytes() for made in (whole, again)]
    assert files[0] == files[1]


@pytest.mark.parametrize(("text", "said", "fix"), [
    ("name: a", "corpus is missing", "add corpus"),
    ("{name: a, corpus: [], training: {tokens: 9}}", "corpus", "The texts"),
    ("{name: a, corpus: [{path: a, language: it}], training: {tokens: 9}}",
     "corpus.1.domain is missing", "add corpus.1.domain"),
    ("{name: a, corpus: [{path: a, language: it, domain: b}], training: {tokens: 9, tokns: 3}}",
     "unknown setting training.tokns", "tokens"),
    ("{name: a, corpus: [{path: a, language: it, domain: b}], training: {tokens: 9}, "
     "network: {width: 30, heads: 4}}", "width 30 is not an even multiple", "shape"),
])  # fmt: skip
def test_a_wrong_recipe_is_told_with_its_fix(text, said, fix):
    with pytest.raises(RecipeError) as caught:
        parse(text)
    assert said in caught.value.problem
    assert fix in caught.value.fix


def test_bad_input_ends_with_one_line_and_exit_code_2(folder):
    (folder / "texts.jsonl").unlink()
    for words in (["r.yaml"], ["r.yaml", "training.tokens=x"], ["none.yaml"]):
        done = _fucina(folder, "pretrain", *words)
        assert done.returncode == 2, done.stderr
        assert "fix:" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (folder / "bases/lanterna/tokens").exists()
