"""A whole run from files to report, its bad inputs, and what survives a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from command import run as fucina
from fucina import evaluate, flow, reading, run, using
from fucina.errors import DataError, RecipeError, RunError
from fucina.metrics import apply_temperature
from fucina.recipe import parse


def _recipe(base, folder, *overrides, name="a", test="test.jsonl"):
    text = (
        f"{{task: classification, name: {name}, output: '{folder}/runs', data: {{train: train.jsonl,"
        f" test: {test}}}, model: {{base: '{base}'}}, adapter: {{rank: 4, layers: 1}},"
        " training: {epochs: 2, precision: float32}, evaluation: {bootstrap_samples: 100}}"
    )
    return parse(text, overrides)[0]


def test_a_run_holds_all_that_later_verbs_need(make_base, labelled):
    recipe = _recipe(make_base("bert"), labelled, "folds.count=3")
    outcome = flow.train(recipe, labelled)
    folder = run.find(labelled / "runs" / "a")
    for name in ("recipe.yaml", "environment.json", "data.json", "events.jsonl", "metrics.json",
                 "metrics.csv", "report.html", "predictions.parquet", "out_of_fold.parquet"):  # fmt: skip
        assert (folder / name).stat().st_size > 0, name
    assert [p.name.rsplit("_", 1)[1] for p in sorted(folder.glob("best_model_peft_*"))] == [
        "fold1", "fold2", "fold3",
    ]  # fmt: skip
    assert not (folder / "checkpoint").exists()
    assert list((folder / "logs").glob("training_*.log"))
    assert outcome.model.rows == 15
    # The four free baselines stand beside the model, on the same rows.
    assert {b.name for b in outcome.baselines} == {"majority", "words", "characters", "frozen"}
    again = using.judge(folder)
    assert again.scores["log_loss"].value == pytest.approx(outcome.model.scores["log_loss"].value)
    metrics = run.read_json(folder / "metrics.json")
    kept = [member["score"] for member in metrics["members"]]
    assert metrics["folds"]["balanced_accuracy"]["values"] == pytest.approx(kept)
    assert metrics["folds"]["balanced_accuracy"]["mean"] == pytest.approx(np.mean(kept))
    assert metrics["folds"]["log_loss"]["std"] == pytest.approx(np.std(outcome.folds["log_loss"]))
    assert "mean ± std of folds" in (folder / "report.html").read_text("utf-8")
    oof = run.read_predictions(folder / "out_of_fold.parquet")
    assert len(oof.prompts) == 45
    assert len(set(oof.prompts)) == 45  # every development row is answered once
    assert using.compare(folder, folder).p_value == 1.0
    answers = using.predict(folder, ["dove ordine arriva", "schermo rotto"])
    assert np.allclose(answers.probabilities.sum(axis=1), 1)


def test_a_run_answers_with_its_own_temperature_and_threshold(make_base, labelled):
    flow.train(_recipe(make_base("bert"), labelled, "folds.count=3"), labelled)
    folder = run.find(labelled / "runs" / "a")
    found = run.read_json(folder / "calibration.json")
    assert found["rows"] == 45
    assert found["curve"][-1]["coverage"] == 1.0
    texts = ["dove ordine arriva", "schermo rotto"]
    for temperature, threshold in ((1.0, None), (4.0, 0.999)):
        changed = {**found, "temperature": temperature, "threshold": threshold}
        run.write_json(folder / "calibration.json", changed)
        answers = using.predict(folder, texts)
        assert answers.answered.all() == (threshold is None)
        if threshold is None:
            plain = answers
    expected = apply_temperature(plain.probabilities, 4.0)
    assert np.allclose(answers.probabilities, expected)
    assert answers.answers == plain.answers


def test_the_simple_path_without_files_for_validation_and_test(make_base, labelled):
    recipe = _recipe(make_base("llama"), labelled, "data.test=null", "data.test_share=0.25")
    outcome = flow.train(recipe, labelled)
    facts = run.read_json(run.find(labelled / "runs" / "a") / "data.json")
    assert facts["test"]["rows"] + facts["development"]["rows"] == 45
    assert outcome.model.rows == facts["test"]["rows"]
    assert 9 <= outcome.model.rows <= 13


@pytest.fixture(scope="module")
def plain_runs():
    """Runs without the setting in question, by what they have in common: none is made twice."""
    return {}


@pytest.mark.parametrize("override", [
    "adapter.kind=full", "adapter.kind=head", "training.loss=focal", "training.start=floor",
    "model.lexical=false", "loss.class_weights=balanced", "folds.ensemble=vote",
    "adapter.target_modules=attention", "stopping.patience=1", "training.schedule=linear",
    "training.accumulation=2", "adapter.dropout=0.2", "model.pooling=cls", "seed=99",
    "training.head_learning_rate=0.05", "training.warmup=3", "training.weight_decay=0.9",
    "evaluation.calibrate=false", "adapter.alpha=128", "training.max_gradient_norm=0.001", "model.max_length_tokens=4",
])  # fmt: skip
def test_every_setting_changes_what_comes_out(override, plain_runs, make_base, labelled):
    """A knob without effect is a defect."""
    base = make_base("bert")
    common = [
        "folds.count=2",
        "stopping.keep=rollback",
        "stopping.patience=40",
        "training.start=cold",
        "training.epochs=3",
        "training.learning_rate=0.02",
        "training.batch_size=8",
        "evaluation.baselines=[]",
    ]
    if not plain_runs:
        plain_runs[""] = flow.train(_recipe(base, labelled, *common, name="plain"), labelled)
    other = flow.train(_recipe(base, labelled, *common, override, name="other"), labelled)
    # Logarithms, because probabilities near 0 and 1 look alike.
    one, two = (np.log(o.predictions.probabilities + 1e-300) for o in (plain_runs[""], other))
    assert not np.allclose(one, two, rtol=0, atol=1e-6)


def test_two_runs_give_bitwise_the_same_files(make_base, labelled):
    folders = []
    for name in ("one", "two"):
        flow.train(_recipe(make_base("bert"), labelled, "folds.count=2", name=name), labelled)
        folders.append(run.find(labelled / "runs" / name))
    for path in sorted(folders[0].glob("best_model_*/*.safetensors")):
        assert path.read_bytes() == (folders[1] / path.relative_to(folders[0])).read_bytes()


def test_a_killed_run_resumes_to_bitwise_the_same_weights(make_base, labelled):
    base = make_base("bert")
    overrides = ["folds.count=2", "training.epochs=60", "stopping.patience=50"]
    flow.train(_recipe(base, labelled, *overrides, name="unbroken"), labelled)
    recipe = labelled / "recipe.yaml"
    recipe.write_text(
        f"{{task: classification, name: killed, output: '{labelled}/runs', data: {{train: train.jsonl,"
        f" test: test.jsonl}}, model: {{base: '{base}'}}, adapter: {{rank: 4, layers: 1}},"
        " training: {epochs: 60, precision: float32}, evaluation: {bootstrap_samples: 100},"
        " folds: {count: 2}, stopping: {patience: 50}}",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "fucina", "train", str(recipe)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if list((labelled / "runs" / "killed").glob("*/checkpoint/group1.safetensors")):
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    folder = labelled / "runs" / "killed"
    assert not list(folder.glob("*/metrics.json")), "the run was over before it was killed"
    done = fucina("train", recipe, "--resume")
    assert done.returncode == 0, done.stderr
    assert "going on after epoch" in done.stderr
    unbroken, killed = run.find(labelled / "runs" / "unbroken"), run.find(folder)
    for path in sorted(unbroken.glob("best_model_*/*.safetensors")):
        assert path.read_bytes() == (killed / path.relative_to(unbroken)).read_bytes()


def test_resume_refuses_another_recipe_and_other_data(make_base, labelled):
    recipe = _recipe(make_base("bert"), labelled)
    split, _ = reading.read(recipe, labelled)
    run.begin(recipe, split, precision="float32", root=labelled)
    with pytest.raises(RunError, match="another recipe: training"):
        flow.train(_recipe(make_base("bert"), labelled, "training.epochs=3"), labelled, resume=True)
    rows = (labelled / "train.jsonl").read_text(encoding="utf-8").splitlines()
    (labelled / "train.jsonl").write_text("\n".join(rows[1:]), encoding="utf-8")
    with pytest.raises(RunError, match="data changed"):
        flow.train(recipe, labelled, resume=True)


def test_rows_in_train_and_test_stop_the_run_unless_allowed(make_base, labelled):
    first = (labelled / "train.jsonl").read_text(encoding="utf-8").splitlines()[0]
    with (labelled / "test.jsonl").open("a", encoding="utf-8") as file:
        file.write(first.upper().replace("TEXT", "text").replace("LABEL", "label").replace(
            "RIMBORSO\"}", "rimborso\"}") + "\n")  # fmt: skip
    recipe = _recipe(make_base("bert"), labelled)
    with pytest.raises(DataError, match="1 of 16 test rows are in train too"):
        flow.train(recipe, labelled)
    assert not (labelled / "runs").exists()
    allowed = _recipe(
        make_base("bert"), labelled, "data.allow_duplicates=true", "evaluation.baselines=[]"
    )
    assert flow.train(allowed, labelled).model.rows == 16


def test_test_rows_changed_after_training_are_noticed(make_base, labelled):
    flow.train(_recipe(make_base("bert"), labelled, "evaluation.baselines=[]"), labelled)
    folder = run.find(labelled / "runs" / "a")
    predictions = run.read_predictions(folder / "predictions.parquet")
    changed = type(predictions)(
        predictions.labels, predictions.probabilities, predictions.targets,
        ("another text", *predictions.prompts[1:]),
    )  # fmt: skip
    run.write_predictions(folder / "predictions.parquet", changed)
    with pytest.raises(RunError, match="changed after training"):
        using.judge(folder)


def test_events_tell_every_epoch_of_every_member(make_base, labelled):
    flow.train(_recipe(make_base("bert"), labelled, "folds.count=2"), labelled)
    folder = run.find(labelled / "runs" / "a")
    epochs = [event for event in run.read_events(folder) if event["event"] == "epoch"]
    assert {(e["member"], e["epoch"]) for e in epochs} == {
        (m, e) for m in (0, 1) for e in (0, 1, 2)
    }
    assert json.dumps(epochs)  # no NaN sneaks in
    assert all(e["train_loss"] is not None for e in epochs if e["epoch"] > 0)


def test_near_duplicates_never_straddle_folds_or_the_test_share(make_base, labelled):
    near = [
        {
            "text": f"vorrei sapere perché il mio pacco {word} è fermo in città da giorni",
            "label": label,
        }
        for word, label in zip(
            ("", "ora", "qui", "poi", "mai", "già"), ("ordine",) * 6, strict=True
        )
    ]
    with (labelled / "train.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in near)
    recipe = _recipe(
        make_base("bert"), labelled, "folds.count=3", "data.test=null", "evaluation.baselines=[]"
    )
    split, _ = reading.read(recipe, labelled)
    places = {
        number
        for number, fold in enumerate(split.folds)
        for row in fold.held_out
        if "fermo in città" in split.development.prompts[row]
    } | {"test" for prompt in split.test.prompts if "fermo in città" in prompt}
    assert len(places) == 1
    assert flow.train(recipe, labelled).model.rows == len(split.test)
    again = using.judge(labelled / "runs" / "a")  # groups do not disturb the locked test set
    assert again.rows == len(split.test)


def test_the_audit_uses_the_answers_of_a_k_fold_run(make_base, labelled):
    recipe = _recipe(
        make_base("bert"), labelled, "folds.count=3", "training.epochs=8", "evaluation.baselines=[]",
        "training.learning_rate=0.01",
    )  # fmt: skip
    path = labelled / "train.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    rows[0]["label"] = "guasto" if rows[0]["label"] != "guasto" else "ordine"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    assert "label_noise" not in {f.check for f in reading.audit(recipe, labelled)[1]}
    flow.train(recipe, labelled)
    plain = _recipe(make_base("bert"), labelled, "evaluation.baselines=[]")
    flow.train(plain, labelled)  # a later run without folds does not hide the answers
    noise = next(f for f in reading.audit(recipe, labelled)[1] if f.check == "label_noise")
    assert "train.jsonl:1" in noise.rows[:2]


def test_very_few_rows_to_learn_from_are_enough_to_start(make_base, labelled):
    recipe = _recipe(make_base("bert"), labelled, "data.validation_share=0.95")
    assert flow.train(recipe, labelled).model.rows == 15


def test_texts_without_words_are_no_reason_to_stop(make_base, labelled):
    for name, first in (("train", 1), ("test", 30)):
        rows = [{"text": "😀" * (first + i), "label": "ab"[i % 2]} for i in range(24)]
        lines = "\n".join(json.dumps(row) for row in rows)
        (labelled / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    outcome = flow.train(_recipe(make_base("bert"), labelled), labelled)
    words = next(b for b in outcome.baselines if b.name == "words")
    assert words.scores["accuracy"].value == 0.5  # as the majority


def test_every_epoch_is_kept_on_disk_when_asked(make_base, labelled):
    overrides = ["stopping.save_every_epoch=true", "evaluation.baselines=[]", "folds.count=2"]
    flow.train(_recipe(make_base("bert"), labelled, *overrides), labelled)
    folder = run.find(labelled / "runs" / "a")
    kept = {path.parent.name for path in folder.glob("epochs/*/adapter_model.safetensors")}
    assert {name.rsplit("_", 2)[1] + "_" + name.rsplit("_", 2)[2] for name in kept} == {
        f"fold{fold}_epoch{epoch}" for fold in (1, 2) for epoch in (0, 1, 2)
    }
    best = run.read_json(folder / "metrics.json")["members"][0]["best_epoch"]
    name = next(path for path in folder.glob("best_model_*_fold1")).name
    assert (folder / name / "adapter_model.safetensors").read_bytes() == (
        folder / "epochs" / f"{name}_epoch{best}" / "adapter_model.safetensors"
    ).read_bytes()


def test_tensorboard_shows_the_numbers_of_the_events(make_base, labelled):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    flow.train(_recipe(make_base("bert"), labelled, "evaluation.baselines=[]"), labelled)
    folder = run.find(labelled / "runs" / "a")
    board = EventAccumulator(str(folder / "tensorboard")).Reload()
    epochs = [{**e, **e["scores"]} for e in run.read_events(folder) if e["event"] == "epoch"]
    for key in ("validation_loss", "balanced_accuracy", "train_loss", "learning_rate"):
        drawn = {scalar.step: scalar.value for scalar in board.Scalars(f"{key}/member_1")}
        told = {e["epoch"]: e[key] for e in epochs if e[key] is not None}
        assert drawn == pytest.approx(told, rel=1e-6), key


RULES = """
rules:
  - label: ordine
    keywords: [dove ordine, stato pacco]
  - label: guasto
    pattern: "schermo|non si (accende|blocca)"
