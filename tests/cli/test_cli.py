"""The command line as people use it: output, exit codes, messages."""

import json
import subprocess
import sys

import pytest


def _run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "fucina", *map(str, arguments)],
        capture_output=True, text=True, check=False, **options,
    )  # fmt: skip


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


@pytest.mark.parametrize(("arguments", "message", "fix"), [
    (["train", "nowhere.yaml"], "no recipe nowhere.yaml", "fucina new"),
    (["train", "{recipe}", "training.learning_rat=1e-3"], "unknown setting training.learning_rat", "learning_rate"),
    (["train", "{recipe}", "training.epochs=0"], "training.epochs", "Passes over the rows"),
    (["train", "{recipe}", "training.epochs"], "not an override", "section.key=value"),
    (["train", "{recipe}", "data.text=frase_utente"], "no column 'frase_utente'", "data.text"),
    (["train", "{recipe}", "data.train=smaple.jsonl"], "no file", "sample.jsonl"),
    (["train", "{recipe}", "model.base=/nowhere/model"], "no folder '/nowhere/model'", "minilm"),
    (["train", "{recipe}", "folds.count=40"], "too few rows for 40 folds", "fewer folds"),
    (["train", "{recipe}", "adapter.target_modules=[q_proj]", "model.base={base}"], "'q_proj' matches no linear", "all-linear"),
    (["clean", "nowhere"], "no folder nowhere", "fucina clean"),
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
    before = sorted(tmp_path.rglob("*"))
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
        assert sorted(tmp_path.rglob("*")) == before  # nothing half-written


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


@pytest.mark.long
def test_the_demo_prints_one_json_document(tmp_path):
    shown = json.loads(
        _run("demo", "--language", "en", "--output", tmp_path, "--json", timeout=280).stdout
    )
    assert shown["after"]["model"]["rows"] == 120
    assert shown["comparison"]["differences"]["accuracy"]["value"] > 0
