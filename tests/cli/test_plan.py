"""`fucina plan` as people use it: tables, JSON, models that are not on disk, history."""

import json
import shutil
from pathlib import Path

import pytest

from command import run as _run
from fucina import tasks


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    assert _run("new", folder / "job").returncode == 0
    return folder


def test_tables_fit_80_columns_and_say_what_they_rest_on(job):
    done = _run("plan", job / "job/recipe.yaml", "--no-probe", f"output={job}/none")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert not any("…" in line for line in lines), "a column is cut"
    for word in ("written", "fast", "balanced", "quality", "T4", "H100 SXM", "laptop, 8 cores"):
        assert any(line.startswith(word) for line in lines), word
    assert "22,7" in done.stdout or "22.7" in done.stdout  # parameters of the embedded model
    assert "Formula alone" in done.stdout
    assert "early stopping may end sooner" in done.stdout


def test_json_holds_the_counts_and_a_price_makes_a_cost(job):
    done = _run(
        "plan", job / "job/recipe.yaml", "--no-probe", "--price", "3.6", "--json",
        f"output={job}/none",
    )  # fmt: skip
    found = json.loads(done.stdout)
    written, fast, balanced, quality = found["options"]
    assert written["name"] == "written"
    assert written["rows"] + written["test_rows"] > 30
    assert written["tokens"] == written["tokens_an_epoch"] * written["epochs"]
    assert written["seconds"] == balanced["seconds"]
    assert fast["training_s"] < balanced["training_s"] < quality["training_s"]
    assert quality["members"] == 5
    assert written["cost"] == pytest.approx(written["total_s"] / 1000)
    assert {m["cost"] for m in found["elsewhere"]} != {0}


def test_a_configuration_alone_is_enough_and_nothing_is_tried(job, make_base):
    bare = job / "bare"
    bare.mkdir()
    shutil.copy(make_base("llama") / "config.json", bare / "config.json")
    done = _run("plan", job / "job/recipe.yaml", f"model.base={bare}", f"output={job}/none")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "nothing could be tried" in text
    assert "tokens are guessed from characters" in text
    assert "Formula alone" in text


