"""From a run folder to its causes, a counterfactual and a mended run."""

import json

import numpy as np
import pytest

from fucina import diagnosing, flow, mending, reading, run
from fucina.errors import RunError
from fucina.recipe import load, parse
from fucina.records import Cause


@pytest.fixture
def weak(make_base, labelled):
    """A run that was hardly trained."""
    text = (
        f"{{task: classification, name: weak, output: '{labelled}/runs', data: {{train: train.jsonl,"
        f" test: test.jsonl}}, model: {{base: '{make_base('bert')}', lexical: false}}, "
        "adapter: {rank: 4, layers: 1}, training: {epochs: 1, precision: float32, start: cold,"
        " learning_rate: 1e-6, batch_size: 8}, evaluation: {bootstrap_samples: 100}}"
    )
    outcome = flow.train(parse(text)[0], labelled)
    return run.find(labelled / "runs" / "weak"), outcome


def test_a_run_folder_alone_is_enough_to_diagnose_and_mend(weak, labelled):
    folder, _ = weak
    for path in labelled.glob("*.jsonl"):
        path.unlink()  # the rows are in the run
    found = diagnosing.diagnose_run(folder)
    names = [cause.name for cause in found.causes]
    assert "learning_rate_low" in names
    assert "test_too_small" in names  # 15 rows
    assert [c.weight for c in found.causes] == sorted(
        (c.weight for c in found.causes), reverse=True
    )
    mended = mending.apply(folder, found.causes)
    assert mended.changes["training.learning_rate"] == 5e-4
    written, _ = load(folder / "mended" / "recipe.yaml")
    assert written.training.start == "floor"
    assert written.name == "weak-mended"
    assert run.find(labelled / "runs" / "weak-mended")
    assert mended.after.prompts == mended.before.prompts
    assert mended.after.targets == mended.before.targets
    gain = mended.comparison.differences["accuracy"].value
    right = [
        np.mean(np.array(p.answers) == np.array(p.targets)) for p in (mended.before, mended.after)
    ]
    assert gain == pytest.approx(right[1] - right[0])
    assert gain > 0
    # What was written trains again from the command line.
    assert (
        reading.read(written, folder / "mended")[0].test.fingerprint
        == (run.read_json(folder / "data.json")["test"]["sha256"])
    )


def test_a_counterfactual_trains_without_the_cause_and_leaves_nothing_behind(weak):
    folder, _ = weak
    before = sorted(path.name for path in folder.iterdir())
    cause = Cause("cold_start", 0.9, "", (), "", "", {"training.start": "floor"})
    tested = mending.try_without(folder, cause)
    assert tested.changes == {"training.start": "floor"}
    assert tested.comparison.differences["accuracy"].value > 0
    assert sorted(path.name for path in folder.iterdir()) == before


def test_too_few_rows_are_tested_by_taking_half_of_them_away(weak):
    folder, _ = weak
    tested = mending.try_without(folder, Cause("too_few_examples", 0.9, "", (), "", ""))
    rows, fold = run.read_rows(folder / "development.parquet")
    learned = sum(held < 0 for held in fold)
    assert tested.repaired == pytest.approx(learned / 2, abs=3)
    assert len(rows) == 45


def test_rows_are_left_out_or_rewritten_as_the_cause_says(weak):
    folder, _ = weak
    rows, _ = run.read_rows(folder / "development.parquet")
    gone, changed = rows.examples[0].origin, rows.examples[1].origin
    cause = Cause("damaged_text", 0.9, "", (), "", "", {}, {gone: None, changed: "città, perché"})
    mended = mending.apply(folder, [cause])
    assert mended.repaired == 2
    texts = [
        json.loads(line)["text"]
        for line in (folder / "mended" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(texts) == len(rows) - 1
    assert "città, perché" in texts
    assert rows.examples[0].prompt not in texts


def test_a_mended_recipe_still_finds_the_must_fix_cases(make_base, labelled):
    row = (labelled / "test.jsonl").read_text(encoding="utf-8").splitlines()[0]
    (labelled / "cases.jsonl").write_text(row, encoding="utf-8")
    text = (
        f"{{task: classification, name: b, output: '{labelled}/runs', data: {{train: train.jsonl,"
        f" test: test.jsonl}}, model: {{base: '{make_base('bert')}'}}, adapter: {{layers: 1}},"
        " training: {epochs: 1}, evaluation: {bootstrap_samples: 100, must_fix: cases.jsonl}}"
    )
    flow.train(parse(text)[0], labelled)
    folder = run.find(labelled / "runs" / "b")
    cause = Cause("cold_start", 0.9, "", (), "", "", {"training.epochs": 2})
    mended = mending.apply(folder, [cause])
    assert (
        len(run.read_json(run.find(labelled / "runs" / "b-mended") / "metrics.json")["must_fix"])
        == 1
    )
    assert mended.changes == {"training.epochs": 2}


def test_causes_that_no_recipe_can_mend_say_so(weak):
    folder, _ = weak
    cause = Cause("test_too_small", 0.9, "", (), "", "")
    assert mending.try_without(folder, cause) is None
    with pytest.raises(RunError, match="by a recipe") as caught:
        mending.apply(folder, [cause])
    assert "label" in caught.value.fix


def test_an_unfinished_run_cannot_be_diagnosed(weak):
    folder, _ = weak
    (folder / "metrics.json").unlink()
    with pytest.raises(RunError, match="not complete"):
        diagnosing.diagnose_run(folder)
