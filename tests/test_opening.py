"""Several runs over one base: its weights are there once, and each answers as it does alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fucina import flow, run, using
from fucina.cli.app import app
from fucina.errors import DataError, RunError
from fucina.opening import open_runs
from fucina.recipe import parse

POSTS = [
    (f"Oggi {what} in piazza.", f"#{what} #piazza") for what in ("pane", "vino", "musica", "neve")
]
CHATS = [(f"Dove sta {who}?", f"{who} sta di sopra.") for who in ("Ada", "Ugo", "Lia", "Teo")]

MOODS = [
    (f"{how} {n}", mood) for how, mood in (("Evviva", "gioia"), ("Uffa", "noia")) for n in range(8)
]


def _train(folder, name, task, base, rows, *more):
    asked, answered = {"hashtags": ("text", "hashtags"), "chat": ("prompt", "answer"),
                       "classification": ("text", "label")}[task]  # fmt: skip
    lines = [json.dumps({asked: a, answered: b}) + "\n" for a, b in rows]
    (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    recipe, _ = parse(
        f"{{task: {task}, name: {name}, output: '{folder}/runs', data: {{train: {name}.jsonl, "
        f"test: {name}.jsonl, allow_duplicates: true}}, model: {{base: '{base}'}}, adapter: "
        "{rank: 4}, evaluation: {bootstrap_samples: 100, baselines: []}, training: {epochs: 2, "
        "learning_rate: 1e-2, batch_size: 2}}",
        more,
    )
    return Path(flow.train(recipe, folder).folder)


@pytest.fixture(scope="module")
def runs(make_decoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    base = make_decoder("llama")
    short = "chat.max_new_tokens=6"
    return {
        "tags": _train(
            folder, "tags", "hashtags", base, POSTS * 3, short, "model.max_length_tokens=40"
        ),
        "talk": _train(folder, "talk", "chat", base, CHATS * 3, short, "chat.system=Rispondi."),
        "kind": _train(folder, "kind", "classification", base, MOODS, "model.head=words"),
    }


def _open(*folders):
    with open_runs(folders):
        pass


def _weights(opened, name):
    model = opened.model(name)
    return {tensor.data_ptr() for tensor in model.base.network.parameters()}


def test_runs_share_the_weights_of_their_base_and_answer_as_alone(runs):
    asked = {"tags": [a for a, _ in POSTS], "talk": [a for a, _ in CHATS], "kind": ["Dove sta?"]}
    alone = {name: using.predict(folder, asked[name]) for name, folder in runs.items()}
    with open_runs(list(runs.values())) as opened:
        assert opened.names == ("tags", "talk", "kind")
        assert _weights(opened, "tags") == _weights(opened, "talk") == _weights(opened, "kind")
        for name in (*runs, "tags"):  # the others have answered in between
            found = opened.predict(name, asked[name])
            assert list(found.answers) == list(alone[name].answers)
            if name == "kind":
                np.testing.assert_allclose(found.probabilities, alone[name].probabilities)


def test_one_run_given_twice_is_opened_once_and_namesakes_get_their_time(runs, tmp_path):
    twin = tmp_path / "tags" / "20990101-000000"
    shutil.copytree(runs["tags"], twin)
    with open_runs([runs["tags"], runs["tags"].parent, twin]) as opened:
        assert opened.names == (f"tags/{runs['tags'].name}", "tags/20990101-000000")


def test_a_name_that_is_not_open_is_offered_the_nearest(runs):
    with (
        open_runs([runs["tags"], runs["talk"]]) as opened,
        pytest.raises(RunError, match="no run 'tag'") as caught,
    ):
        opened.predict("tag", ["Ciao."])
    assert "tags" in caught.value.fix


def test_runs_over_different_bases_are_refused(runs, make_decoder, tmp_path):
    other = _train(tmp_path, "other", "hashtags", make_decoder("qwen3"), POSTS * 3)
    with pytest.raises(
        RunError, match=r"tags and other do not share a base: model\.base"
    ) as caught:
        _open(runs["tags"], other)
    assert "by themselves" in caught.value.fix


def test_a_head_of_classes_does_not_share_with_one_of_words(runs, make_decoder, tmp_path):
    heads = _train(tmp_path, "heads", "classification", make_decoder("llama"), MOODS)
    with pytest.raises(RunError, match="its head is words and classes"):
        _open(runs["tags"], heads)


def test_a_run_that_is_not_complete_is_refused(runs, tmp_path):
    half = tmp_path / "half" / "20990101-000000"
    shutil.copytree(runs["tags"], half)
    (half / "metrics.json").unlink()
    with pytest.raises(RunError, match="not complete"), open_runs([runs["talk"], half]):
        pass


def _predict(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_rows_go_to_the_run_that_they_name(runs, tmp_path):
    rows = [{"adapter": "talk", "prompt": "Dove sta Ada?"},
            {"adapter": "tags", "text": "Oggi vino in piazza."},
            {"adapter": "talk", "prompt": "Dove sta Ugo?"}]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    done = _predict(runs["tags"], tmp_path / "rows.jsonl", "--beside", runs["talk"], "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [row["adapter"] for row in found] == ["talk", "tags", "talk"]
    alone = using.predict(runs["talk"], ["Dove sta Ada?", "Dove sta Ugo?"]).answers
    assert [row["answer"] for row in found[::2]] == list(alone)


def test_a_text_is_answered_by_all(runs):
    done = _predict(
        runs["tags"], "Dove sta Ada?", "--beside", runs["talk"], "--beside", runs["kind"]
    )
    assert done.exit_code == 0, done.output
    assert [line for line in done.stdout.splitlines() if line.endswith(":")][:3] == [
        "tags:", "talk:", "kind:",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "problem"),
    [({"prompt": "Ciao."}, "no adapter"), ({"adapter": "tolk", "prompt": "Ciao."}, "'tolk'"),
     ({"adapter": "talk"}, "nothing is asked")],
)  # fmt: skip
def test_a_row_that_cannot_be_routed_is_named(runs, tmp_path, row, problem):
    from fucina.asking import read_routed

    (tmp_path / "rows.jsonl").write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(DataError, match=problem) as caught:
        read_routed({"tags": runs["tags"], "talk": runs["talk"]}, tmp_path / "rows.jsonl")
    assert "line 1" in caught.value.problem


def test_every_run_keeps_its_own_length_and_words(runs):
    with open_runs([runs["tags"], runs["talk"]]) as opened:
        assert opened.model("tags").base.max_length_tokens == 40
        assert opened.model("talk").base.max_length_tokens > 40
        assert opened.model("talk").base.template.system == "Rispondi."
        assert opened.model("tags").base.template.system is None
    assert run.read_recipe(runs["talk"]).chat.system == "Rispondi."