def test_a_base_too_large_for_this_machine_is_planned_and_said(job, make_base):
    huge = job / "huge"
    huge.mkdir()
    config = json.loads((make_base("llama") / "config.json").read_text("utf-8"))
    config |= {"hidden_size": 32768, "intermediate_size": 131072, "num_hidden_layers": 24,
               "num_attention_heads": 256, "num_key_value_heads": 256, "head_dim": 128}  # fmt: skip
    (huge / "config.json").write_text(json.dumps(config), encoding="utf-8")
    done = _run(
        "plan", job / "job/recipe.yaml", f"model.base={huge}", f"output={job}/none", "--json"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["options"][0]["parameters"] > 3e11
    assert not found["options"][0]["fits"]
    assert not any(machine["fits"] for machine in found["elsewhere"])
    shown = _run("plan", job / "job/recipe.yaml", f"model.base={huge}", f"output={job}/none")
    assert "choose a smaller model.base" in shown.stdout


def test_a_run_keeps_estimate_and_truth_and_the_next_plan_learns(job, make_base):
    own = [f"model.base={make_base('bert')}", f"output={job}/runs", "adapter.rank=2",
           "training.epochs=2", "evaluation.bootstrap_samples=100"]  # fmt: skip
    trained = _run("train", job / "job/recipe.yaml", *own, "--json")
    assert trained.returncode == 0, trained.stderr
    folder = json.loads(trained.stdout)["run"]
    record = json.loads((Path(folder) / "plan.json").read_text("utf-8"))
    stages = ["libraries", "rows", "loading", "reading", "floor", "training", "checkpoints",
              "saving", "calibrating", "answering", "baselines", "report"]  # fmt: skip
    assert list(record["estimate"]["seconds"]) == stages
    assert sorted(record["truth"]["seconds"]) == sorted(stages)
    assert record["truth"]["peak_mib"] > 100
    assert record["truth"]["epochs"] == 2
    lines = (Path(folder) / "events.jsonl").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    told = [e["stage"] for e in events if e["event"] == "stage"]
    assert sorted(told) == sorted(stages[2:])
    found = json.loads(_run("plan", job / "job/recipe.yaml", *own, "--no-probe", "--json").stdout)
    assert found["past_runs"] == 1
    assert found["past_error"] > 0
    learned = found["options"][0]["seconds"]
    # The stages that took their time are now said to take what they took.
    for stage in ("report", "loading"):
        assert learned[stage] == pytest.approx(record["truth"]["seconds"][stage], rel=0.01)


def test_a_probe_corrects_the_formula_and_leaves_nothing_behind(job, make_base):
    own = [f"model.base={make_base('bert')}", f"output={job}/probed"]
    done = _run("plan", job / "job/recipe.yaml", *own, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["options"][0]["source"] == "formula, corrected by a probe"
    assert "small real run" in found["notes"][0]
    assert not (job / "probed").exists()


@pytest.fixture(scope="module")
def chat(tmp_path_factory, make_decoder):
    """Arguments that name a chat recipe over a tiny decoder, and the folder it writes to."""
    folder = tmp_path_factory.mktemp("chat")
    for file in Path(tasks.__file__).with_name("chat").glob("*.*"):
        if file.suffix != ".py":
            shutil.copy(file, folder / file.name)
    own = [folder / "recipe.yaml", f"model.base={make_decoder('llama')}", "adapter.rank=2",
           "chat.max_new_tokens=8", "training.epochs=2", "training.batch_size=4",
           "evaluation.bootstrap_samples=100"]  # fmt: skip
    return own, folder


def test_texts_are_planned_in_conversations_and_learnt_tokens(chat):
    own, folder = chat
    done = _run("plan", *own, "--no-probe", f"output={folder}/none")
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    said = " ".join(done.stdout.split())
    for words in ("rows and", "learnt tokens an epoch", "chat.max_new_tokens"):
        assert words in said
    assert "labels" not in said
    done = _run("plan", *own, "--no-probe", "--json", f"output={folder}/none")
    found = json.loads(done.stdout)["options"][0]
    assert 0 < found["learnt_tokens_an_epoch"] < found["tokens_an_epoch"]


def test_a_probe_of_texts_corrects_the_formula(chat):
    own, folder = chat
    done = _run("plan", *own, "--json", f"output={folder}/probed")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["options"][0]["source"] == "formula, corrected by a probe"
    assert not (folder / "probed").exists()


def test_a_run_over_texts_keeps_estimate_and_truth_and_the_next_plan_learns(chat):
    own, folder = [*chat[0], f"output={chat[1]}/runs"], chat[1]
    trained = _run("train", *own, "--json")
    assert trained.returncode == 0, trained.stderr
    (path,) = (folder / "runs").glob("*/*/plan.json")
    record = json.loads(path.read_text("utf-8"))
    stages = ["libraries", "rows", "loading", "reading", "training", "checkpoints", "saving",
              "answering", "baselines", "report"]  # fmt: skip
    assert list(record["estimate"]["seconds"]) == stages
    assert sorted(record["truth"]["seconds"]) == sorted(stages)
    assert record["truth"]["epochs"] == 2
    found = json.loads(_run("plan", *own, "--no-probe", "--json").stdout)
    assert found["past_runs"] == 1
    loading = record["truth"]["seconds"]["loading"]
    assert found["options"][0]["seconds"]["loading"] == pytest.approx(loading, rel=0.01)


def test_a_decoder_without_its_tokenizer_is_planned_from_characters(chat, make_decoder):
    own, folder = chat
    bare = folder / "bare"
    bare.mkdir()
    shutil.copy(make_decoder("qwen3") / "config.json", bare / "config.json")
    done = _run("plan", *own, f"model.base={bare}", f"output={folder}/none")
    assert done.returncode == 0, done.stderr
    assert "tokens are guessed from characters" in " ".join(done.stdout.split())