default: rimborso
"""


def test_a_rule_file_is_judged_beside_the_model(make_base, labelled):
    (labelled / "rules.yaml").write_text(RULES, encoding="utf-8")
    recipe = _recipe(make_base("bert"), labelled, "evaluation.rules=rules.yaml")
    outcome = flow.train(recipe, labelled)
    test = [json.loads(line) for line in (labelled / "test.jsonl").read_text("utf-8").splitlines()]

    def by_hand(text):
        if "dove ordine" in text or "stato pacco" in text:
            return "ordine"
        return "guasto" if "schermo" in text or "non si " in text else "rimborso"

    right = sum(by_hand(row["text"]) == row["label"] for row in test)
    rules = next(b for b in outcome.baselines if b.name == "rules")
    assert rules.scores["accuracy"].value == pytest.approx(right / len(test))
    assert "rules" in (run.find(labelled / "runs" / "a") / "report.html").read_text("utf-8")


@pytest.mark.parametrize(("content", "message"), [
    ("rules: [1, 2]", "rules.1 (line 1) is a section, not 1"),
    ("rules: [{label: ordine, keyword: x}]", "unknown setting rules.1.keyword (line 1)"),
    ("rules: [{label: ordini, keywords: [x]}]", "no label 'ordini'"),
    ("rules: [{label: ordine}]", "neither keywords nor pattern"),
    ("rules: [{label: ordine, pattern: '(x'}]\ndefault: guasto", "is no regular expression: missing"),
    ("rules: [{label: ordine, keywords: x}]", "has no default:"),
    ("- x", "no list rules:"),
    ("rules: [", "line 1 is not YAML"),
])  # fmt: skip
def test_a_broken_rule_file_stops_the_run_before_it_begins(content, message, make_base, labelled):
    (labelled / "rules.yaml").write_text(content, encoding="utf-8")
    recipe = _recipe(make_base("bert"), labelled, "evaluation.rules=rules.yaml")
    with pytest.raises(RecipeError, match=re.escape(message)):
        flow.train(recipe, labelled)
    assert not (labelled / "runs").exists()


def test_must_fix_cases_are_reported_apart_and_count_as_goals(make_base, labelled):
    cases = [("dove ordine arriva", "ordine"), ("schermo rotto", "reso")]
    rows = (labelled / "train.jsonl").read_text(encoding="utf-8").splitlines()
    labels = {json.loads(row)["label"] for row in rows}
    cases = [(text, sorted(labels)[i]) for i, (text, _) in enumerate(cases)]
    lines = [json.dumps({"text": t, "label": y}, ensure_ascii=False) + "\n" for t, y in cases]
    (labelled / "cases.jsonl").write_text("".join(lines), encoding="utf-8")
    recipe = _recipe(make_base("bert"), labelled, "evaluation.must_fix=cases.jsonl")
    outcome = flow.train(recipe, labelled)
    folder = run.find(labelled / "runs" / "a")
    answers = using.predict(folder, [text for text, _ in cases]).answers
    assert [case.answer for case in outcome.must_fix] == answers
    assert [case.right for case in outcome.must_fix] == [
        a == y for a, (_, y) in zip(answers, cases, strict=True)
    ]
    missed = evaluate.missed_goals(outcome, recipe.evaluation)
    assert len(missed) == sum(not case.right for case in outcome.must_fix)
    assert len(run.read_json(folder / "metrics.json")["must_fix"]) == 2
    # The same cases are tried again by every evaluation, whatever rows it judges.
    assert using.judge_all(folder)[1] == outcome.must_fix
    assert using.judge_all(folder, labelled / "train.jsonl")[1] == outcome.must_fix
    assert "Must-fix cases" in (folder / "report.html").read_text("utf-8")


def test_a_must_fix_case_of_an_unknown_label_is_refused_before_training(make_base, labelled):
    (labelled / "cases.jsonl").write_text('{"text": "ciao", "label": "ordini"}\n', encoding="utf-8")
    recipe = _recipe(make_base("bert"), labelled, "evaluation.must_fix=cases.jsonl")
    with pytest.raises(DataError, match=r"cases.jsonl:1: no label 'ordini'"):
        flow.train(recipe, labelled)
    assert not (labelled / "runs").exists()


def test_the_learning_curve_grows_by_rows_alone(make_base, labelled):
    recipe = _recipe(make_base("bert"), labelled, "folds.count=3", "evaluation.baselines=[]")
    outcome, curve = flow.learning_curve(recipe, labelled)
    assert list(curve.rows) == sorted(curve.rows)
    assert curve.rows[-1] == 30  # of 45 rows, each member learns from two thirds
    assert curve.scores[-1].value == outcome.model.scores["accuracy"].value
    assert len(list((labelled / "runs" / "a").iterdir())) == 1  # the smaller ones left nothing
    folder = run.find(labelled / "runs" / "a")
    assert run.read_json(folder / "learning_curve.json")["advice"] == curve.advice
    assert "Are more rows worth it?" in using.report(folder).read_text("utf-8")
