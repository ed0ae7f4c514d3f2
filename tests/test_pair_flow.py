"""The whole flow with encoder-decoders: nothing in the recipe changes but the base."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from command import run as fucina
from fucina import flow, planning, reading, run, using
from fucina.diagnosing import diagnose_run
from fucina.errors import DataError, ModelError
from fucina.models import base as bases
from fucina.recipe import dump, parse

KINDS = ("t5", "bart", "pegasus")
ASKED = ("com'è il mare", "posso uscire in barca", "che luce è quella", "quando accendi", "e la nebbia",
         "chi sale quassù", "dove si pesca")  # fmt: skip
SAID = ("grosso, resta a casa", "no, gira a libeccio", "la testa del molo", "al tramonto", "porta un libro",
        "nessuno d'inverno", "sugli scogli")  # fmt: skip
PAIRS = [(f"{asked} {word}?", f"{said} {word}.") for word in ("oggi", "domani", "stasera", "a maggio")
         for asked, said in zip(ASKED, SAID, strict=True)]  # fmt: skip


def _turns(*said):
    roles = ("user", "assistant") * len(said)
    return [{"role": role, "content": text} for role, text in zip(roles, said, strict=False)]


def _lines(path, rows):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")


@pytest.fixture
def spoken(tmp_path):
    """A folder with train.jsonl (23 conversations, some of two exchanges) and test.jsonl (5)."""
    rest = [pair for place, pair in enumerate(PAIRS) if place % 6]
    train = [
        {"messages": _turns(*(rest[place - 1] if place % 4 == 0 else ()), *pair)}
        for place, pair in enumerate(rest)
    ]
    _lines(tmp_path / "train.jsonl", train)
    _lines(tmp_path / "test.jsonl", [{"messages": _turns(*pair)} for pair in PAIRS[::6]])
    return tmp_path


def _recipe(base, folder, *overrides, name="a"):
    text = (
        f"{{task: chat, name: {name}, output: '{folder}/runs', data: {{train: train.jsonl,"
        f" test: test.jsonl}}, model: {{base: '{base}'}}, adapter: {{rank: 4}},"
        " chat: {max_new_tokens: 6}, evaluation: {bootstrap_samples: 100},"
        " training: {epochs: 2, batch_size: 4, precision: float32}}"
    )
    return parse(text, overrides)[0]


def _newest(folder, name="a"):
    return run.find(folder / "runs" / name)


def _weights(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.glob("best_model_*/*.safetensors"))}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_folds_are_trained_judged_and_used_from_the_run_folder_alone(kind, make_pair, spoken):
    recipe = _recipe(make_pair(kind), spoken, "folds.count=3", "chat.system=Rispondi da marinaia.",
                     "training.learning_rate=0.003")  # fmt: skip
    said = []
    outcome = flow.train(recipe, spoken, say=said.append)
    assert any("hold earlier answers" in sentence for sentence in said)
    folder = _newest(spoken)
    rows, texts = run.read_texts(folder / "out_of_fold.parquet")
    assert len(rows) == len(set(rows.prompts)) == 23
    assert np.all(texts.losses > 0)
    assert using.judge(folder).scores == outcome.model.scores
    answered = using.predict(folder, list(outcome.predictions.prompts))
    assert answered.answers == outcome.predictions.answers
    assert using.compare(folder, folder).differences["token_loss"].value == 0
    same = using.foretell(folder, as_in=folder)
    assert np.allclose(same.losses, outcome.predictions.losses)
    found = diagnose_run(folder)
    assert "perplexity" in found.symptom
    (folder / "report.html").unlink()
    assert "chat.system" in using.report(folder).read_text("utf-8")
    assert not (folder / "chat_template.jinja").exists()


@pytest.mark.parametrize(("kind", "layers"), [("t5", "all"), ("bart", "all"), ("pegasus", 1)])
def test_all_weights_are_trained_kept_and_loaded(kind, layers, make_pair, spoken):
    recipe = _recipe(make_pair(kind), spoken, "adapter.kind=full", f"adapter.layers={layers}",
                     "training.epochs=4", "training.learning_rate=0.002")  # fmt: skip
    outcome = flow.train(recipe, spoken)
    before, after = outcome.baselines[0].scores["perplexity"], outcome.model.scores["perplexity"]
    assert after.value < 0.9 * before.value
    assert using.judge(_newest(spoken)).scores == outcome.model.scores


@pytest.mark.long
def test_it_learns_what_the_rows_say(make_pair, spoken):
    _lines(spoken / "test.jsonl", [{"messages": _turns(*pair)} for pair in PAIRS[1::6]])
    recipe = _recipe(
        make_pair("t5"), spoken, "adapter.kind=full", "adapter.layers=all", "training.epochs=80",
        "training.learning_rate=0.01", "data.allow_duplicates=true", "chat.max_new_tokens=48",
        "stopping.patience=80",
    )  # fmt: skip
    outcome = flow.train(recipe, spoken)
    assert outcome.model.scores["exact_match"].value > 0.3  # by chance: never
    assert outcome.model.scores["ended"].value > 0.5


def test_equal_seeds_write_equal_files(make_pair, spoken):
    for name in ("one", "two"):
        flow.train(_recipe(make_pair("t5"), spoken, "folds.count=2", name=name), spoken)
    assert _weights(_newest(spoken, "one")) == _weights(_newest(spoken, "two"))
    tables = [
        run.read_texts(_newest(spoken, name) / "predictions.parquet")[1] for name in ("one", "two")
    ]
    assert tables[0].answers == tables[1].answers
    assert np.array_equal(tables[0].losses, tables[1].losses)


@pytest.mark.parametrize("layers", ["2", pytest.param("all", marks=pytest.mark.long)])
def test_a_killed_writer_resumes_to_bitwise_the_same_weights(layers, make_pair, spoken):
    base = make_pair("bart")
    more = ["folds.count=2", "training.epochs=15", "stopping.patience=50", "adapter.dropout=0.1",
            f"adapter.layers={layers}"]  # fmt: skip
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


@pytest.fixture(scope="module")
def plain_runs():
    """Runs without the setting in question, by what they have in common: none is made twice."""
    return {}


@pytest.mark.parametrize("override", [
    "chat.system=Rispondi da marinaia.", "chat.max_new_tokens=2", "adapter.layers=1",
    "adapter.layers=4", "adapter.layers=all", "adapter.target_modules=attention", "adapter.target_modules=[q_proj, encoder_attn.v_proj]",
    "training.precision=bfloat16", "adapter.dropout=0.3",
], ids=lambda part: part if isinstance(part, str) else "")  # fmt: skip
def test_every_setting_changes_what_comes_out(override, plain_runs, make_pair, spoken):
    if not plain_runs:
        plain = _recipe(make_pair("bart"), spoken, *PLAIN, name="plain")
        plain_runs[""] = flow.train(plain, spoken)
    changed = flow.train(
        _recipe(make_pair("bart"), spoken, *PLAIN, override, name="changed"), spoken
    )
    ours, theirs = plain_runs[""].predictions, changed.predictions
    assert (ours.losses.tolist(), ours.answers) != (theirs.losses.tolist(), theirs.answers)


def test_the_log_says_which_shortcuts_are_off_and_why(make_pair, spoken):
    said = []
    system = "chat.system=Sei Nerina, guardiana del faro, e dici sempre che tempo fa sul mare."
    flow.train(_recipe(make_pair("t5"), spoken, "adapter.layers=all", system), spoken,
               say=said.append)  # fmt: skip
    told = " ".join(said)
    assert "an encoder looks both ways" in told
    assert "adapter.layers=4 would train the decoder alone" in told
    said.clear()
    folder = shutil.copytree(make_pair("bart"), spoken / "bart")
    asked = json.loads((folder / "generation_config.json").read_text("utf-8"))
    (folder / "generation_config.json").write_text(json.dumps({**asked, "num_beams": 4}), "utf-8")
    flow.train(_recipe(folder, spoken, name="b"), spoken, say=said.append)
    told = " ".join(said)
    assert "trains the encoder too" not in told
    assert "asks for num_beams=4: answers" in told


def test_the_audit_shows_what_is_read_and_what_is_learnt(make_pair, spoken):
    recipe = _recipe(make_pair("t5"), spoken, "chat.system='meteo:'")
    _, findings = reading.audit(recipe, spoken)
    shown = next(finding for finding in findings if finding.check == "rendering")
    assert "for an encoder-decoder" in shown.message
    assert "the last turn is learnt, up to </s>" in shown.message
    assert all(text.startswith("meteo:") and text.endswith("</s>›") for text in shown.evidence)
    assert not [finding for finding in findings if finding.severity == "error"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_counts_both_halves(kind, make_pair, spoken, tmp_path):
    recipe = _recipe(make_pair(kind), spoken)
    (tmp_path / "recipe.yaml").write_text(dump(recipe), "utf-8")
    found = planning.plan_recipe(tmp_path / "recipe.yaml")
    written = found.options[0]
    assert written.estimate.total_s > 0
    assert "corrected by a small real run" in found.notes[0]
    assert written.work.stages["reading"].flops > 0


@pytest.mark.parametrize(("override", "wrong", "fix"), [
    ("chat.template=chatml", "chat.template does nothing", "Leave out chat.template"),
    ("chat.supervise=last", "chat.supervise does nothing", "Leave out chat.supervise"),
    ("adapter.target_modules=[c_attn]", "matches no linear layer", "SelfAttention"),
])  # fmt: skip
def test_what_cannot_work_is_refused_with_a_fix(override, wrong, fix, make_pair, spoken):
    with pytest.raises(ModelError) as caught:
        flow.train(_recipe(make_pair("t5"), spoken, override), spoken)
    assert wrong in caught.value.problem
    assert fix in caught.value.fix + caught.value.problem
    if override.startswith("chat"):
        assert not (spoken / "runs").exists()
        with pytest.raises(ModelError, match=wrong):
            reading.audit(_recipe(make_pair("t5"), spoken, override), spoken)


def test_an_answer_that_is_too_long_is_refused_by_the_name_of_its_row(make_pair, spoken):
    rows = [json.loads(line) for line in (spoken / "train.jsonl").read_text("utf-8").splitlines()]
    rows[2] = {"messages": _turns("racconta", "mare " * 200)}
    _lines(spoken / "train.jsonl", rows)
    with pytest.raises(DataError, match=r"do not fit in 128 tokens \(train\.jsonl:3\)"):
        flow.train(_recipe(make_pair("bart"), spoken), spoken)  # it has 128 positions


def test_calls_of_tools_are_read_and_written_as_json(make_pair, spoken):
    call = {"id": "a", "type": "function", "function": {"name": "mare", "arguments": "{}"}}
    rows = [
        {"messages": [*_turns(asked), {"role": "assistant", "content": None, "tool_calls": [call]}],
         "tools": [{"type": "function", "function": {"name": "mare", "parameters": {}}}]}
        for asked, _ in PAIRS[1::6]
    ]  # fmt: skip
    kept = (spoken / "train.jsonl").read_text("utf-8")
    _lines(spoken / "train.jsonl", [*map(json.loads, kept.splitlines()), *rows])
    said, recipe = [], _recipe(make_pair("t5"), spoken)
    outcome = flow.train(recipe, spoken, say=said.append)
    assert outcome.model.rows == 5
    row = next(e for e in reading.read_file(recipe, spoken / "train.jsonl").examples if e.tools)
    base = bases.with_template(bases.load(recipe.model, answer="text"), recipe.chat, spoken)
    assert base.template.read(row).startswith('tools: [{"type": "function"')
    written = base.tokenizer.decode(base.template.written(row), skip_special_tokens=True)
    assert written.startswith('[{"type": "function"')


def test_characters_that_a_tokenizer_lacks_are_told_by_audit_and_log(make_pair, spoken):
    _lines(spoken / "train.jsonl", [{"messages": _turns(a, f"雨 {b}")} for a, b in PAIRS[1:]])
    said, recipe = [], _recipe(make_pair("t5"), spoken, "data.allow_duplicates=true")
    flow.train(recipe, spoken, say=said.append)
    assert any("27 of 27 answers hold characters" in sentence for sentence in said)
    _, findings = reading.audit(recipe, spoken)
    assert "template_unwritable" in {finding.check for finding in findings}


def test_a_base_without_a_start_or_an_end_is_refused(make_pair, spoken, tmp_path):
    folder = shutil.copytree(make_pair("t5"), tmp_path / "nameless")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    del config["decoder_start_token_id"]
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "generation_config.json").unlink()
    with pytest.raises(ModelError, match="no decoder_start_token_id"):
        flow.train(_recipe(folder, spoken), spoken)
    folder = shutil.copytree(make_pair("t5"), tmp_path / "endless")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({k: v for k, v in settings.items() if k != "eos_token"}), "utf-8")
    with pytest.raises(ModelError, match="no end token") as caught:
        flow.train(_recipe(folder, spoken), spoken)
    assert "eos_token" in caught.value.fix
    assert not (spoken / "runs").exists()
