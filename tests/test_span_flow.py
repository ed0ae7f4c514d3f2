"""A run that marks spans: folds, stopping, resume, the verbs of the command line, and bad input."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest

from fucina import data, diagnosing, flow, mending, reading, run, tasks, using
from fucina.errors import RecipeError, RunError
from fucina.metrics import count_spans, span_marks, value_of
from fucina.recipe import dump, parse
from fucina.records import Span
from fucina.tasks.entities.written import as_json, as_text, locate
from fucina.tasks.settings import refuse_idle

PLACES = ("città", "app", "schermo", "spedizione", "pacco")
ACTS = (
    "non arriva",
    "si blocca",
    "costa quanto",
    "dove quando",
    "voglio annullare",
    "reso stato",
    "rotto perché",
)


def _rows():
    rows = []
    for number, act in enumerate(ACTS * 6):
        place = PLACES[number % 5]
        text = f"{act} {'il ' * (number % 3)}{place} nero" + " prezzo" * (number // 7)
        start = text.index(place)
        spans = [{"start": start, "end": start + len(place), "label": "AB"[number % 2]}]
        if number % 5 == 0:
            spans.append(
                {"start": start + len(place) + 1, "end": start + len(place) + 5, "label": "C"}
            )
        rows.append({"text": text, "spans": [] if number % 9 == 8 else spans})
    return rows


def _lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


@pytest.fixture
def marked(tmp_path):
    """A folder with train.jsonl (32 rows), test.jsonl (10) of three types."""
    rows = _rows()
    _lines(tmp_path / "train.jsonl", [row for place, row in enumerate(rows) if place % 4])
    _lines(tmp_path / "test.jsonl", [row for place, row in enumerate(rows) if place % 4 == 0])
    return tmp_path


def _text(base, folder, name="a"):
    return (
        f"{{task: entities, name: {name}, output: '{folder}/runs', data: {{train: train.jsonl,"
        f" test: test.jsonl}}, model: {{base: '{base}'}}, adapter: {{rank: 4}},"
        " evaluation: {bootstrap_samples: 100}, training: {epochs: 2, batch_size: 8, precision: float32}}"
    )


def _recipe(base, folder, *overrides, name="a"):
    return parse(_text(base, folder, name), overrides)[0]


def _newest(folder, name="a"):
    return run.find(folder / "runs" / name)


def _weights(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.glob("best_model_*/*.safetensors"))}  # fmt: skip


@pytest.mark.parametrize("kind", ["lora", "full", "head"])
def test_folds_answer_each_held_out_row_once_and_the_run_answers_the_same_again(
    kind, make_base, marked
):
    recipe = _recipe(make_base("bert"), marked, "folds.count=3", f"adapter.kind={kind}")
    outcome = flow.train(recipe, marked)
    folder = _newest(marked)
    rows, held = run.read_spans(folder / "out_of_fold.parquet")
    assert len(set(rows.prompts)) == len(rows) == len(held.answers)
    assert held.targets == tuple(row.spans for row in rows.examples)
    strict = value_of(span_marks(count_spans(held.answers, held.targets))["f1"])
    assert outcome.out_of_fold.scores["f1"].value == pytest.approx(strict)
    assert len(outcome.folds["f1"]) == 3
    # What is judged again from the folder is what was judged.
    again = using.judge(folder)
    for name, score in outcome.model.scores.items():
        assert again.scores[name].value == pytest.approx(score.value), name
    rows, kept = run.read_spans(folder / "predictions.parquet")
    assert kept == replace(outcome.predictions, confidences=kept.confidences)
    said = using.predict(folder, list(kept.prompts))
    assert said.answers == kept.answers
    for one, other in zip(said.confidences, kept.confidences, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
        assert all(0 < sure <= 1 for sure in one)


def test_the_epoch_kept_is_the_one_of_best_f1(make_base, marked):
    flow.train(
        _recipe(make_base("bert"), marked, "training.epochs=4", "training.learning_rate=1e-2"),
        marked,
    )
    folder = _newest(marked)
    epochs = run.read_epochs(folder)
    member = run.read_json(folder / "metrics.json")["members"][0]
    assert member["score"] == pytest.approx(max(epoch.scores["f1"] for epoch in epochs))
    _, held = run.read_spans(folder / "out_of_fold.parquet")
    strict = value_of(span_marks(count_spans(held.answers, held.targets))["f1"])
    assert member["score"] == pytest.approx(strict)


def test_a_member_that_does_not_get_better_stops(make_base, marked):
    said = []
    recipe = _recipe(make_base("bert"), marked, "training.epochs=9", "training.learning_rate=0.5",
                     "stopping.patience=1")  # fmt: skip
    flow.train(recipe, marked, say=said.append)
    assert any("stopped at epoch" in sentence for sentence in said)


def test_a_killed_run_goes_on_to_the_same_weights(make_base, marked):
    whole = _recipe(make_base("bert"), marked, "training.epochs=3", "folds.count=2")
    flow.train(whole, marked)
    expected = _weights(_newest(marked))

    class Killed(Exception):
        pass

    def die(what, done, total):
        if what == "training" and done > 0.7 * total:
            raise Killed

    shutil.rmtree(marked / "runs")
    with pytest.raises(Killed):
        flow.train(whole, marked, progress=die)
    assert not (_newest(marked) / "metrics.json").exists()
    outcome = flow.train(whole, marked, resume=True)
    assert _weights(_newest(marked)) == expected
    assert outcome.model.rows == 11


def test_test_rows_that_were_changed_are_refused(make_base, marked):
    import pyarrow
    from pyarrow import parquet

    flow.train(_recipe(make_base("bert"), marked, "training.epochs=1"), marked)
    path = _newest(marked) / "predictions.parquet"
    table = parquet.read_table(path)
    spans = [text.replace('"A"', '"B"') for text in table["spans"].to_pylist()]
    place = table.column_names.index("spans")
    parquet.write_table(table.set_column(place, "spans", pyarrow.array(spans)), path)
    with pytest.raises(RunError, match="changed after training"):
        using.test_set(_newest(marked))


def test_the_verbs_run_on_spans(make_base, marked, monkeypatch, capsys):
    from fucina.cli import main

    base = make_base("bert")
    (marked / "recipe.yaml").write_text(_text(base, marked), "utf-8")
    (marked / "other.yaml").write_text(_text(base, marked, "b"), "utf-8")
    monkeypatch.chdir(marked)
    monkeypatch.setenv("COLUMNS", "80")

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["fucina", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        assert ended.value.code == 0, f"{words}\n{shown.out}\n{shown.err}"
        if "--json" not in words:
            assert not [
                line for line in shown.out.splitlines() if len(line) > 80 and "/" not in line
            ]
        return shown.out

    typed("audit", "recipe.yaml")
    assert "7 tags" in typed("plan", "recipe.yaml", "--no-probe")
    told = typed("train", "recipe.yaml")
    assert "Types, weakest first" in told
    assert "gazetteer" in told
    typed("train", "other.yaml", "training.epochs=1")
    assert "F1" in typed("evaluate", "runs/a")
    assert "swaps p" in typed("compare", "runs/a", "runs/b")
    found = json.loads(typed("predict", "runs/a", "il pacco nero non arriva", "--json"))
    assert set(found[0]) == {"text", "spans", "cut"}
    for span in found[0]["spans"]:
        assert found[0]["text"][span["start"] : span["end"]] == span["text"]
    (marked / "asked.txt").write_text("il pacco nero\nniente\n", "utf-8")
    assert typed("predict", "runs/a", "asked.txt").startswith("> il pacco nero\n")
    typed("report", "runs/a")
    page = (_newest(marked) / "report.html").read_text(encoding="utf-8")
    for title in (
        "Types, weakest first",
        "What is taken for what",
        "Beside free baselines",
        "F1 of held-out rows",
    ):
        assert title in page
    diagnosis = json.loads(typed("diagnose", "runs/a", "--json"))
    assert diagnosis["answer"] == "spans"
    assert {"few_spans", "test_too_small"} & {cause["name"] for cause in diagnosis["causes"]}
    assert {"type", "name"} <= {part["kind"] for part in diagnosis["slices"]}
    assert "few_spans" in typed("diagnose", "runs/a")


def test_a_cause_is_tested_and_mended_on_the_same_test_rows(make_base, marked):
    flow.train(
        _recipe(make_base("bert"), marked, "model.lexical=false", "training.epochs=1"), marked
    )
    folder = _newest(marked)
    found = diagnosing.diagnose_run(folder)
    cause = next(cause for cause in found.causes if cause.name == "no_forms")
    tried = mending.try_without(folder, cause)
    assert tried.before.prompts == tried.after.prompts
    assert next(iter(tried.comparison.differences)) == "f1"
    mended = mending.apply(folder, [cause])
    assert mended.changes["model.lexical"] is True
    assert run.read_recipe(run.find(marked / "runs" / "a-mended")).model.lexical


def test_a_learning_curve_is_of_f1(make_base, marked):
    recipe = _recipe(make_base("bert"), marked, "training.epochs=1")
    _, curve = flow.learning_curve(recipe, marked)
    assert curve.metric == "f1"
    assert all(0 <= score.low <= score.value <= score.high <= 1 for score in curve.scores)
    assert "F1" in curve.advice


def test_spans_behind_the_cut_are_told_and_missed(make_base, marked):
    long = "il " * 30 + "pacco"
    rows = [{"text": long, "spans": [{"start": len(long) - 5, "end": len(long), "label": "A"}]}]
    _lines(
        marked / "test.jsonl",
        rows + [json.loads(line) for line in (marked / "test.jsonl").read_text().splitlines()],
    )
    said = []
    outcome = flow.train(
        _recipe(make_base("bert"), marked, "model.max_length_tokens=16"), marked, say=said.append
    )
    told = next(sentence for sentence in said if "of test are longer" in sentence)
    assert "1 of 12 texts" in told
    assert "count as missed" in told
    assert outcome.predictions.read[0] < len(long)
    assert outcome.predictions.targets[0] == (Span(len(long) - 5, len(long), "A"),)
    assert outcome.model.per_label["A"]["recall"] < 1


def test_settings_that_do_nothing_are_refused(make_base, marked):
    for setting, what in (
        ("model.pooling=cls", "answers with spans"),
        ("evaluation.max_error=0.1", "does nothing"),
        ("folds.ensemble=vote", "mean probabilities"),
        ("chat.system=ciao", "does nothing"),
        ("evaluation.goals={accuracy: 0.5}", "goals.accuracy"),
        ("evaluation.baselines=[words]", "baselines=words"),
    ):
        with pytest.raises(RecipeError, match=what):
            refuse_idle(_recipe(make_base("bert"), marked, setting))
    refuse_idle(
        _recipe(
            make_base("bert"),
            marked,
            "evaluation.goals={f1: 0.5}",
            "evaluation.baselines=[gazetteer]",
        )
    )
    with pytest.raises(RecipeError, match="look_ahead"):
        refuse_idle(
            parse("{task: classification, name: a, data: {train: a}, model: {look_ahead: true}}")[0]
        )


def test_focal_loss_and_weights_of_tags_train(make_base, marked):
    outcome = flow.train(
        _recipe(make_base("bert"), marked, "training.loss=focal", "loss.class_weights=balanced",
                "training.start=cold", "training.epochs=1"),
        marked,
    )  # fmt: skip
    assert outcome.model.rows == 11


def test_a_split_keeps_types_on_every_side(marked):
    recipe = _recipe("minilm", marked, "data.test=null", "folds.count=3")
    split, _ = reading.read(recipe, marked)
    assert split.labels == ("A", "B", "C")
    for fold in split.folds:
        there = {s.label for row in fold.held_out for s in split.development.examples[row].spans}
        assert there == {"A", "B", "C"}


def test_the_audit_names_what_cannot_be_answered(marked):
    rows = [
        {"text": "Ieri a Romagna", "spans": [{"start": 7, "end": 11, "label": "A"}]},
        *[{"text": f"il pacco numero {n} di Anna", "spans": [[3, 8, "A"]]} for n in range(12)],
        {"text": "il pacco senza segno", "spans": []},
    ]
    _lines(marked / "train.jsonl", rows)
    _lines(marked / "test.jsonl", [{"text": "Altro tipo", "spans": [[0, 5, "Z"]]}])
    subject = reading.read_subject(_recipe("minilm", marked), marked)
    found = {finding.check: finding for finding in data.audit(subject)}
    assert found["inside_word"].rows == ("train.jsonl:1",)
    assert "Z" in found["new_type"].message
    assert found["unmarked"].rows == ("train.jsonl:14",)
    _lines(marked / "train.jsonl", [{"text": "niente", "spans": []}])
    subject = reading.read_subject(_recipe("minilm", marked), marked)
    assert "no_spans" in {f.check for f in data.gate(subject) if f.severity == "error"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_decoder_learns_to_write_the_same_rows(form, make_decoder, marked):
    text = _text(make_decoder("llama"), marked).replace("task: entities", f"task: entities.{form}")
    outcome = flow.train(parse(text, ["chat.max_new_tokens=8", "folds.count=2"])[0], marked)
    assert {"f1", "valid_form", "in_text", "perplexity"} <= set(outcome.model.scores)
    assert {baseline.name for baseline in outcome.baselines} == {
        "majority",
        "gazetteer",
        "forms",
        "base",
    }
    free = next(baseline for baseline in outcome.baselines if baseline.name == "gazetteer")
    assert free.scores["valid_form"].value == 1
    assert free.scores["in_text"].value == 1
    rows, _ = run.read_texts(_newest(marked) / "predictions.parquet")
    assert any(row.spans for row in rows.examples)
    using.test_set(_newest(marked))


@pytest.mark.parametrize("form", [as_text, as_json])
def test_what_is_written_is_found_again_in_the_sample(form):
    task = tasks.get("entities")
    recipe = parse("{task: entities, name: a, data: {train: sample.jsonl}}")[0]
    rows = reading.read_file(recipe, tasks.folder(task.name) / "sample.jsonl")
    for row in rows.examples:
        named, valid = form.read(form.write(row.prompt, row.spans))
        assert valid
        assert tuple(locate(row.prompt, named)) == row.spans


@pytest.mark.parametrize(
    ("form", "answer", "named", "valid"),
    [
        (as_text, "PER: Anna; LOC: Bari", [("PER", "Anna"), ("LOC", "Bari")], True),
        (as_text, "-", [], True),
        (as_text, "", [], True),
        (as_text, "PER: Anna; e poi", [("PER", "Anna; e poi")], True),
        (as_text, "non so", [], False),
        (as_json, '[{"PER": "Anna"}]', [("PER", "Anna")], True),
        (as_json, "[]", [], True),
        (as_json, '[{"PER": "Anna"}, {"LOC": "Ba', [("PER", "Anna")], False),
        (as_json, '{"PER": "Anna"}', [], False),
        (as_json, '[{"PER": 3}]', [], False),
        (as_json, "[" * 5000, [], False),
    ],
)
def test_what_a_model_wrote_is_read_as_far_as_it_goes(form, answer, named, valid):
    assert form.read(answer) == (named, valid)


def test_names_that_are_not_in_the_text_count_against_precision():
    task = tasks.get("entities.json")
    row = task.to_example({"text": "Anna va a Bari", "spans": [[0, 4, "PER"], [10, 14, "LOC"]]})
    assert row.target == '[{"PER": "Anna"}, {"LOC": "Bari"}]'
    said = '[{"PER": "Anna"}, {"LOC": "Roma"}]'
    found = {name: value_of(mark) for name, mark in task.judging.scores([said], [row]).items()}
    assert (found["precision"], found["recall"], found["in_text"]) == (0.5, 0.5, 0.5)


def test_a_form_that_is_not_there_is_refused():
    with pytest.raises(RecipeError, match="no form 'yaml'"):
        tasks.get("entities.yaml")
    with pytest.raises(RecipeError, match="no form"):
        tasks.get("classification.text")


def test_repaired_rows_keep_their_spans(marked):
    from fucina.repaired import write_repaired

    rows = [json.loads(line) for line in (marked / "train.jsonl").read_text().splitlines()]
    _lines(marked / "train.jsonl", [*rows, rows[0]])
    subject, findings = reading.audit(_recipe("minilm", marked), marked)
    write_repaired(subject, findings, marked / "fixed")
    recipe = parse(dump(_recipe("minilm", marked)))[0]
    again = reading.read_file(recipe, marked / "fixed" / "train.jsonl")
    first = reading.read_file(recipe, marked / "train.jsonl")
    assert [row.spans for row in again.examples] == [row.spans for row in first.examples[:-1]]
    assert np.array_equal(again.prompts, first.prompts[:-1])


def test_how_sure_spans_are_is_calibrated_on_held_out_rows(make_base, marked):
    rows = [row for shift in range(8) for row in _rows()]
    for number, row in enumerate(rows):
        row["text"] += f" {number}"
        for span in row["spans"]:  # one of four is another type, which nothing in the text tells
            span["label"] = "AAAB"[number * 7 % 4]
    _lines(marked / "train.jsonl", rows)
    recipe = _recipe(
        make_base("bert"),
        marked,
        "folds.count=3",
        "training.epochs=6",
        "data.allow_duplicates=true",
    )
    outcome = flow.train(recipe, marked)
    folder, found = _newest(marked), outcome.calibration
    assert found.rows == sum(map(len, run.read_spans(folder / "out_of_fold.parquet")[1].answers))
    assert run.read_json(folder / "calibration.json")["temperature"] == found.temperature != 1
    assert found.after.value < found.before.value
    sure = using.predict(folder, list(outcome.predictions.prompts)).confidences
    # Without the file the same spans are marked, as surely as before calibration.
    (folder / "calibration.json").unlink()
    raw = using.predict(folder, list(outcome.predictions.prompts))
    assert raw.answers == outcome.predictions.answers
    for own, before in zip(sure, raw.confidences, strict=True):
        odds = np.array(before) / (1 - np.minimum(before, 1 - 1e-9))
        cooled = odds ** (1 / found.temperature)
        assert own == pytest.approx(cooled / (1 + cooled), abs=1e-3)
    page = (folder / "report.html").read_text("utf-8")
    assert "Does 90 % mean nine of ten?" in page
    assert "held-out spans" in page
    plain = _recipe(make_base("bert"), marked, "evaluation.calibrate=false")
    refuse_idle(plain)  # it does something for spans too
