"""A run that learns to write: what is kept of it, what survives a kill, and what each setting does."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from command import run as fucina
from fucina import flow, reading, run, using
from fucina.config import AdapterConfig, StoppingConfig, TrainingConfig
from fucina.errors import DataError, RecipeError
from fucina.models.build import build
from fucina.models.conversations import write
from fucina.recipe import dump, parse
from fucina.records import Fold
from fucina.tasks.settings import refuse_idle
from fucina.train.fit import fit
from fucina.train.members import Hooks
from fucina.train.texts import TEXTS, TextMaterial

ASKED = ("com'è il mare", "posso uscire in barca", "che luce è quella", "quando accendi", "e la nebbia",
         "chi sale quassù", "dove si pesca")  # fmt: skip
SAID = ("grosso, resta a casa", "no, gira a libeccio", "la testa del molo", "al tramonto", "porta un libro",
        "nessuno d'inverno", "sugli scogli")  # fmt: skip


def _pairs():
    return [(f"{asked} {word}?", f"{said} {word}.") for word in ("oggi", "domani", "stasera", "a maggio")
            for asked, said in zip(ASKED, SAID, strict=True)]  # fmt: skip


def _turns(*said):
    roles = ("user", "assistant") * len(said)
    return [{"role": role, "content": text} for role, text in zip(roles, said, strict=False)]


def _lines(path, rows):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")


@pytest.fixture
def spoken(tmp_path):
    """A folder with train.jsonl (23 conversations, some of two exchanges) and test.jsonl (5)."""
    pairs = _pairs()
    test = [{"messages": _turns(*pair)} for pair in pairs[::6]]
    rest = [pair for place, pair in enumerate(pairs) if place % 6]
    train = [
        {"messages": _turns(*(rest[place - 1] if place % 4 == 0 else ()), *pair)}
        for place, pair in enumerate(rest)
    ]
    _lines(tmp_path / "train.jsonl", train)
    _lines(tmp_path / "test.jsonl", test)
    return tmp_path


def _text(base, folder, name):
    return (
        f"{{task: chat, name: {name}, output: '{folder}/runs', data: {{train: train.jsonl,"
        f" test: test.jsonl}}, model: {{base: '{base}'}}, adapter: {{rank: 4}},"
        " chat: {max_new_tokens: 6}, evaluation: {bootstrap_samples: 100},"
        " training: {epochs: 2, batch_size: 4, precision: float32}}"
    )


def _recipe(base, folder, *overrides, name="a"):
    return parse(_text(base, folder, name), overrides)[0]


def _newest(folder, name="a"):
    return run.find(folder / "runs" / name)


def _weights(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.glob("best_model_*/*.safetensors"))}  # fmt: skip


def test_folds_leave_each_held_out_row_once_with_its_loss(make_decoder, spoken):
    outcome = flow.train(_recipe(make_decoder("llama"), spoken, "folds.count=3"), spoken)
    folder = _newest(spoken)
    rows, texts = run.read_texts(folder / "out_of_fold.parquet")
    assert len(rows) == len(set(rows.prompts)) == 23
    assert np.all(texts.losses > 0)
    assert np.all(texts.tokens > 0)
    assert not texts.answers  # nothing is written while training
    for member in range(3):
        assert (folder / f"best_model_peft_{make_decoder('llama').name}_fold{member + 1}").is_dir()
    # The losses kept are those of the epoch kept, told in the events.
    events = [e for e in run.read_events(folder) if e["event"] == "epoch"]
    members = run.read_json(folder / "metrics.json")["members"]
    best = [
        next(e["validation_loss"] for e in events
             if (e["member"] + 1, e["epoch"]) == (m["member"], m["best_epoch"]))
        for m in members
    ]  # fmt: skip
    assert outcome.folds["token_loss"] == pytest.approx(best)
    assert outcome.out_of_fold.scores["token_loss"].value == pytest.approx(
        texts.losses.sum() / texts.tokens.sum()
    )


@pytest.mark.parametrize("folds", [0, 3])
def test_tokens_of_all_members_and_epochs_are_counted(folds, make_decoder, load_decoder, spoken):
    recipe = _recipe(make_decoder("llama"), spoken, f"folds.count={folds}")
    outcome, folder = flow.train(recipe, spoken), _newest(spoken)
    development, fold = run.read_rows(folder / "development.parquet")
    rendered = [load_decoder("llama").template.render(row) for row in development.examples]
    learn = [[own for own, out in zip(rendered, fold, strict=True) if out != member]
             for member in range(folds or 1)]  # fmt: skip
    metrics = run.read_json(folder / "metrics.json")
    assert metrics["tokens"] == {
        "read": 2 * sum(len(own.ids) for rows in learn for own in rows),
        "learnt": 2 * sum(int(own.supervised.sum()) for rows in learn for own in rows),
    }
    told = f"training read {metrics['tokens']['read']:,} tokens in all epochs"
    assert told in next((folder / "logs").glob("*.log")).read_text("utf-8")
    assert told.capitalize() in (folder / "report.html").read_text("utf-8")
    texts, cost = outcome.predictions, metrics["model"]["cost"]
    assert cost["answer_tokens_mean"] == np.mean(texts.written)
    assert run.read_texts(folder / "predictions.parquet")[1].read == texts.read
    asked = [len(load_decoder("llama").template.asked(row))
             for row in run.read_texts(folder / "predictions.parquet")[0].examples]  # fmt: skip
    assert list(texts.read) == asked
    assert texts.cut == ()


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_member_learns_to_write_in_a_stack_as_it_does_alone(kind, load_decoder, pool):
    from fucina.records import Example

    base = load_decoder("llama")
    rows = [Example(asked, said) for asked, said in _pairs()]
    written = write(rows, base.template, max_length_tokens=256)
    folds = [Fold(tuple(range(0, 20)), tuple(range(20, 28))), Fold(tuple(range(5, 28)), (0, 1, 2))]
    config = TrainingConfig(epochs=2, batch_size=4, learning_rate=1e-3)
    stopping = StoppingConfig(keep="rollback", max_ratio="off")
    adapter = AdapterConfig(kind=kind, layers=2, rank=4)

    def train(some):
        stack = build(base, adapter, members=len(some), labels=0, seed=0, workers=2)
        if kind == "lora":  # member 1 alone starts as member 1 of the stack
            both = build(base, adapter, members=2, labels=0, seed=0, workers=1).adapters
            stack.bind(both[[folds.index(fold) for fold in some]].clone(), stack.heads)
        material = TextMaterial(written, tuple(some))
        settings = {"run": (5, float("inf"), pool), "hooks": Hooks()}
        return fit(stack, material, TEXTS, config, stopping, **settings)

    together = train(folds) if kind == "lora" else [train([fold])[0] for fold in folds]
    for index, fold in enumerate(folds):
        alone = train([fold])[0]
        # Adam divides by the root of tiny second moments, which magnifies the last bits.
        assert torch.allclose(together[index].state, alone.state, atol=2e-3)
        assert together[index].best.score == pytest.approx(alone.best.score, abs=1e-4)


def test_equal_seeds_write_equal_files(make_decoder, spoken):
    for name in ("one", "two"):
        flow.train(_recipe(make_decoder("gpt2"), spoken, "folds.count=2", name=name), spoken)
    assert _weights(_newest(spoken, "one")) == _weights(_newest(spoken, "two"))
    tables = [
        run.read_texts(_newest(spoken, name) / "predictions.parquet")[1] for name in ("one", "two")
    ]
    assert tables[0].answers == tables[1].answers
    assert np.array_equal(tables[0].losses, tables[1].losses)


def test_a_killed_writer_resumes_to_bitwise_the_same_weights(make_decoder, spoken):
    base = make_decoder("llama")
    more = ["folds.count=2", "training.epochs=15", "stopping.patience=50", "adapter.dropout=0.1"]
    flow.train(_recipe(base, spoken, *more, name="unbroken"), spoken)
    path = spoken / "recipe.yaml"
    path.write_text(dump(_recipe(base, spoken, *more, name="killed")), "utf-8")
    command = [sys.executable, "-m", "fucina", "train", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if list((spoken / "runs" / "killed").glob("*/checkpoint/group1.safetensors")):
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((spoken / "runs" / "killed").glob("*/metrics.json")), "it was over before"
    done = fucina("train", path, "--resume")
    assert done.returncode == 0, done.stderr
    assert "going on after epoch" in done.stderr
    assert _weights(_newest(spoken, "unbroken")) == _weights(_newest(spoken, "killed"))


PLAIN = ["stopping.keep=rollback", "stopping.patience=40", "training.epochs=3", "training.warmup=2",
         "training.learning_rate=0.01"]  # fmt: skip


def _all_that_comes_out(outcome):
    """Losses and answers of the model, its intervals, and what it is judged beside."""
    texts = outcome.predictions
    scores = [(s.value, s.low, s.high) for s in outcome.model.scores.values()]
    return (texts.losses.tolist(), texts.answers, scores, [b.name for b in outcome.baselines])


@pytest.fixture(scope="module")
def plain_runs():
    """Runs without the setting in question, by what they have in common: none is made twice."""
    return {}


@pytest.mark.parametrize(("override", "other"), [
    ("chat.system=Rispondi da marinaia.", ()), ("chat.supervise=last", ()),
    ("chat.template=own.jinja", ()), ("chat.max_new_tokens=2", ()),
    ("model.max_length_tokens=64", ()), ("seed=99", ()), ("folds.count=2", ()),
    ("adapter.rank=2", ()), ("adapter.alpha=128", ()), ("adapter.dropout=0.3", ()),
    ("adapter.layers=1", ()), ("adapter.target_modules=attention", ()), ("adapter.kind=full", ()),
    ("training.epochs=2", ()), ("training.batch_size=8", ()), ("training.accumulation=2", ()),
    ("training.learning_rate=0.001", ()), ("training.schedule=linear", ()), ("training.warmup=5", ()),
    ("training.weight_decay=0.9", ()), ("training.max_gradient_norm=0.001", ()),
    ("training.precision=bfloat16", ()),
    ("stopping.keep=best", ("training.learning_rate=1", "training.schedule=constant", "training.epochs=6")),
    ("stopping.patience=1", ("stopping.min_gain=9",)),
    ("stopping.min_gain=9", ("stopping.patience=1",)),
    ("stopping.max_ratio=off", ("stopping.patience=1", "stopping.max_ratio=1.0001")),
    ("evaluation.confidence=0.8", ()), ("evaluation.bootstrap_samples=120", ()),
    ("evaluation.baselines=[]", ()),
], ids=lambda part: part if isinstance(part, str) else "")  # fmt: skip
def test_every_setting_of_a_writer_changes_what_comes_out(
    override, other, plain_runs, make_decoder, spoken
):
    """A knob without effect is a defect."""
    (spoken / "own.jinja").write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant: {% endif %}", "utf-8",
    )  # fmt: skip
    base = make_decoder("llama")
    common = [*PLAIN, *other]
    if other not in plain_runs:
        plain_runs[other] = flow.train(_recipe(base, spoken, *common, name="plain"), spoken)
    changed = flow.train(_recipe(base, spoken, *common, override, name="changed"), spoken)
    assert _all_that_comes_out(plain_runs[other]) != _all_that_comes_out(changed)


def test_the_same_run_twice_gives_the_same(make_decoder, spoken):
    """What the test above relies on: without another setting nothing changes."""
    base = make_decoder("llama")
    one, two = (flow.train(_recipe(base, spoken, *PLAIN, name=n), spoken) for n in ("one", "two"))
    assert _all_that_comes_out(one) == _all_that_comes_out(two)


@pytest.mark.parametrize(("override", "fix"), [
    ("data.text=q", "data.columns: {prompt: COLUMN}"), ("data.label=a", "data.columns: {answer: COLUMN}"),
    ("data.columns={promt: q}", "id you mean 'prompt'?"), ("model.pooling=cls", "Leave it out"),
    ("model.lexical=false", "Leave it out"), ("training.start=cold", "Leave it out"),
    ("training.loss=focal", "Leave it out"), ("training.head_learning_rate=0.1", "training.learning_rate"),
    ("loss.gamma=1", "Leave it out"), ("loss.alpha=2", "Leave it out"),
    ("loss.class_weights=balanced", "Leave it out"), ("folds.ensemble=vote", "on average"),
    ("evaluation.rules=r.yaml", "Leave it out"),
    ("evaluation.max_error=0.1", "Leave it out"), ("evaluation.calibrate=false", "Leave it out"),
    ("evaluation.goals={accuracy: 0.9}", "perplexity"), ("evaluation.baselines=[words]", "Known: base"),
    ("expectations.metric=balanced_accuracy", "evaluation.goals"),
    ("expectations.metric_target=0.9", "evaluation.goals"), ("adapter.kind=head", "lora"),
])  # fmt: skip
def test_a_setting_that_does_nothing_for_texts_is_refused(override, fix, spoken):
    with pytest.raises(RecipeError) as caught:
        flow.train(_recipe("nowhere", spoken, override), spoken)
    assert override.partition("=")[0].removesuffix(".surface") in caught.value.problem
    assert "nothing" in caught.value.problem
    assert fix in caught.value.fix
    assert not (spoken / "runs").exists()


@pytest.mark.parametrize("override", [
    "chat.system=Ciao.", "chat.template=chatml", "chat.supervise=last", "chat.max_new_tokens=9",
    "evaluation.goals={perplexity: 3}", "evaluation.goals={ended: 1}",
])  # fmt: skip
def test_a_setting_that_does_nothing_for_labels_is_refused(override):
    recipe, _ = parse("{task: classification, name: a, data: {train: a.csv}}", [override])
    with pytest.raises(RecipeError, match="answers with labels: " + override.split("=")[0]):
        refuse_idle(recipe)


def test_several_idle_settings_are_told_at_once():
    recipe, _ = parse(
        "{task: chat, name: a, data: {train: a}, training: {start: cold, loss: focal}}"
    )
    with pytest.raises(RecipeError) as caught:
        refuse_idle(recipe)
    assert "training.start=cold, training.loss=focal do nothing" in caught.value.problem
    assert "raining.start: leave it out; training.loss: leave it out" in caught.value.fix


@pytest.mark.parametrize("task", ["chat", "classification"])
@pytest.mark.parametrize("preset", ["fast", "balanced", "quality"])
def test_defaults_written_out_are_accepted(task, preset):
    text = f"{{task: {task}, name: a, preset: {preset}, data: {{train: a.csv}}}}"
    assert refuse_idle(parse(dump(parse(text)[0]))[0]) is None


@pytest.mark.parametrize("kind", ["llama", "qwen3"])  # embeddings tied to the head, and not
@pytest.mark.parametrize("layers", [1, "all"])
def test_all_weights_are_trained_kept_and_loaded(kind, layers, make_decoder, spoken):
    recipe = _recipe(make_decoder(kind), spoken, "adapter.kind=full", f"adapter.layers={layers}",
                     "training.epochs=4", "training.learning_rate=0.002")  # fmt: skip
    outcome = flow.train(recipe, spoken)
    before, after = outcome.baselines[0].scores["perplexity"], outcome.model.scores["perplexity"]
    assert after.value < 0.9 * before.value
    assert using.judge(_newest(spoken)).scores == outcome.model.scores
    losses = run.read_epochs(_newest(spoken))
    kept = run.read_json(_newest(spoken) / "metrics.json")["members"][0]
    assert kept["validation_loss"] == min(epoch.validation_loss for epoch in losses)


def test_a_run_folder_is_enough_when_the_recipe_is_gone(make_decoder, spoken):
    work, kept = spoken / "work", spoken / "kept"
    work.mkdir()
    for name in ("train.jsonl", "test.jsonl"):
        shutil.move(spoken / name, work / name)
    (work / "own.jinja").write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant: {% endif %}", "utf-8",
    )  # fmt: skip
    recipe = parse(_text(make_decoder("llama"), kept, "a"),
                   ["chat.template=own.jinja", "chat.system=Sei Nerina."])[0]  # fmt: skip
    outcome = flow.train(recipe, work)
    test = (work / "test.jsonl").read_text("utf-8")
    shutil.rmtree(work)
    folder = _newest(kept)
    assert using.judge(folder).scores == outcome.model.scores
    _lines(spoken / "again.jsonl", [json.loads(line) for line in test.splitlines()])
    assert using.judge(folder, spoken / "again.jsonl").scores == outcome.model.scores
    answered = using.predict(folder, list(outcome.predictions.prompts))
    assert answered.answers == outcome.predictions.answers
    assert using.compare(folder, folder).differences["token_loss"].value == 0
    (folder / "report.html").unlink()
    page = using.report(folder).read_text("utf-8")
    assert "Beside the base alone" in page
    assert "Hardest answers" in page
    assert "chat.system" in page


TOOL = {"type": "function", "function": {"name": "mare", "parameters": {"type": "object"}}}
THINKING = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<call>{{ call.function | tojson }}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_tool_calls_and_several_turns_are_learnt_written_and_kept(make_decoder, spoken):
    def row(number):
        said = {"name": "mare", "arguments": json.dumps({"ora": number})}
        call = {"id": "a", "type": "function", "function": said}
        asked = [
            *_turns(f"ciao {number}", "ciao."),
            {"role": "user", "content": f"il mare alle {number}?"},
        ]
        called = {"role": "assistant", "content": None, "tool_calls": [call]}
        given = {"role": "tool", "content": f"{number} onde", "tool_call_id": "a"}
        return {
            "messages": [*asked, called, given, *_turns("", f"onde: {number}.")[1:]],
            "tools": [TOOL],
        }

    def calling(number):
        whole = row(number)
        return {**whole, "messages": whole["messages"][:4]}

    _lines(spoken / "train.jsonl", [row(n) for n in range(16)])
    _lines(spoken / "validation.jsonl", [row(n) for n in range(16, 20)])
    _lines(spoken / "test.jsonl", [calling(n) for n in range(20, 26)])
    (spoken / "tools.jinja").write_text(THINKING, "utf-8")
    outcome = flow.train(
        _recipe(
            make_decoder("llama"),
            spoken,
            "chat.template=tools.jinja",
            "data.validation=validation.jsonl",
        ),
        spoken,
    )
    rows, texts = run.read_texts(_newest(spoken) / "predictions.parquet")
    assert [example.messages[-1].tool_calls[0]["function"]["arguments"] for example in rows.examples] == [
        {"ora": n} for n in range(20, 26)
    ]  # fmt: skip
    assert rows.examples[0].tools[0]["function"]["name"] == "mare"
    assert [turn.role for turn in rows.examples[0].messages] == [
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    again = using.judge(_newest(spoken))
    assert again.scores["token_loss"].value == pytest.approx(
        outcome.model.scores["token_loss"].value
    )
    # Other tools in the question are another question.
    _lines(spoken / "bare.jsonl", [{**calling(n), "tools": []} for n in range(20, 26)])
    bare = using.judge(_newest(spoken), spoken / "bare.jsonl")
    assert bare.scores["token_loss"].value != again.scores["token_loss"].value
    assert texts.tokens[0] > 20  # the first answer, and the call as the template writes it


def _said(rows):
    return [[(turn.role, turn.content) for turn in example.messages] for example in rows.examples]


def test_every_format_gives_the_same_rows(tmp_path):
    pairs, files = _pairs()[:6], {}
    system = "Sei Nerina."
    files["messages.jsonl"] = [
        {"messages": [{"role": "system", "content": system}, *_turns(*pair)]} for pair in pairs
    ]
    names = {"user": "human", "assistant": "gpt"}
    files["sharegpt.json"] = [
        {"system": system, "conversations": [
            {"from": names[turn["role"]], "value": turn["content"]} for turn in _turns(*pair)
        ]} for pair in pairs
    ]  # fmt: skip
    files["alpaca.json"] = [
        {"instruction": system, "input": asked, "output": said} for asked, said in pairs
    ]
    files["columns.jsonl"] = [
        {"system": system, "prompt": asked, "answer": said} for asked, said in pairs
    ]
    for name, rows in files.items():
        whole = json.dumps(rows) if name.endswith(".json") else "\n".join(map(json.dumps, rows))
        (tmp_path / name).write_text(whole, "utf-8")
    with (tmp_path / "own.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("domanda", "risposta", "s"), *((a, s, system) for a, s in pairs)])
    recipe = parse("{task: chat, name: a, data: {train: a, columns: {system: s}}}")[0]
    plain = recipe.model_copy(update={"data": recipe.data.model_copy(update={"columns": {}})})
    expected = _said(reading.read_file(plain, tmp_path / "messages.jsonl"))
    assert expected[0] == [("system", system), ("user", pairs[0][0]), ("assistant", pairs[0][1])]
    for name in files:
        assert _said(reading.read_file(plain, tmp_path / name)) == expected, name
    assert _said(reading.read_file(recipe, tmp_path / "own.csv")) == expected


def _long(words):
    said = [(f"domanda {n} sul mare", f"risposta {n} dal faro") for n in range(words)]
    return {"messages": _turns(*(text for pair in said for text in pair), "e poi?", "poi dormo.")}


def test_a_long_row_loses_its_oldest_turns_and_never_its_answer(make_decoder, load_decoder, spoken):
    base = load_decoder("llama")
    _lines(spoken / "train.jsonl", [_long(n) for n in range(12)])
    said = []
    recipe = _recipe(make_decoder("llama"), spoken, "model.max_length_tokens=120")
    flow.train(recipe, spoken, say=said.append)
    told = [sentence for sentence in said if "lose their oldest turns" in sentence]
    rows = reading.read_file(recipe, spoken / "train.jsonl").examples
    written = write(rows, base.template, max_length_tokens=120)
    cut = len(written.cut)
    assert 0 < cut < 12
    assert told[0].startswith(f"{cut} of 12 conversations are longer than 120 tokens")
    for row, tokens in enumerate(written.ids):
        text = base.tokenizer.decode(tokens)
        assert len(tokens) <= 120
        assert text.rstrip().endswith("poi dormo.<|im_end|>")
        assert ("domanda 0" in text) == (row not in written.cut and row > 0)
        assert text.startswith("<|im_start|>user")  # whole turns
    facts = run.read_json(_newest(spoken) / "metrics.json")
    assert len(facts["truncated"]) == cut
    assert facts["longest_tokens"] == len(base.template.render(rows[-1]).ids)


@pytest.mark.parametrize("side", ["train", "test"])
def test_an_answer_that_is_too_long_is_refused_by_the_name_of_its_row(side, make_decoder, spoken):
    rows = [json.loads(line) for line in (spoken / f"{side}.jsonl").read_text("utf-8").splitlines()]
    rows[2] = {"messages": _turns("racconta", "mare " * 200)}
    _lines(spoken / f"{side}.jsonl", rows)
    recipe = _recipe(make_decoder("llama"), spoken, "model.max_length_tokens=100")
    with pytest.raises(DataError, match=rf"do not fit in 100 tokens \({side}\.jsonl:3\)"):
        flow.train(recipe, spoken)


# Turned positions, and a table of them.
@pytest.mark.parametrize("kind", [pytest.param("llama", marks=pytest.mark.long), "gpt2"])
def test_writing_ends_where_the_base_has_no_positions_left(
    kind, make_decoder, load_decoder, spoken
):
    recipe = _recipe(make_decoder(kind), spoken, "model.max_length_tokens=256",
                     "chat.max_new_tokens=400", "training.epochs=1")  # fmt: skip
    said = []
    flow.train(recipe, spoken, say=said.append)
    full = load_decoder(kind).positions < 800
    assert any("chat.max_new_tokens=400 is more than half" in one for one in said) == full
    folder = _newest(spoken)
    long = "il mare " * 300
    answers = using.predict(folder, [long, "ciao", "e la nebbia di domani mattina?"])
    alone = [using.predict(folder, [text]).answers[0] for text in (long, "ciao")]
    assert list(answers.answers[:2]) == alone  # a full row does not stop the others
    assert answers.cut == (0,)


def test_a_long_question_is_cut_as_rows_are(load_decoder):
    from fucina.models.shorter import asked
    from fucina.records import Example, Message

    template = replace(load_decoder("llama").template, system="Sei Nerina.")
    turns = [Message(turn["role"], turn["content"]) for turn in _long(8)["messages"]]
    row = Example.of_conversation(turns)
    given = template.tokenizer.decode(asked(row, template, most=120))
    assert given.startswith("<|im_start|>system\nSei Nerina.<|im_end|>\n<|im_start|>user")
    assert given.endswith("e poi?<|im_end|>\n<|im_start|>assistant\n")
    assert "domanda 0" not in given
    assert "domanda 7" in given
