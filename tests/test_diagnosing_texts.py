"""From the folder of a run that writes to its causes, a counterfactual and a mended run."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from fucina import diagnosing, flow, mending, run, using
from fucina.recipe import load, parse
from fucina.records import Cause, Message

LONG = " ".join(["quando arriva il pacco"] * 8)


@pytest.fixture
def talks(tmp_path):
    """A folder with train.jsonl (60 conversations of two questions) and test.jsonl (12)."""
    rng = np.random.default_rng(0)
    words = "pacco arriva rotto schermo quando soldi città app blocca reso".split()
    for name, count in (("train", 60), ("test", 12)):
        lines = []
        for _ in range(count):
            turns = []
            for _ in range(2):
                turns += [
                    ("user", " ".join(rng.choice(words, 4))),
                    ("assistant", "il pacco arriva"),
                ]
            row = {"messages": [{"role": role, "content": text} for role, text in turns]}
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return tmp_path


@pytest.fixture
def train(make_decoder, talks):
    """Give a function: settings → the folder of a run with them."""

    def make(*overrides):
        text = (
            f"{{task: chat, name: weak, output: '{talks}/runs', data: {{train: train.jsonl, test:"
            f" test.jsonl}}, model: {{base: '{make_decoder('llama')}'}}, training: {{epochs: 2,"
            " precision: float32, learning_rate: 5e-3}, adapter: {rank: 4, alpha: 8},"
            " chat: {max_new_tokens: 12}, evaluation: {bootstrap_samples: 100}}"
        )
        flow.train(parse(text, overrides)[0], talks)
        return run.find(talks / "runs" / "weak")

    return make


def test_a_run_folder_alone_is_enough_to_diagnose_and_mend_a_writer(train, talks):
    folder = train("training.learning_rate=1e-6")
    for path in talks.glob("*.jsonl"):
        path.unlink()  # the rows are in the run
    found = diagnosing.diagnose_run(folder)
    assert found.answer == "text"
    assert "learning_rate_low" in [cause.name for cause in found.causes]
    tried = next(cause for cause in found.causes if cause.name == "learning_rate_low")
    mended = mending.apply(folder, [tried])
    assert mended.changes == {"training.learning_rate": 5e-4}
    written, _ = load(folder / "mended" / "recipe.yaml")
    assert written.name == "weak-mended"
    assert mended.after.prompts == mended.before.prompts
    gain = mended.comparison.differences["token_loss"]
    losses = [texts.losses.sum() / texts.tokens.sum() for texts in (mended.before, mended.after)]
    assert gain.value == pytest.approx(losses[1] - losses[0])
    assert gain.high < 0
    assert mended.comparison.test == "sign flips"
    assert (
        flow.read(written, folder / "mended")[0].test.fingerprint
        == run.read_json(folder / "data.json")["test"]["sha256"]
    )


def test_where_more_tokens_are_learnt_the_first_run_is_judged_by_them_too(train):
    folder, changes = train("chat.supervise=last"), {"chat.supervise": "assistant"}
    kept = run.read_texts(folder / "predictions.parquet")[1]
    mended = mending.apply(folder, [Cause("unlearnt_turns", 0.9, "", (), "", "", changes)])
    assert (mended.before.tokens > kept.tokens).all()
    assert (mended.before.tokens == mended.after.tokens).all()
    assert mended.before.answers == kept.answers
    assert mended.comparison.differences["token_loss"].value < 0


def test_a_run_foretells_as_itself_what_it_has_foretold(train):
    folder = train()
    kept = run.read_texts(folder / "predictions.parquet")[1]
    again = using.foretell(folder, as_in=folder)
    np.testing.assert_allclose(again.losses, kept.losses, rtol=1e-4)  # float32, other batches
    assert (again.tokens == kept.tokens).all()


def test_conversations_are_left_out_or_rewritten_as_the_cause_says(train):
    folder = train()
    rows, _ = run.read_rows(folder / "development.parquet")
    gone, changed = rows.examples[:2]
    turns = (*changed.messages[:-1], Message("assistant", "il pacco non arriva"))
    repairs = {gone.origin: None, changed.origin: turns}
    mended = mending.apply(folder, [Cause("damaged_text", 0.9, "", (), "", "", {}, repairs)])
    assert mended.repaired == 2
    lines = (folder / "mended" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(rows) - 1
    assert sum("il pacco non arriva" in line for line in lines) == 1


def test_the_command_speaks_of_losses_and_shortens_long_texts(train, talks):
    from fucina.cli.app import app

    turns = [("user", LONG), ("assistant", "il pacco arriva")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    with (talks / "test.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    folder = train("training.learning_rate=1e-6")
    options = ["--test-cause", "--apply", "--errors", "13"]
    done = CliRunner().invoke(app, ["diagnose", str(folder), *options])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    for words in ("nats a token", "sign flips p", "Before and after", "(sign flips p =", "wrote:"):
        assert words in said, words
    for words in ("accuracy", "McNemar", LONG):
        assert words not in said
    asked = [line for line in done.output.splitlines() if line.startswith(f"✗ {LONG[:40]}")]
    assert len(asked) == 1
    assert asked[0].endswith("…")
    assert all(len(line) <= 80 for line in done.output.splitlines() if "/" not in line)
