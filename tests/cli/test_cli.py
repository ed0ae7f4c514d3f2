"""The command line as people use it: output, exit codes, messages."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from command import run as _run


@pytest.fixture(scope="module")
def trained(make_base, tmp_path_factory):
    """A folder with a recipe and its run, made by the command line."""
    folder = tmp_path_factory.mktemp("cli")
    assert _run("new", folder / "job").returncode == 0
    done = _run(
        "train", folder / "job" / "recipe.yaml", f"model.base={make_base('bert')}",
        f"output={folder}/runs", "adapter.rank=2", "training.epochs=1", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_train_prints_one_json_document(trained):
    _, facts = trained
    assert {"run", "verdict", "model", "baselines", "against"} <= set(facts)


def test_predict_answers_a_text_a_file_and_standard_input(trained, tmp_path):
    folder, facts = trained
    one = _run("predict", facts["run"], "Perché è chiusa la biblioteca?")
    assert one.returncode == 0, one.stderr
    answer, confidence, text = one.stdout.rstrip("\n").split("\t")
    assert answer in facts["model"]["labels"]
    assert 0 < float(confidence) <= 1
    assert text == "Perché è chiusa la biblioteca?"
    (tmp_path / "texts.txt").write_text("uno\n\ndue\n", encoding="utf-8")
    rows = json.loads(
        _run("predict", folder / "runs" / "my-classifier", tmp_path / "texts.txt", "--json").stdout
    )
    assert [row["text"] for row in rows] == ["uno", "due"]
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    piped = _run("predict", facts["run"], "-", input="uno\n")
    assert piped.stdout.startswith(rows[0]["answer"])


def test_evaluate_compare_and_report_start_from_the_run_folder(trained):
    _, facts = trained
    shown = _run("evaluate", facts["run"])
    assert "balanced accuracy" in shown.stdout
    assert all(len(line) <= 80 for line in shown.stdout.splitlines() if "/" not in line)
    again = json.loads(_run("evaluate", facts["run"], "--json").stdout)
    assert again["scores"] == facts["model"]["scores"]
    assert "no measurable difference" in _run("compare", facts["run"], facts["run"]).stdout
    assert _run("report", facts["run"]).stdout.strip().endswith("report.html")


def test_strict_turns_a_missed_goal_into_exit_code_1(trained, make_base):
    folder, _ = trained
    done = _run(
        "train", folder / "job" / "recipe.yaml", f"model.base={make_base('bert')}",
        f"output={folder}/strict", "adapter.rank=2", "training.epochs=1",
        "evaluation.goals={accuracy: 1.01}", "--strict",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "goal missed: accuracy" in done.stdout


SYNTHESIS = [
    "synthesis.url=http://127.0.0.1:9/v1",  # the discard port, where nobody listens
    "synthesis.model=m",
    "synthesis.prompts=[{{label: book_request, prompt: 'as {{examples}}', rows: 3}}]",
]


@pytest.mark.parametrize("words", [["train"], ["train", "--nonsense"], ["nonsense"]])
def test_words_that_are_no_command_are_not_a_defect(words):
    done = _run(*words)
    assert done.returncode == 2
    assert "Error: " in done.stderr


@pytest.mark.parametrize(("arguments", "message", "fix"), [
    (["train", "nowhere.yaml"], "no recipe nowhere.yaml", "fucina new"),
    (["train", "{recipe}", "training.learning_rat=1e-3"], "unknown setting training.learning_rat", "learning_rate"),
    (["train", "{recipe}", "training.epochs=0"], "training.epochs", "Passes over the rows"),
    (["train", "{recipe}", "engine.checkpointing=always"], "'auto' or true or false, not", "memory needs it"),
    (["train", "{recipe}", "training.epochs"], "not an override", "section.key=value"),
    (["train", "{recipe}", "data.text=frase_utente"], "no column 'frase_utente'", "data.text"),
    (["train", "{recipe}", "data.train=smaple.jsonl"], "no file", "sample.jsonl"),
    (["train", "{recipe}", "model.base=/nowhere/model"], "no folder '/nowhere/model'", "favilla-encoder"),
    (["train", "{recipe}", "folds.count=40"], "too few rows for 40 folds", "fewer folds"),
    (["train", "{recipe}", "adapter.target_modules=[q_proj]", "model.base={base}"], "'q_proj' matches no linear", "all-linear"),
    (["train", "{recipe}", "--learning-curve", "--resume"], "learning curve cannot go on", "--resume"),
    (["train", "{recipe}", "folds.ensemble=vote", "evaluation.max_error=0.1"], "votes have no confidence", "folds.ensemble=average"),
    (["clean", "nowhere"], "no folder nowhere", "fucina clean"),
    (["plan", "nowhere.yaml"], "no recipe nowhere.yaml", "fucina new"),
    (["plan", "{recipe}", "--no-probe", "model.base=/nowhere/model"], "no folder '/nowhere/model'", "favilla-encoder"),
    (["plan", "{recipe}", "--no-probe", "model.base=nobody/nothing-at-all"], "cannot be had", "favilla-encoder"),
    (["plan", "{recipe}", "training.epoch=3"], "unknown setting training.epoch", "'epochs'"),
    (["plan", "{recipe}", "data.train=empty.jsonl"], "no file", "sample.jsonl"),
    (["train", "{recipe}", "task=clasification"], "no task 'clasification'", "classification"),
    (["train", "{recipe}", "evaluation.goals={{acuracy: 0.9}}"], "evaluation.goals.acuracy", "'accuracy'"),
    (["train", "{recipe}", "training=3"], "training is a section, not 3", "batch_size"),
    (["train", "{recipe}", "adapter.target_modules=[]", "model.base={base}"], "target_modules is empty", "all-linear"),
    (["train", "{recipe}", "data.encoding=utf-16"], "is not utf-16", "UTF-8"),
    (["train", "{recipe}", "--resume", "name=never"], "nothing to resume", "leave out --resume"),
    (["evaluate", "nowhere"], "not a run folder", "fucina train"),
    (["predict", "nowhere", "ciao"], "not a run folder", "fucina train"),
    (["compare", "nowhere"], "one run cannot be compared", "two run folders"),
    (["new", "{job}"], "exists already", "another folder"),
    (["demo", "--language", "xx"], "no demo in 'xx'", "--language it"),
    (["augment", "{recipe}"], "no section augment", "Write augment:"),
    (["augment", "{recipe}", "augment.surface=[tipo]"], "augment.surface.1", "How people type"),
    (["augment", "{recipe}", "augment.cases=[{{text: 'a {{b', label: book_request}}]"], "letter 3 of 'a {b' is never closed", "missing '}'"),
    (["augment", "{recipe}", "augment.cases=[{{text: a, label: book_requst}}]"], "label 'book_requst'", "'book_request'"),
    (["augment", "{recipe}", "augment.cases_file=cases.csv"], "no file", "Check the path"),
    (["augment", "{recipe}", "augment.surface=[typo]", "--out", "{recipe}"], "is not a .jsonl file", "--out"),
    (["augment", "{recipe}", "augment.surface=[typo]", "--out", "{job}/sample.jsonl"], "exists already", "--out a new file"),
    (["synthesize", "{recipe}"], "no section synthesis", "Write synthesis:"),
    (["synthesize", "{recipe}", "--accept"], "no section synthesis", "Write synthesis:"),
    (["synthesize", "{recipe}", *SYNTHESIS, "synthesis.url=https://example.com/v1"], "FUCINA_API_KEY is not set", "export FUCINA_API_KEY"),
    (["synthesize", "{recipe}", *SYNTHESIS], "its rows could be sent out", "data.test"),
    (["synthesize", "{recipe}", *SYNTHESIS, "synthesis.examples_shown=0", "synthesis.retries=0"], "nothing came", "endpoint runs"),
    (["synthesize", "{recipe}", *SYNTHESIS, "--accept"], "nothing to accept", "fucina synthesize"),
    (["audit", "{recipe}", "phases=[{{name: a, rows: 3}}, {{name: b, rows: 2}}]"], "below the 3 of 'a'", "smallest first"),
])  # fmt: skip
def test_bad_input_gives_a_message_a_fix_and_exit_code_2(
    arguments, message, fix, trained, make_base, tmp_path
):
    folder, _ = trained
    names = {
        "recipe": folder / "job" / "recipe.yaml",
        "job": folder / "job",
        "base": make_base("bert"),
    }
    before = sorted([*tmp_path.rglob("*"), *(folder / "job").iterdir()])
    extra = (
        [f"output={tmp_path}/runs"] if arguments[0] == "train" and "{recipe}" in arguments else []
    )
    done = _run(*(argument.format(**names) for argument in arguments), *extra, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
    if "{base}" not in str(arguments):
        # Nothing is half-written.
        assert sorted([*tmp_path.rglob("*"), *(folder / "job").iterdir()]) == before


def test_a_mapped_name_of_another_tool_is_shown(trained, make_base):
    folder, _ = trained
    done = _run(
        "train", folder / "job" / "recipe.yaml", f"model.base={make_base('bert')}", "lora_r=2",
        "num_train_epochs=1", f"output={folder}/mapped", "evaluation.baselines=[]",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "lora_r is read as adapter.rank" in done.stderr


DAMAGED = [
    {"text": "Dov'è il mio pacco? Lo aspetto da lunedì mattina", "label": "a"},
    {"text": "dov'è il mio pacco? lo aspetto da  lunedì mattina", "label": "a"},
    {"text": "la citt\u00c3\u00a0 sul pacco è quella sbagliata", "label": "b"},
]


def test_audit_shows_findings_and_writes_repaired_files(make_base, tmp_path):
    rows = [
        {"text": f"frase numero {i} {'abcdefghijklmnopqrst'[i] * 9}", "label": "ab"[i % 2]}
        for i in range(20)
    ]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in [*rows, *DAMAGED])
    (tmp_path / "rows.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(
        f"{{task: classification, name: a, data: {{train: rows.jsonl}}, model: {{base: {make_base('bert')}}}}}",
        encoding="utf-8",
    )
    shown = _run("audit", "recipe.yaml", "--fix", "fixed", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "rows.jsonl:22  = rows.jsonl:21: dov'è il mio pacco?" in shown.stdout
    assert "città sul pacco" in shown.stdout
    assert "22 of 23 rows, 1 dropped, 1 rewritten" in shown.stdout
    assert all(len(line) <= 80 for line in shown.stdout.splitlines() if "/" not in line)
    repairs = json.loads((tmp_path / "fixed" / "repairs.json").read_text("utf-8"))
    assert repairs["files"][0]["columns"] == {"text": "text", "label": "label"}
    again = _run(
        "audit", "recipe.yaml", f"data.train={tmp_path}/fixed/train.jsonl", "--json", cwd=tmp_path
    )
    checks = {finding["check"] for finding in json.loads(again.stdout)["findings"]}
    assert not checks & {"duplicate", "encoding"}
    refused = _run("audit", "recipe.yaml", "--fix", "fixed", cwd=tmp_path)
    assert refused.returncode == 2
    assert "exists already" in refused.stderr


def test_audit_strict_exits_with_1_on_an_error(make_base, tmp_path):
    rows = [json.dumps({"text": f"frase {i} {'xyz' * i}", "label": "ab"[i % 2]}) for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(
        "{task: classification, name: a, data: {train: rows.jsonl, test: rows.jsonl},"
        f" model: {{base: {make_base('bert')}}}}}",
        encoding="utf-8",
    )
    assert _run("audit", "recipe.yaml", cwd=tmp_path).returncode == 0
    done = _run("audit", "recipe.yaml", "--strict", cwd=tmp_path)
    assert done.returncode == 1
    assert "20 of 20 test rows are in train too" in " ".join(done.stdout.split())


TALK = [
    {
        "messages": [
            {"role": "user", "content": f"{question} {i}?"},
            {"role": "assistant", "content": answer},
        ]
    }
    for i in range(6)
    for question, answer in [
        ("Com'è il mare oggi", f"È grosso, figliolo, con onde di {i + 2} metri."),
        ("Quando cala il vento sul molo", f"Cala alle {i + 3}, se il libeccio lo permette."),
        ("Chi ha acceso la lampada del faro", f"L'ho accesa io {i + 1} ore fa, prima del buio."),
        ("Perché la barca resta in porto", f"Perché {i + 4} nodi sono troppi per una barca così."),
    ]
]
SPOILED = [
    {"messages": [{"role": "user", "content": "Torni presto?"}, {"role": "assistant", "content": ""}]},
    {"messages": [{"role": "user", "content": "Dov'è la citt\u00c3\u00a0?"},
                  {"role": "assistant", "content": "È là, perchÃ© la vedo."}, {"role": "user", "content": "Ah"}]},
    {"messages": [{"role": "user", "content": "Sei stanca?"}, {"role": "user", "content": "Dormi poco?"},
                  {"role": "assistant", "content": "Un modello linguistico non dorme mai, figliolo."}]},
    {"messages": [{"role": "user", "content": "Che si mangia?"},
                  {"role": "assistant", "content": "Pesce e patate, con un filo di"}]},
]  # fmt: skip


@pytest.fixture
def talk(decoder_tokenizer, tmp_path):
    """A folder with a recipe for conversations, some of them spoiled, and the tokenizer it needs."""
    decoder_tokenizer().save_pretrained(tmp_path / "base")
    (tmp_path / "base" / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    lines = [json.dumps(row, ensure_ascii=False) for row in [*TALK, *SPOILED]]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "rules.yaml").write_text(
        "rules:\n  - {name: corta, max_words: 7}\n", encoding="utf-8"
    )
    (tmp_path / "recipe.yaml").write_text(
        f"{{task: chat, name: nerina, data: {{train: rows.jsonl}}, model: {{base: {tmp_path}/base}},"
        " chat: {constitution: rules.yaml}}",
        encoding="utf-8",
    )
    return tmp_path


def test_audit_shows_conversations_as_the_model_reads_them(talk):
    shown = _run("audit", "recipe.yaml", cwd=talk)
    assert shown.returncode == 0, shown.stderr
    plain = " ".join(shown.stdout.split())
    for part in ("empty_answer", "machine_talk", "cut_answer", "ends with 'di'", "roles_order",
                 "break the rule 'corta'", "chat template (chatml)"):  # fmt: skip
        assert part in plain, part
    assert "<|im_start|>assistant↵" in plain
    assert "<|im_end|>›" in plain
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())
    colored = subprocess.run(  # colors are decided once for a process
        [sys.executable, "-m", "fucina", "audit", "recipe.yaml"], cwd=talk,
        env={**os.environ, "FORCE_COLOR": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "\x1b[32m‹" in colored.stdout


def test_audit_mends_conversations_and_the_command_it_prints_reads_them(talk):
    shown = _run("audit", "recipe.yaml", "--fix", "fixed", cwd=talk)
    assert (
        "27 of 28 rows, 1 dropped, 2 rewritten, turns after the last answer left out of 1"
        in shown.stdout
    )
    command = shlex.split(shown.stdout.splitlines()[-1].removeprefix("next: "))
    assert command[:3] == ["fucina", "train", "recipe.yaml"]
    again = _run("audit", *command[2:], "--json", cwd=talk)
    assert again.returncode == 0, again.stderr
    checks = {finding["check"] for finding in json.loads(again.stdout)["findings"]}
    assert not checks & {"empty_answer", "encoding", "roles_order", "roles_left_out"}
    rows = [
        json.loads(line)
        for line in (talk / "fixed" / "train.jsonl").read_text("utf-8").splitlines()
    ]
    assert rows[24]["messages"][1]["content"] == "È là, perché la vedo."
    assert rows[25]["messages"][0]["content"] == "Sei stanca?\nDormi poco?"
    report = json.loads((talk / "fixed" / "repairs.json").read_text("utf-8"))["files"][0]
    assert report["format"] == "messages"
    assert [(d["row"], d["why"]) for d in report["dropped"]] == [("rows.jsonl:25", "empty_answer")]
    assert report["turns_left_out"] == {"rows.jsonl:26": [{"role": "user", "content": "Ah"}]}


def test_an_encoder_cannot_be_asked_to_talk(talk):
    done = _run("audit", "recipe.yaml", "model.base=minilm", cwd=talk)
    assert done.returncode == 2
    assert "neither a chat template nor an end token" in done.stderr
    assert "Traceback" not in done.stderr
    wrong = _run("audit", "recipe.yaml", "chat.constitution=boh.yaml", cwd=talk)
    assert wrong.returncode == 2
    assert "boh.yaml" in wrong.stderr


def test_diagnose_ranks_causes_with_evidence_fix_and_gain(trained):
    folder, facts = trained
    done = _run("diagnose", facts["run"], cwd=folder)
    assert done.returncode == 0, done.stderr
    for word in ("1. ", "Fix: ", "Gain: ", "test rows"):
        assert word in done.stdout, word
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    shown = json.loads(_run("diagnose", facts["run"], "--json").stdout)
    weights = [cause["weight"] for cause in shown["causes"]]
    assert weights == sorted(weights, reverse=True)
    assert {cause["severity"] for cause in shown["causes"]} <= {"high", "medium", "low"}


def test_diagnose_tests_the_first_cause_and_applies_all(trained):
    folder, facts = trained
    done = _run("diagnose", facts["run"], "--test-cause", "--apply", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["apply"]["comparison"]["second"] == "after"
    assert shown["apply"]["changes"]
    again = _run("train", shown["apply"]["recipe"], "--json", cwd=folder)
    assert again.returncode == 0, again.stderr


def test_predict_abstains_below_the_threshold(trained, tmp_path):
    import shutil

    _, facts = trained
    run = tmp_path / "run"
    shutil.copytree(facts["run"], run)
    known = json.loads((run / "calibration.json").read_text(encoding="utf-8"))
    (run / "calibration.json").write_text(
        json.dumps({**known, "threshold": 0.999}), encoding="utf-8"
    )
    shown = _run("predict", run, "Perché è chiusa la biblioteca?").stdout
    assert shown.startswith("? (")
    assert "0.999 is asked" in shown
    assert json.loads(_run("predict", run, "ciao", "--json").stdout)[0]["abstains"] is True


def test_clean_says_what_it_frees(trained):
    folder, _ = trained
    shown = json.loads(_run("clean", folder / "runs", "--dry-run", "--json").stdout)
    assert shown["removed"] is False
    done = _run("clean", folder / "runs")
    assert done.returncode == 0
    assert "MiB freed" in done.stdout


@pytest.mark.long
def test_the_demo_prints_one_json_document(tmp_path):
    shown = json.loads(_run("demo", "--language", "en", "--output", tmp_path, "--json").stdout)
    assert shown["after"]["model"]["rows"] == 120
    assert shown["comparison"]["differences"]["accuracy"]["value"] > 0


def _fits(shown):
    """Lines fit a terminal, but for those that hold a path or address to be copied."""
    return all(len(line) <= 80 for line in shown.splitlines() if "/" not in line)


def _job(folder, **sections):
    """A folder with a recipe of four library intents and a test file of its own."""
    assert _run("new", folder / "job").returncode == 0
    recipe = {"task": "classification", "name": "biblioteca", **sections,
              "data": {"train": "sample.jsonl", "test": "test.jsonl"}}  # fmt: skip
    path = folder / "job" / "recipe.yaml"
    path.write_text(json.dumps(recipe, ensure_ascii=False), encoding="utf-8")
    row = {"text": "vorrei tenere il dvd fino a lunedi", "label": "loan_renewal"}
    (folder / "job" / "test.jsonl").write_text(json.dumps(row), encoding="utf-8")
    return path


def test_augment_shows_what_each_label_got_and_what_to_do_next(tmp_path):
    recipe = _job(tmp_path, augment={
        "slots": {"cosa": ["il libro", "l'audiolibro", "il dvd"], "tempo": ["due mesi", "fino a lunedì"]},
        "cases": [{"text": "[per favore, ](posso|vorrei) tenere {cosa} {tempo}?", "label": "loan_renewal"},
                  {"text": "[buongiorno, ](prolungate|rinnovate) il prestito: {cosa}", "label": "loan_renewal"},
                  {"text": "Perché non trovo {cosa}?", "label": "book_request"}],
        "rows_per_label": 18,
    })  # fmt: skip
    done = _run("augment", recipe, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "loan_renewal 12 6 18 18" in shown
    assert "book_request lacks 3 rows: add values to the slots cosa" in shown
    assert "event_signup lacks 6 rows: write cases with slots for it" in shown
    assert (
        "1 left out that say, or can say, nearly the same as a held-out row: [per favore" in shown
    )
    assert _fits(done.stdout)
    command = done.stdout.splitlines()[-1].removeprefix("next: fucina ").split()
    assert command == [
        "train",
        str(recipe),
        "data.train=biblioteca.augmented.jsonl",
        "data.group=group",
    ]
    # Another run would overwrite it; --json to another file has the same in numbers.
    assert _run("augment", recipe).returncode == 2
    facts = json.loads(_run("augment", recipe, "--json", "--out", tmp_path / "new.jsonl").stdout)
    assert [label["lacks"] for label in facts["labels"]] == [3, 6, 0, 6]
    assert facts["rows"] == 48 + 3 + 6


def test_synthesize_and_accept_from_the_command_line(tmp_path, endpoint):
    recipe = _job(tmp_path, synthesis={
        "url": endpoint.url, "model": "m", "retries": 0, "requests_at_once": 1,
        "prompts": [{"label": "loan_renewal", "prompt": "Come {examples}", "rows": 3},
                    {"label": "opening_hours", "prompt": "Orari", "rows": 2}],
    })  # fmt: skip
    texts = ["Mi scade domani, posso tenerlo ancora?", "È possibile rinnovare fino a giovedì?",
             "Vorrei prolungare il prestito di due romanzi"]  # fmt: skip
    endpoint.script = [texts, (500, {}, {"error": "è rotto"})]
    environment = {**os.environ, "FUCINA_API_KEY": "una-chiave"}
    done = _run("synthesize", recipe, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "loan_renewal 3 3 0 0" in shown
    assert "prompt 2 (opening_hours) came short" in shown
    assert "è rotto" in shown
    assert _fits(done.stdout)
    assert endpoint.headers[0]["Authorization"] == "Bearer una-chiave"
    assert all("una-chiave" not in path.read_text("utf-8") for path in recipe.parent.iterdir())
    endpoint.texts = ["Siete aperti la domenica mattina?", "Chiudete per ferie ad agosto?"]
    facts = json.loads(_run("synthesize", recipe, "--json").stdout)
    assert [prompt["waiting"] for prompt in facts["prompts"]] == [3, 2]
    done = _run("synthesize", recipe, "--accept", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "48 rows of train and 5 accepted (5 new)" in done.stdout
    assert "data.train=biblioteca.accepted.jsonl data.group=group" in done.stdout
    rows = [
        json.loads(line)
        for line in (recipe.parent / "biblioteca.accepted.jsonl").read_text("utf-8").splitlines()
    ]
    assert {row["text"] for row in rows[48:]} == {*texts, "Siete aperti la domenica mattina?",
                                                  "Chiudete per ferie ad agosto?"}  # fmt: skip


def _talk(folder, **sections):
    """A folder with a chat recipe of the sample, 62 rows of train, and these sections."""
    assert _run("new", folder / "talk", "--task", "chat").returncode == 0
    recipe = {"task": "chat", "name": "faro", **sections,
              "data": {"train": "sample.jsonl", "test": "test.jsonl"}}  # fmt: skip
    path = folder / "talk" / "recipe.yaml"
    path.write_text(json.dumps(recipe, ensure_ascii=False), encoding="utf-8")
    return path


def test_augment_of_conversations_shows_what_was_added(tmp_path):
    recipe = _talk(tmp_path, augment={
        "slots": {"posto": ["Calasartia", "Capo Sgarbo", "la Scarna"]},
        "cases": [{"prompt": "[scusa, ](quanto manca|quanta strada c'è) per {posto}?",
                   "answer": "Per {posto} si va a piedi, col mare a sinistra."}],
        "rows": 70,
    })  # fmt: skip
    done = _run("augment", recipe, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "train 62 8 70 70" in shown
    assert "→ Per " in shown
    assert _fits(done.stdout)
    command = done.stdout.splitlines()[-1].removeprefix("next: fucina ").split()
    assert command == ["train", str(recipe), "data.train=faro.augmented.jsonl", "data.group=group"]
    facts = json.loads(
        _run("augment", recipe, "augment.rows=90", "--json", "--out", tmp_path / "b.jsonl").stdout
    )
    assert [(g["label"], g["after"], g["lacks"]) for g in facts["labels"]] == [("", 74, 16)]
    done = _run("augment", recipe, "augment.rows=90", "--out", tmp_path / "c.jsonl")
    assert "train lacks 16 rows: add values to the slots posto" in " ".join(done.stdout.split())


def test_synthesize_pairs_and_accept_from_the_command_line(tmp_path, endpoint):
    recipe = _talk(tmp_path, synthesis={
        "url": endpoint.url, "model": "m", "retries": 0, "requests_at_once": 1,
        "prompts": [{"name": "rotta", "prompt": "Come {examples}", "rows": 2}],
    })  # fmt: skip
    endpoint.script = [[
        {"prompt": "Quanto ci metto a remi fino alla punta?", "answer": "Un'ora, figliolo, se il vento dorme. Parti presto."},
        {"prompt": "Si vede la luce da lontano?", "answer": "As an AI language model, I cannot see the light from here."},
        {"prompt": "Dove si compra il pane da queste parti?", "answer": "Giù al porto, dalla Rita. Prima delle otto, poi è finito."},
    ]]  # fmt: skip
    done = _run("synthesize", recipe, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "rotta 2 2 0 1" in shown
    assert "machine talk 1" in shown or "another language 1" in shown
    assert _fits(done.stdout)
    done = _run("synthesize", recipe, "--accept", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "62 rows of train and 2 accepted (2 new)" in done.stdout
    lines = (recipe.parent / "faro.accepted.jsonl").read_text("utf-8").splitlines()
    assert [turn["role"] for turn in json.loads(lines[-1])["messages"]] == ["user", "assistant"]


def test_audit_shows_how_far_each_phase_is(tmp_path, make_base):
    recipe = _job(tmp_path, model={"base": str(make_base("bert"))}, phases=[
        {"name": "foundation", "rows": 40, "note": "una persona le scrive"},
        {"name": "expansion", "rows": 60, "rows_per_label": 15},
    ])  # fmt: skip
    done = _run("audit", recipe)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "foundation 40 48 0 done" in shown
    assert "expansion 60 48 12 book_request 3, event_signup 3, loan_renewal 3 and 1 more" in shown
    assert _fits(done.stdout)
    phases = json.loads(_run("audit", recipe, "--json").stdout)["phases"]
    assert [(p["name"], p["target"], p["have"], p["missing"]) for p in phases] == [
        ("foundation", 40, 48, 0), ("expansion", 60, 48, 12),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def assistant(make_decoder, tmp_path_factory):
    """A folder with a chat recipe and its run, made by the command line."""
    folder = tmp_path_factory.mktemp("chat")
    assert _run("new", folder / "job", "--task", "chat").returncode == 0
    done = _run(
        "train", folder / "job" / "recipe.yaml", f"model.base={make_decoder('llama')}",
        f"output={folder}/runs", "adapter.rank=2", "training.epochs=1", "chat.max_new_tokens=8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_chat_recipe_trains_and_answers_in_80_columns(assistant, tmp_path):
    folder, shown = assistant
    run = folder / "runs" / "my-assistant"
    assert "perplexity" in shown
    assert "Beside the base alone" in shown
    assert "written" in shown
    said = [_run("evaluate", run).stdout, _run("compare", run, run).stdout, shown]
    long = [line for text in said for line in text.splitlines() if len(line) > 80]
    assert all("/" in line for line in long)  # paths alone
    assert "sign flips p = 1, 18 rows" in said[1]
    assert "McNemar" not in said[1]
    one = _run("predict", run, "Che tempo fa?")
    assert one.returncode == 0, one.stderr
    (tmp_path / "asked.txt").write_text("Che tempo fa?\n\nE domani?\n", encoding="utf-8")
    rows = json.loads(_run("predict", run, tmp_path / "asked.txt", "--json").stdout)
    names = {"text", "answer", "ended", "cut", "prompt_tokens", "answer_tokens"}
    assert [set(row) for row in rows] == [names] * 2
    assert all(0 < row["answer_tokens"] <= 96 < row["prompt_tokens"] + 96 for row in rows)
    assert "one answer" in said[0]
    long = _run("predict", run, "Che tempo fa sul mare? " * 900)
    assert "(not read whole: only" in long.stdout
    assert one.stdout.rstrip("\n").removesuffix(" …") == rows[0]["answer"]


ASKED = {"role": "user", "content": "ciao"}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"arguments": "{}"}}]}
BROKEN = {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{b"}}]}
ANSWER = {"role": "assistant", "content": "ciao"}
BAD_ROWS = {
    "silent.jsonl": {"messages": [ASKED]},
    "nameless.jsonl": {"messages": [ASKED, CALL]},
    "arguments.jsonl": {"messages": [ASKED, BROKEN]},
    "tools.jsonl": {"messages": [ASKED, ANSWER], "tools": [{"parameters": {}}]},
    "roles.jsonl": {"messages": [ASKED, {"role": "asistant", "content": "ciao"}]},
}


@pytest.mark.parametrize(("arguments", "message", "fix"), [
    (["data.train=silent.jsonl"], "lack an answer", "Fill them in"),
    (["data.train=nameless.jsonl"], "a tool call without a name", '"function"'),
    (["data.train=arguments.jsonl"], "the arguments of a is not JSON", "arguments"),
    (["data.train=tools.jsonl"], "a tool without a name", '"parameters"'),
    (["data.train=roles.jsonl"], "unknown role 'asistant'", "did you mean 'assistant'"),
    (["model.base={encoder}"], "reads both ways", "another decoder"),
    (["model.base={endless}"], "neither a chat template nor an end token", "eos_token"),
    (["adapter.kind=head"], "adapter.kind=head", "lora, or full"),
    (["training.start=cold"], "training.start=cold does nothing", "Leave it out"),
    (["data.columns={{prompt: domanda}}"], "data.columns.prompt=domanda does nothing", "data.format"),
    (["phases=[{{name: a, rows: 9, rows_per_label: 3}}]"], "phases.rows_per_label=3", "rows is the target"),
    (["evaluation.goals={{accuracy: 0.9}}"], "evaluation.goals.accuracy", "perplexity"),
    (["chat.template=mine.jinja"], "mine.jinja cannot be read", "Jinja file"),
    (["chat.template=broken.jinja"], "cannot write a question", "Mend the Jinja file"),
    (["chat.template=picky.jinja"], ": the chat template", "order of its turns"),
])  # fmt: skip
def test_bad_input_of_a_chat_gives_a_message_a_fix_and_exit_code_2(
    arguments, message, fix, assistant, make_base, make_decoder, tmp_path
):
    import shutil

    job = shutil.copytree(assistant[0] / "job", tmp_path / "job")
    for name, row in BAD_ROWS.items():
        (job / name).write_text("\n".join([json.dumps(row)] * 12), encoding="utf-8")
    (job / "broken.jinja").write_text("{% for m in messages", encoding="utf-8")
    (job / "picky.jinja").write_text(
        "{% if messages | length > 3 %}{{ raise_exception('too many') }}{% endif %}"
        "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}", encoding="utf-8",
    )  # fmt: skip
    endless = shutil.copytree(make_decoder("llama"), tmp_path / "endless")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (endless / name).is_file():
            facts = json.loads((endless / name).read_text("utf-8"))
            special = ("eos_token", "pad_token", "bos_token", "additional_special_tokens",
                       "extra_special_tokens")  # fmt: skip
            kept = {key: value for key, value in facts.items() if key not in special}
            (endless / name).write_text(json.dumps(kept), "utf-8")
    text = (endless / "tokenizer.json").read_text("utf-8")
    (endless / "tokenizer.json").write_text(text.replace("<|im_end|>", "<|no_end|>"), "utf-8")
    names = {"encoder": make_base("bert"), "endless": endless}
    done = _run(
        "train", job / "recipe.yaml", f"model.base={make_decoder('llama')}",
        f"output={tmp_path}/runs", *(argument.format(**names) for argument in arguments),
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr


def test_calls_of_tools_that_no_row_lists_are_told_with_the_fix(make_decoder, tmp_path):
    call = {"function": {"name": "meteo", "arguments": {"dove": "Lucca"}}}
    rows = [
        {"messages": [{"role": "user", "content": question},
                      {"role": "assistant", "content": "", "tool_calls": [call]}]}
        for question in ("Che tempo fa?", "Piove a Lucca?", "Prendo l'ombrello oggi?", "C'è il sole",
                         "Domani al mare si può?", "Quanti gradi ci sono fuori", "Nevica in montagna?",
                         "Il vento è forte stasera?", "Posso stendere i panni", "Vado in bici o no?")
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(
        f"{{task: chat, name: a, data: {{train: rows.jsonl}}, model: {{base: {make_decoder('llama')}}},"
        " training: {epochs: 1}, chat: {max_new_tokens: 2}}",
        encoding="utf-8",
    )
    done = _run("train", "recipe.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "train rows: calls tools, and lists none" in said
    assert "List what may be called beside messages, as tools:" in said


def test_compare_tells_what_changed_and_ranks_runs_of_several_tasks(
    trained, assistant, make_base, tmp_path
):
    first = trained[1]["run"]
    done = _run(
        "train", trained[0] / "job" / "recipe.yaml", f"model.base={make_base('bert')}",
        f"output={tmp_path}", "name=again", "adapter.rank=4", "training.epochs=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = _run("compare", first, tmp_path / "again").stdout
    assert "adapter.rank: 2 → 4" in shown
    assert "log loss" in shown
    three = [first, tmp_path / "again", assistant[0] / "runs" / "my-assistant"]
    board = json.loads(_run("compare", *three, "--json").stdout)
    assert [(c["task"], len(c["standings"])) for c in board["contests"]] == [
        ("chat", 1), ("classification", 2),
    ]  # fmt: skip
    for contest in board["contests"]:
        costs = [standing["cost"] for standing in contest["standings"]]
        assert all(cost["adapter_mib"] > 0 and cost["training_s"] > 0 for cost in costs)
    assert _run("compare", *three, "--output", tmp_path / "board.html").returncode == 0
    assert (tmp_path / "board.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    refused = _run("compare", *three, "--output", tmp_path / "board.txt")
    assert (refused.returncode, (tmp_path / "board.txt").exists()) == (2, False)
