"""What every task must keep; it runs over all folders of fucina/tasks."""

import json
from pathlib import Path

import pytest

from fucina import data, diagnosing, flow, planning, reading, tasks, using
from fucina.errors import RecipeError
from fucina.recipe import load


def _rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(params=tasks.names())
def task(request):
    return tasks.get(request.param)


def test_a_folder_holds_all_of_a_task(task):
    folder = tasks.folder(task.name)
    for name in ("recipe.yaml", "sample.jsonl", "golden.jsonl", "README.md"):
        assert (folder / name).is_file(), name
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert all(f"`{column}`" in readme for column in task.columns)
    assert task.name == folder.name


def _golden(task):
    return _rows(tasks.folder(task.name) / "golden.jsonl")


def test_golden_rows_become_the_written_prompt_and_target(task):
    golden = _golden(task)
    assert len(golden) >= 3
    for case in golden:
        folder = str(tasks.folder(task.name))
        example = task.to_example({**case["row"], "folder": folder})
        assert (example.prompt, example.target) == (case["prompt"], case["target"])


def test_the_sample_passes_its_own_check(task):
    recipe, _ = load(tasks.folder(task.name) / "recipe.yaml")
    rows = reading.read_file(recipe, tasks.folder(task.name) / recipe.data.train)
    findings = data.audit(data.Subject(rows, folds=3, answer=task.answer))
    assert not [finding for finding in findings if finding.severity != "note"]


def test_the_whole_flow_runs_on_the_sample(task, make_base, make_decoder, tmp_path):
    folder, writes = tasks.folder(task.name), task.answer == "text"
    own = [f"model.base={make_decoder('llama') if writes else make_base('bert')}"]
    own += ["chat.max_new_tokens=8"] if writes else []
    recipe, _ = load(
        folder / "recipe.yaml",
        [*own, f"output={tmp_path}", "adapter.rank=2", "training.epochs=1",
         "evaluation.bootstrap_samples=100"],
    )  # fmt: skip
    outcome = flow.train(recipe, folder)
    assert outcome.model.rows > 0
    score = outcome.model.scores[task.headline].value
    if task.headline == "perplexity":  # 1 is perfect; the vocabulary's size is knowing nothing
        assert 1 < score < float("inf")
    else:
        assert 0 <= score <= 1
    answered = using.predict(tmp_path / recipe.name, [case["prompt"] for case in _golden(task)])
    assert len(answered.answers) == len(_golden(task))
    # The verbs that start from the run: each says something of this task.
    run = Path(outcome.folder)
    assert using.judge(run).scores[task.headline].value == pytest.approx(score)
    assert using.compare(run, run).p_value == 1
    assert "<html" in using.report(run).read_text(encoding="utf-8").lower()
    found = diagnosing.diagnose_run(run)
    assert found.symptom
    assert found.causes


def test_the_verbs_before_training_run_on_the_sample(task, make_base, make_decoder, tmp_path):
    folder = tasks.folder(task.name)
    base = make_decoder("llama") if task.answer == "text" else make_base("bert")
    overrides = [f"model.base={base}", f"output={tmp_path}"]
    recipe, _ = load(folder / "recipe.yaml", overrides)
    subject, findings = reading.audit(recipe, folder)
    assert len(subject.train) > 0
    assert not [finding for finding in findings if finding.severity == "error"]
    planned = planning.plan_recipe(folder / "recipe.yaml", overrides, with_probe=False)
    assert sum(planned.options[0].estimate.seconds.values()) > 0


def test_a_misspelt_task_names_the_nearest():
    with pytest.raises(RecipeError) as caught:
        tasks.get("clasification")
    assert "classification" in caught.value.fix


def test_a_new_task_is_one_folder():
    """Nothing outside the folder of `language_id` names it."""
    source = Path(tasks.__file__).parent.parent
    named = [
        path
        for path in source.rglob("*.py")
        if "language_id" in path.read_text(encoding="utf-8") and "language_id" not in path.parts
    ]
    assert not named
