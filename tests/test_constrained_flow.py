"""A run whose answers are held to a grammar: judged both ways, and held wherever it is used."""

import json
import re
import shutil
from pathlib import Path

import pytest

from fucina import evaluate, flow, planning, tasks, using
from fucina.errors import RecipeError
from fucina.recipe import parse
from fucina.records import Example
from fucina.tasks.settings import refuse_idle

pytest.importorskip("llguidance")

POSTS = [
    ("Oggi si inforna il pane", "#pane #forno"), ("Mare calmo e vento buono", "#mare"),
    ("Si parte per la montagna", "#montagna #viaggio"), ("Il forno è già caldo", "#forno"),
    ("Che onde stamattina", "#mare #onde"), ("Nuovo libro sul comodino", "#libri"),
    ("La neve copre il sentiero", "#montagna #neve"), ("Pane e olio per merenda", "#pane #olio"),
]  # fmt: skip
TAGS = re.compile(r"#\w+( #\w+)?")


@pytest.fixture
def posts(tmp_path):
    """A folder with train.jsonl (16 posts) and test.jsonl (8), and an own grammar."""
    for name, ends in (("train", (" oggi", "!")), ("test", ("?",))):
        rows = [{"text": text + end, "hashtags": tags} for text, tags in POSTS for end in ends]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    (tmp_path / "own.lark").write_text('start: "#mare" | "#pane #olio"', "utf-8")
    (tmp_path / "own.json").write_text('{"enum": ["#pane"]}', "utf-8")
    (tmp_path / "bad.lark").write_text("start: nothing", "utf-8")
    return tmp_path


def _recipe(base, folder, constrain, *overrides):
    text = (
        f"{{task: hashtags, name: a, output: '{folder}/runs', data: {{train: train.jsonl,"
        f" test: test.jsonl}}, model: {{base: '{base}'}}, adapter: {{rank: 4}},"
        f" chat: {{max_new_tokens: 40, constrain: {constrain}}}, evaluation: {{bootstrap_samples:"
        " 100}, training: {epochs: 1, batch_size: 8, precision: float32}}"
    )
    return parse(text, overrides)[0]


def test_a_held_model_is_judged_beside_itself_writing_freely(make_decoder, posts):
    said = []
    recipe = _recipe(make_decoder("llama"), posts, "known", "folds.count=2")
    outcome = flow.train(recipe, posts, say=said.append)
    known = {"#pane", "#forno", "#mare", "#montagna", "#viaggio", "#onde", "#libri", "#neve", "#olio"}  # fmt: skip
    for answer, ended in zip(outcome.predictions.answers, outcome.predictions.ended, strict=True):
        assert not ended or (TAGS.fullmatch(answer) and set(answer.split()) <= known)
    free = next(one for one in outcome.baselines if one.name == "free")
    assert free.scores["token_loss"].value == outcome.model.scores["token_loss"].value
    against = next(one for one in outcome.against if one.first == "free")
    assert against.test == "swaps"
    assert 0 < against.p_value <= 1
    assert "free" not in str(recipe.evaluation.baselines)
    assert not any("do not fit" in message for message in said)
    # Wherever the run is used it is held to the same.
    folder = Path(outcome.folder)
    asked = list(outcome.predictions.prompts)
    assert using.predict(folder, asked).answers == outcome.predictions.answers
    score = outcome.model.scores["f1"].value
    assert using.judge(folder).scores["f1"].value == pytest.approx(score)


def test_a_file_is_kept_in_the_run(make_decoder, posts):
    said = []
    recipe = _recipe(make_decoder("llama"), posts, "own.lark", "evaluation.baselines=[]")
    outcome = flow.train(recipe, posts, say=said.append)
    assert set(outcome.predictions.answers) <= {"#mare", "#pane #olio"}
    assert [one.name for one in outcome.baselines] == ["free"]
    assert any("12 of 16 true answers do not fit" in message for message in said)
    moved = posts / "elsewhere"
    shutil.copytree(outcome.folder, moved)
    (posts / "own.lark").unlink()
    assert set(using.predict(moved, ["Pane?"]).answers) <= {"#mare", "#pane #olio"}


def test_what_holds_answers_costs_time_in_the_plan(make_decoder, posts):
    seconds = []
    for constrain in ("none", "auto"):
        path = posts / f"{constrain}.yaml"
        path.write_text(
            f"{{task: hashtags, name: a, output: {posts}/runs, data: {{train: train.jsonl}}, model:"
            f" {{base: '{make_decoder('llama')}'}}, chat: {{constrain: {constrain}}}}}", "utf-8"
        )  # fmt: skip
        found = planning.plan_recipe(path, with_probe=False).options[0]
        seconds.append(found.work.stages["baselines"].flops)
    assert seconds[1] > 1.9 * seconds[0]  # the base, and the model once more


