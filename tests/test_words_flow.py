"""Labels answered by their names: a run like any other of labels, learnt like a run of texts."""

import json
from pathlib import Path

import numpy as np
import pytest

from fucina import diagnosing, flow, opening, planning, reading, run, using
from fucina.errors import ModelError, RecipeError
from fucina.models import threads
from fucina.recipe import dump, parse
from fucina.tasks.settings import refuse_idle


def _text(base, folder, name="a"):
    return (
        f"{{task: classification, name: {name}, output: '{folder}/runs', data: {{train: train.jsonl,"
        f" test: test.jsonl}}, model: {{base: '{base}', head: words}}, adapter: {{rank: 4}},"
        " chat: {system: Di che cosa parla il cliente? Rispondi con il nome.},"
        " evaluation: {bootstrap_samples: 100},"
        " training: {epochs: 2, batch_size: 8, learning_rate: 5e-3, precision: float32}}"
    )


def _recipe(base, folder, *overrides, name="a"):
    return parse(_text(base, folder, name), overrides)[0]


@pytest.mark.parametrize("overrides", [
    ("folds.count=3",), ("folds.count=3", "folds.ensemble=vote", "adapter.layers=all"),
    ("adapter.kind=full", "folds.count=3", "adapter.layers=all"), ("adapter.kind=full", "adapter.layers=1"),
])  # fmt: skip
def test_held_out_rows_get_while_training_what_the_saved_members_say(
    overrides, make_decoder, labelled, pool
):
    recipe = _recipe(make_decoder("llama"), labelled, *overrides, "evaluation.calibrate=false")
    said = []
    outcome = flow.train(recipe, labelled, say=said.append)
    assert any("weighed in one pass" in message for message in said)
    kept = run.read_predictions(Path(outcome.folder) / "out_of_fold.parquet")
    _, model = opening.load_model(Path(outcome.folder), workers=2)
    each = model.member_probabilities(kept.prompts, threads=pool)
    rows, ends = run.read_json(Path(outcome.folder) / "metrics.json"), 0
    folds = rows["folds"]["accuracy"]["values"] if rows["folds"] else [0.0]
    sizes = [len(kept.prompts)] if len(folds) == 1 else [15] * len(folds)
    assert sum(sizes) == len(kept.prompts)
    for member, size in enumerate(sizes):
        part = slice(ends, ends + size)
        ends += size
        assert kept.probabilities[part] == pytest.approx(each[member, part], rel=1e-4, abs=1e-6)
    assert np.allclose(kept.probabilities.sum(axis=1), 1)
    # Each epoch is scored as labels are, and the best is kept by balanced accuracy.
    events = [e for e in run.read_events(Path(outcome.folder)) if e["event"] == "epoch"]
    assert set(events[0]["scores"]) == {"balanced_accuracy", "accuracy"}
    best = max(e["scores"]["balanced_accuracy"] for e in events if e["member"] == 0)
    assert rows["members"][0]["score"] == pytest.approx(best)


@pytest.mark.long
def test_all_verbs_of_labels_work_on_names(make_decoder, labelled):
    case = {"text": "schermo rotto quando", "label": "guasto"}
    (labelled / "must.jsonl").write_text(json.dumps(case), "utf-8")
    (labelled / "rules.yaml").write_text(
        "rules:\n  - {label: rimborso, keywords: [soldi]}\ndefault: ordine\n", "utf-8"
    )
    recipe = _recipe(
        make_decoder("llama"), labelled, "folds.count=3", "evaluation.must_fix=must.jsonl",
        "evaluation.rules=rules.yaml", "evaluation.max_error=0.2", "training.epochs=30",
        "training.learning_rate=5e-3", "adapter.layers=all",
    )  # fmt: skip
    outcome = flow.train(recipe, labelled)
    folder = Path(outcome.folder)
    names = {baseline.name for baseline in outcome.baselines}
    assert names == {"majority", "words", "characters", "frozen", "rules"}
    assert outcome.calibration.rows == 45
    assert [(c.target, c.seen) for c in outcome.must_fix] == [("guasto", False)]
    score = outcome.model.scores["accuracy"].value
    assert score > 0.4  # of three labels
    assert using.judge(folder).scores["accuracy"].value == pytest.approx(score)
    assert using.compare(folder, folder).p_value == 1
    again = using.predict(folder, list(outcome.predictions.prompts))
    assert again.probabilities == pytest.approx(outcome.predictions.probabilities, rel=1e-4)
    assert "<html" in using.report(folder).read_text(encoding="utf-8").lower()
    found = diagnosing.diagnose_run(folder)
    assert found.symptom
    for cause in found.causes:  # what it orders can be obeyed
        mended = parse(dump(recipe), [f"{k}={json.dumps(v)}" for k, v in cause.changes.items()])[0]
        refuse_idle(mended)


