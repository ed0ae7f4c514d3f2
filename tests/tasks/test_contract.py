"""What every task must keep; it runs over all folders of fucina/tasks."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fucina import (
    augmented,
    data,
    diagnosing,
    flow,
    planning,
    reading,
    synthesized,
    tasks,
    using,
)
from fucina.errors import RecipeError
from fucina.prepare.case import question
from fucina.recipe import load
from fucina.training_file import write_training_file


def _rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(params=tasks.names())
def task(request):
    """A task as its own recipe sets it."""
    return tasks.of(load(tasks.folder(request.param) / "recipe.yaml")[0])


def test_a_folder_holds_all_of_a_task(task):
    folder = tasks.folder(task.name)
    for name in ("recipe.yaml", "golden.jsonl", "README.md"):
        assert (folder / name).is_file(), name
    for place in reading.sources(load(folder / "recipe.yaml")[0]):
        assert place.files["train"].endswith("sample.jsonl")
        assert all((folder / name).is_file() for name in place.files.values())
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert all(f"`{column}`" in readme for column in task.columns)
    assert task.name == folder.name


def _golden(task):
    return _rows(tasks.folder(task.name) / "golden.jsonl")


def _asked(task):
    own = task.at(tasks.folder(task.name))
    return [own.read(case["row"]) for case in _golden(task)]


def test_golden_rows_become_the_written_prompt_and_target(task):
    golden = _golden(task)
    assert len(golden) >= 3
    for case in golden:
        example = task.at(tasks.folder(task.name)).read(case["row"])
        assert (example.prompt, example.target) == (case["prompt"], case["target"])


def test_the_sample_passes_its_own_check(task):
    recipe, _ = load(tasks.folder(task.name) / "recipe.yaml")
    subject = reading.read_subject(recipe, tasks.folder(task.name))
    findings = data.audit(replace(subject, folds=3, test=None, rules=()))
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
    score = outcome.model.scores[task.judging.headline].value
    if (
        task.judging.headline == "perplexity"
    ):  # 1 is perfect; the vocabulary's size is knowing nothing
        assert 1 < score < float("inf")
    else:
        assert 0 <= score <= 1
    answered = using.predict(tmp_path / recipe.name, _asked(task))
    assert len(answered.answers) == len(_golden(task))
    # The verbs that start from the run: each says something of this task.
    run = Path(outcome.folder)
    assert using.judge(run).scores[task.judging.headline].value == pytest.approx(score)
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


def test_a_task_that_writes_takes_an_encoder_decoder(task, make_pair, tmp_path):
    """Nothing in its recipe changes but the base."""
    if task.answer != "text":
        pytest.skip("it answers with labels")
    folder = tasks.folder(task.name)
    everything = shutil.copytree(folder.parent, tmp_path / "tasks")
    for path in everything.rglob("*.jsonl"):  # few rows will do: the sample is trained on above
        lines = path.read_text(encoding="utf-8").splitlines()[:16]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    job = everything / folder.name
    recipe, _ = load(
        job / "recipe.yaml",
        [f"model.base={make_pair('t5')}", "chat.max_new_tokens=8", f"output={tmp_path}",
         "training.epochs=1", "evaluation.bootstrap_samples=100"],
    )  # fmt: skip
    outcome = flow.train(recipe, job)
    assert outcome.model.rows > 0
    assert task.judging.headline in outcome.model.scores
    answered = using.predict(tmp_path / recipe.name, _asked(task))
    assert len(answered.answers) == len(_golden(task))


def _job(task, folder, *overrides):
    job = shutil.copytree(tasks.folder(task.name), folder / "job")
    return job, load(job / "recipe.yaml", overrides)[0]


def test_cases_and_rows_are_varied_and_train_again(task, tmp_path):
    if task.choices.parts:
        pytest.skip("refused for several tasks at once")
    job, recipe = _job(task, tmp_path)
    before = reading.read_file(recipe, job / recipe.data.train)
    # Golden rows are written by columns; the sample has the labels.
    known = [{"row": e.fields, "target": e.target} for e in before.examples[:3]]
    known = _golden(task) if task.answer == "text" else known
    cases = []
    for case in known:
        asked = re.sub(r"[\\\[\]{}()|]", r"\\\g<0>", case["row"][task.asked].strip())
        cases.append({**case["row"], task.asked: f"{asked} {{chi}}[, ok]"})
        if task.marks:  # places count the letters of a case as it is written
            assert asked == case["row"][task.asked]
    section = {"slots": {"chi": ["Ada", "Ugo"]}, "cases": cases, "surface": ["typo"]}
    override = f"augment={json.dumps(section, ensure_ascii=False)}"
    recipe, _ = load(job / "recipe.yaml", [override, "data.validation=null"])
    found = augmented.augment(recipe, job, job / "new.jsonl")
    rows = reading.read_file(recipe, job / "new.jsonl", group=recipe.data.group or "group")
    assert rows.targets == found.rows.targets
    assert rows.targets[: len(before)] == before.targets
    assert [example.facts for example in rows.examples[: len(before)]] == [
        example.facts for example in before.examples
    ]
    made = dict(zip(rows.prompts, rows.examples, strict=True))
    places = {f"augment.cases.{number}": case for number, case in enumerate(known, 1)}
    varied = [row for row in found.rows.examples if row.origin in places]
    assert len(varied) >= 4
    assert all(row.target == places[row.origin]["target"] for row in varied)
    assert all(made[row.prompt].group for row in varied)
    typed = [row for row in found.rows.examples if row.origin.endswith("(typo)")]
    bases = {row.origin: row for row in [*varied, *before.examples]}
    assert len(typed) > len(before) / 2
    for row in typed:
        base = bases[row.origin.removesuffix(" (typo)")]
        if task.marks:  # the words of what is marked are typed as well
            assert [span.label for span in row.spans] == [span.label for span in base.spans]
        else:
            assert row.target == base.target


def _said(example, task):
    """The answer of a row as a model writes it: of what is marked the words."""
    if not task.marks:
        return example.fields.get(task.answered, example.target)
    return [{"text": own[s.start : s.end], "label": s.label}
            for own in [example.prompt] for s in example.spans]  # fmt: skip


def test_what_a_model_writes_waits_and_trains_beside_the_rows_there_were(task, endpoint, tmp_path):
    if task.choices.parts:
        pytest.skip("refused for several tasks at once")
    job, recipe = _job(task, tmp_path, "data.validation=null")
    rows = reading.read_file(recipe, job / recipe.data.train)
    new, kept = rows.examples[:5], rows.examples[5:]
    write_training_file(replace(rows, examples=kept), job / "rows.jsonl", recipe.data)
    for number, example in enumerate(new):
        own = question(example.fields, task)
        if task.answer == "label":
            prompt, reply = {"label": example.target}, own
        else:
            beside = {"messages", "tools", "group", task.asked, task.answered}
            given = {k: v for k, v in example.fields.items() if k not in beside}
            prompt = {"given": given}
            reply = {task.asked: own, task.answered: _said(example, task)}
        section = {"url": endpoint.url, "model": "m", "retries": 0, "requests_at_once": 1,
                   "prompts": [{**prompt, "prompt": f"Domanda {number}", "rows": 1}]}  # fmt: skip
        overrides = [
            f"synthesis={json.dumps(section, ensure_ascii=False)}",
            "data.train=rows.jsonl",
            "data.format=auto",
        ]
        recipe, _ = load(job / "recipe.yaml", [*overrides, "data.validation=null"])
        endpoint.script = [[reply]]
        synthesized.write_examples(recipe, job, "")
    done = synthesized.accept(recipe, job)
    assert done.train == len(kept)
    assert done.accepted >= 3  # a check may take one for what it is not
    written = reading.read_file(recipe, done.path, group="group")
    assert written.targets[: len(kept)] == [example.target for example in kept]
    assert set(written.targets[len(kept) :]) <= {example.target for example in new}


def test_a_chat_file_is_read_by_every_task(task, tmp_path):
    """As turns, or as the last question and the last answer."""
    golden = _golden(task)
    if any(set(case["row"]) - {task.asked, task.answered} for case in golden):
        pytest.skip("rows need more than a question and an answer")
    turns = [
        [{"role": "user", "content": case["row"][task.asked]},
         {"role": "assistant", "content": case["target"]}]
        for case in golden
    ]  # fmt: skip
    lines = [json.dumps({"messages": own}) + "\n" for own in turns]
    (tmp_path / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    recipe, _ = load(tasks.folder(task.name) / "recipe.yaml")
    rows = reading.read_file(recipe, tmp_path / "rows.jsonl")
    assert rows.targets == [case["target"] for case in golden]


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