@pytest.mark.parametrize(("constrain", "fix"), [
    ("missing.lark", "relative to the recipe"), ("bad.lark", "Mend"), ("knwon", "known"),
])  # fmt: skip
def test_a_grammar_that_cannot_be_had_stops_before_training(constrain, fix, make_decoder, posts):
    with pytest.raises(RecipeError) as caught:
        flow.train(_recipe(make_decoder("llama"), posts, constrain), posts)
    assert fix in caught.value.fix
    assert not (posts / "runs").exists()


def test_a_task_without_a_grammar_wants_a_file(make_decoder, posts):
    recipe = _recipe(make_decoder("llama"), posts, "auto", "task=chat")
    rows = [{"prompt": text, "answer": tags} for text, tags in POSTS]
    (posts / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    with pytest.raises(RecipeError) as caught:
        flow.train(recipe.model_copy(update={"data": recipe.data.model_copy(update={"test": None})}), posts)  # fmt: skip
    assert ".lark or .json" in caught.value.fix


def test_labels_hear_no_grammar():
    recipe, _ = parse("{task: classification, name: a, data: {train: a}, chat: {constrain: auto}}")
    with pytest.raises(RecipeError) as caught:
        refuse_idle(recipe)
    assert "chat.constrain" in caught.value.problem


def test_true_answers_of_the_sample_fit_the_grammars_of_their_task():
    """What a task holds answers to must let every right answer through."""
    from fucina.models.constrain import Held
    from fucina.models.scratch import tokenizer_of
    from fucina.models.template import open_template
    from fucina.reading import read_subject
    from fucina.recipe import load

    names = [form for name in tasks.names()
             for form in (name, *(f"{name}.{own}" for own in tasks.get(name).choices.forms))]  # fmt: skip
    held_names = []
    for name in names:
        folder = tasks.folder(name)
        recipe, _ = load(folder / "recipe.yaml", [f"task={name}"] if "." in name else [])
        task = tasks.of(recipe)
        if not task.choices.grammars:
            continue
        held_names.append(name)
        rows = read_subject(recipe, folder).train.examples
        template = open_template(tokenizer_of([row.target for row in rows]))
        for make in task.choices.grammars.values():
            held = Held(lambda asked, make=make, rows=rows: make(rows, asked), template)
            assert not held.misfits(rows), name
    assert {"entities.json", "entities.text", "hashtags", "text_to_sql"} <= set(held_names)


def test_one_tag_a_row_is_a_grammar_too():
    from fucina.models.constrain import check_grammar

    train = [Example("Che mare", "#mare")]
    for make in tasks.get("hashtags").choices.grammars.values():
        check_grammar(make(train, train)[0])


def test_both_numbers_are_shown(make_decoder, posts):
    recipe = _recipe(make_decoder("llama"), posts, "auto", "evaluation.baselines=[]")
    outcome = flow.train(recipe, posts)
    rows = evaluate.held_and_free(evaluate.facts(outcome))
    scores = outcome.model.scores
    assert rows[0][0] == "F1"
    assert rows[0][1].startswith(f"{scores['f1'].value:.3f}")
    assert not [row for row in rows if "perplexity" in row[0]]
    page = (Path(outcome.folder) / "report.html").read_text("utf-8")
    assert "Held to the grammar, and free" in page
    free = flow.train(_recipe(make_decoder("llama"), posts, "none"), posts)
    assert evaluate.held_and_free(evaluate.facts(free)) == []


def test_each_part_is_held_to_its_own_grammar(make_decoder, posts):
    moods = [
        {"text": text, "label": "gioia" if "mare" in tags else "quiete"} for text, tags in POSTS
    ]
    said = [{"prompt": f"Che fai {text}?", "answer": f"Niente, {tags}"} for text, tags in POSTS]
    for name, rows in (("moods", moods), ("said", said)):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (posts / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    recipe, _ = parse(
        f"{{task: multitask, name: a, output: '{posts}/runs', model: {{base: "
        f"'{make_decoder('llama')}'}}, multitask: {{parts: ["
        "{name: tags, task: hashtags, train: train.jsonl, test: test.jsonl, system: T}, "
        "{name: mood, task: classification, train: moods.jsonl, test: moods.jsonl, system: M}, "
        "{name: talk, task: chat, train: said.jsonl, test: said.jsonl, system: S}]}, "
        "data: {allow_duplicates: true}, chat: {max_new_tokens: 30, constrain: auto}, "
        "evaluation: {bootstrap_samples: 100}, training: {epochs: 1}, adapter: {rank: 2}}"
    )
    outcome = flow.train(recipe, posts)
    moods = outcome.parts["mood"]
    assert set(moods.predictions.answers) <= {"gioia", "quiete"}
    assert {b.name for b in moods.baselines} == {"majority", "words", "characters", "base", "free"}
    tags = outcome.parts["tags"].predictions
    assert all(TAGS.fullmatch(a) for a, end in zip(tags.answers, tags.ended, strict=True) if end)
    assert len(outcome.parts["talk"].predictions.answers) == len(POSTS)
    assert outcome.parts["talk"].headline == "perplexity"