def test_a_run_of_names_is_planned(make_decoder, labelled):
    path = labelled / "recipe.yaml"
    path.write_text(_text(make_decoder("llama"), labelled), "utf-8")
    found = planning.plan_recipe(path, with_probe=False).options[0]
    assert found.work.shapes.texts.labels == 3
    assert {"calibrating", "answering"} <= set(found.estimate.seconds)
    assert "floor" not in found.estimate.seconds
    many = [json.dumps({"text": f"voglio {n}", "label": f"una lunga etichetta {n % 9}"}) for n in range(45)]  # fmt: skip
    (labelled / "train.jsonl").write_text("\n".join(many), "utf-8")
    (labelled / "test.jsonl").write_text("\n".join(many[::5]).replace("voglio", "dove"), "utf-8")
    more = planning.plan_recipe(path, with_probe=False).options[0]
    states = [one.work.shapes.texts.test / one.work.shapes.test_rows for one in (found, more)]
    assert states[1] > states[0] > 3  # tokens of the tree of names, and the last of the prompt


@pytest.mark.long
def test_a_network_that_cannot_weigh_together_gives_the_same_run(
    make_decoder, labelled, monkeypatch
):
    from fucina.models import by_name
    from fucina.train import prepare_label_words

    recipe = _recipe(make_decoder("llama"), labelled, "folds.count=3", "evaluation.baselines=[]")
    first = flow.train(recipe, labelled)
    for place in (by_name, prepare_label_words):
        monkeypatch.setattr(place, "weighs_together", lambda *_: False)
    said = []
    second = flow.train(recipe, labelled, say=said.append)
    assert any("one after the other" in message for message in said)
    assert second.predictions.probabilities == pytest.approx(
        first.predictions.probabilities, rel=1e-3, abs=1e-5
    )


@pytest.mark.parametrize(("overrides", "fix"), [
    (("model.pooling=cls",), "Leave it out"), (("training.loss=focal",), "Leave it out"),
    (("training.start=cold",), "Leave it out"), (("chat.max_new_tokens=9",), "Leave it out"),
    (("chat.supervise=last",), "Leave it out"), (("adapter.kind=head",), "lora"),
    (("model.base=scratch",), "adapter.kind: full"),
    (("model.head=classes",), "leave it out"), (("task=chat",), "model.head"),
])  # fmt: skip
def test_settings_that_names_of_labels_cannot_hear_are_refused(overrides, fix, tmp_path):
    with pytest.raises(RecipeError) as caught:
        refuse_idle(_recipe("some", tmp_path, *overrides))
    assert fix.lower() in f"{caught.value.problem} {caught.value.fix}".lower()


def test_names_need_a_decoder(make_base, labelled):
    with pytest.raises(ModelError) as caught:
        flow.train(_recipe(make_base("bert"), labelled), labelled)
    assert "model.head: classes" in caught.value.fix
    assert not (labelled / "runs").exists()


def test_names_can_be_learnt_from_scratch(labelled):
    recipe = _recipe(
        "scratch", labelled, "adapter.kind=full", "adapter.layers=all", "training.epochs=1"
    )
    split, _ = reading.read(recipe, labelled)
    assert Path(reading.settle(recipe, split.development).model.base).is_dir()


def test_a_killed_run_of_names_goes_on_to_the_same_weights(make_decoder, labelled, monkeypatch):
    from fucina import journal

    recipe = _recipe(make_decoder("llama"), labelled, "evaluation.baselines=[]")
    whole = flow.train(recipe, labelled)
    weights = {
        path.name: path.read_bytes() for path in Path(whole.folder).glob("best_model_*/adapter*")
    }
    keep = journal.Journal._save

    def stop(self, group, state):
        keep(self, group, state)
        if state.epoch == 1:
            raise KeyboardInterrupt

    other = recipe.model_copy(update={"name": "b"})
    monkeypatch.setattr(journal.Journal, "_save", stop)
    with pytest.raises(KeyboardInterrupt):
        flow.train(other, labelled)
    monkeypatch.setattr(journal.Journal, "_save", keep)
    resumed = flow.train(other, labelled, resume=True)
    again = {p.name: p.read_bytes() for p in Path(resumed.folder).glob("best_model_*/adapter*")}
    assert again == weights
    assert threads.processors() > 0
