"""From a run folder and a text to the words that decided, for every kind of model."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch

from fucina import explaining, flow, opening, run, using
from fucina.errors import DataError, ModelError, RunError
from fucina.explain import Wanted
from fucina.explain import gradients as by_gradients
from fucina.models import threads
from fucina.models.alone import alone, members_of
from fucina.models.lexical import counts
from fucina.recipe import dump, parse
from fucina.records import Example

FILLERS = "il la un ordine quando dove non si quanto voglio stato città perché arriva costa".split()
KEYS = {"rimborso": "soldi", "guasto": "schermo", "spedizione": "pacco"}


def _lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def _planted(folder):
    """Texts of which one word decides the label, wherever it stands among others."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(150):
        label = list(KEYS)[number % 3]
        words = rng.choice(FILLERS, 6).tolist()
        words.insert(int(rng.integers(7)), KEYS[label])
        rows.append({"text": " ".join(words), "label": label})
    _lines(folder / "train.jsonl", rows[30:])
    _lines(folder / "test.jsonl", rows[:30])


def _recipe(base, folder, *overrides, task="classification", name="a"):
    text = (
        f"{{task: {task}, name: {name}, output: '{folder}/runs', data: {{train: train.jsonl,"
        f" test: test.jsonl}}, model: {{base: '{base}'}}, adapter: {{rank: 4}},"
        " evaluation: {bootstrap_samples: 100, baselines: []},"
        " training: {epochs: 1, batch_size: 16, precision: float32}}"
    )
    return parse(text, overrides)[0]


@pytest.fixture(scope="module")
def planted(make_base, tmp_path_factory):
    """A run folder of three folds, some layers frozen, with n-grams."""
    folder = tmp_path_factory.mktemp("planted")
    _planted(folder)
    flow.train(_recipe(make_base("bert"), folder, "folds.count=3", "adapter.layers=2"), folder)
    return run.find(folder / "runs" / "a")


ASKED = "voglio la città soldi perché non arriva"


@pytest.mark.parametrize("method", ["occlusion", "gradients"])
@pytest.mark.parametrize("member", ["all", "2", "best"])
def test_the_word_that_decides_is_found_first_and_that_is_faithful(planted, method, member):
    (found,) = explaining.explain_run(planted, [ASKED], Wanted(method), member=member)
    assert found.answer == found.answered == "rimborso"
    assert found.word(found.heaviest[0]) == "soldi"
    assert found.heaviest[0].value > 0
    assert found.faithfulness.holds
    assert found.faithfulness.gain > 0.1
    assert " ".join(map(found.word, found.words)) == ASKED
    assert ("all 3" in found.members) == (member == "all")


def test_what_is_left_out_is_what_the_model_says_of_the_rest(planted):
    (found,) = explaining.explain_run(planted, [ASKED])
    without = ASKED.replace("soldi ", "")
    told = using.predict(planted, [ASKED, without])
    column = told.labels.index("rimborso")
    weight = np.log(told.probabilities[0, column]) - np.log(told.probabilities[1, column])
    assert found.heaviest[0].value == pytest.approx(weight, rel=1e-4)
    assert found.confidence == pytest.approx(told.confidences[0], rel=1e-5)
    test = found.faithfulness
    assert test.deletion.own[0] == pytest.approx(found.confidence, rel=1e-4)
    assert test.insertion.own[-1] == pytest.approx(found.confidence, rel=1e-4)
    assert test.deletion.own[-1] == test.insertion.own[0]


def _logits(folder, text):
    """What the members make of a text, and of one of padding, k x c each; with n-grams the first."""
    with threads.start(2) as pool:
        _, model = opening.load_model(folder, workers=2)
        quiet = {"threads": pool, "progress": lambda *_: None}
        weigher, tokenizer = model.weigher, model.base.tokenizer
        own = weigher.scores([text], **quiet)[:, 0]
        ngrams = counts([text], weigher.lexicon)
        own_words = [table.scores(ngrams)[0] for table in weigher.lexical]
        nothing = " ".join(["[PAD]"] * len(tokenizer.tokenize(text)))
        assert len(tokenizer(nothing)["input_ids"]) == len(tokenizer(text)["input_ids"])
        empty = weigher.scores([nothing], **quiet)[:, 0]
        empty -= [table.scores(counts([nothing], weigher.lexicon))[0] for table in weigher.lexical]
        return model, own, empty, own_words


@pytest.mark.parametrize("label", ["rimborso", "guasto"])
def test_gradients_and_ngrams_add_up_to_what_the_logits_gain(planted, label, monkeypatch):
    # A token that the tokenizer can write stands for nothing here, so that the model can say it.
    monkeypatch.setattr(by_gradients, "reference", lambda network, _: network.get_input_embeddings()(
        torch.tensor(0)).detach())  # fmt: skip
    (found,) = explaining.explain_run(planted, [ASKED], Wanted("gradients", label))
    model, own, empty, words = _logits(planted, ASKED)
    code = model.labels.index(label)
    gains = own - empty
    gained = (gains[:, code] - gains.mean(axis=1)).mean()
    assert found.converged
    assert found.total == pytest.approx(gained, abs=1e-4)
    weights = sum(word.value for word in found.words) + found.rest
    assert weights == pytest.approx(gained + found.delta, abs=1e-6)
    assert abs(found.delta) <= 0.02 * max(abs(found.total), 0.5)
    assert abs(np.array(words)).max() > 0  # n-grams are a part of it
    assert found.answer == label
    assert found.answered == "rimborso"


def test_padding_of_zeros_is_not_what_a_path_begins_with(planted):
    from fucina.models.glass import opened, reference

    with threads.start(2):
        _, model = opening.load_model(planted, workers=2)
        (stack,) = model.weigher.stacks
        with opened(stack) as network:
            table = network.get_input_embeddings().weight
            assert not table[0].any()  # a random model is made so
            begun = reference(network, model.base.tokenizer)
            assert torch.allclose(begun, table.mean(dim=0), atol=1e-6)


def test_networks_are_as_they_were_after_gradients_passed(planted):
    with threads.start(2) as pool:
        from fucina.explain import explain

        _, model = opening.load_model(planted, workers=2)
        before = model.predict([ASKED], threads=pool).probabilities
        explain(model, Example(ASKED, ""), Wanted("gradients"), threads=pool)
        assert (model.predict([ASKED], threads=pool).probabilities == before).all()


@pytest.mark.long
@pytest.mark.parametrize("overrides", [
    ("adapter.kind=full", "adapter.layers=all", "folds.count=2"), ("adapter.kind=head",),
    ("adapter.dora=true", "model.lexical=false", "folds.count=2", "folds.ensemble=vote"),
])  # fmt: skip
def test_every_way_to_train_is_explained(overrides, make_base, tmp_path):
    _planted(tmp_path)
    flow.train(_recipe(make_base("bert"), tmp_path, *overrides), tmp_path)
    folder = tmp_path / "runs" / "a"
    for method in ("occlusion", "gradients"):
        (found,) = explaining.explain_run(folder, [ASKED], Wanted(method))
        assert found.converged
        assert all(np.isfinite(word.value) for word in found.words)
    assert any("vote" in note for note in found.notes) == ("folds.ensemble=vote" in overrides)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_decoder_with_a_head_of_classes_is_explained(kind, make_base, tmp_path):
    _planted(tmp_path)
    flow.train(_recipe(make_base(kind), tmp_path, "model.lexical=false", "folds.count=2"), tmp_path)
    (found,) = explaining.explain_run(tmp_path / "runs" / "a", [ASKED], Wanted("gradients"))
    assert found.converged
    assert found.total != 0


def test_words_behind_the_cut_have_no_weight_and_it_says_so(planted, tmp_path):
    folder = tmp_path / planted.name
    shutil.copytree(planted, folder)
    recipe = run.read_recipe(folder)
    model = recipe.model.model_copy(update={"max_length_tokens": 16})
    written = dump(recipe.model_copy(update={"model": model}))
    (folder / "recipe.yaml").write_text(written, "utf-8")
    text = f"{ASKED} {'il ' * 20}schermo"
    for method in ("occlusion", "gradients"):
        (found,) = explaining.explain_run(folder, [text], Wanted(method))
        assert len(found.words) == len(text.split())
        read = [word.value is not None for word in found.words]
        assert read == [True] * 14 + [False] * (len(read) - 14)
        assert "14 of 28 words" in found.notes[0]
        assert "n-grams" in found.notes[1]


def test_names_of_labels_are_explained(make_decoder, labelled):
    recipe = _recipe(make_decoder("llama"), labelled, "model.head=words", "folds.count=2",
                     "chat.system=Di che cosa parla il cliente?", "model.max_length_tokens=64")  # fmt: skip
    flow.train(recipe, labelled)
    folder = run.find(labelled / "runs" / "a")
    told = using.predict(folder, ["voglio soldi indietro"])
    for method in ("occlusion", "gradients"):
        (found,) = explaining.explain_run(
            folder, ["voglio soldi indietro"], Wanted(method, tested=False)
        )
        assert found.confidence == pytest.approx(told.confidences[0], rel=1e-4)
        assert [found.word(word) for word in found.words] == ["voglio", "soldi", "indietro"]
        assert found.converged
    long = "pacco " * 60
    (found,) = explaining.explain_run(folder, [long], Wanted(label="guasto", tested=False))
    assert 0 < sum(word.value is not None for word in found.words) < 60


@pytest.fixture(scope="module")
def marked(make_base, tmp_path_factory):
    """A run that marks the word behind `un` as a thing."""
    folder = tmp_path_factory.mktemp("marked")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(150):
        words = rng.choice([word for word in FILLERS if word != "un"], 5).tolist()
        spans = []
        if number % 4:
            place = int(rng.integers(4))
            words.insert(place, "un")
            start = sum(len(word) + 1 for word in words[: place + 1])
            spans = [[start, start + len(words[place + 1]), "COSA"]]
        rows.append({"text": " ".join(words) + ".", "spans": spans})
    _lines(folder / "train.jsonl", rows[30:])
    _lines(folder / "test.jsonl", rows[:30])
    recipe = _recipe(make_base("bert"), folder, "folds.count=2", "training.epochs=6",
                     "training.learning_rate=3e-3", task="entities")  # fmt: skip
    flow.train(recipe, folder)
    return run.find(folder / "runs" / "a")


@pytest.mark.parametrize("method", ["occlusion", "gradients"])
def test_a_marked_span_is_explained_by_the_words_around_it(marked, method):
    text = "dove un ordine non arriva: quando?"
    told = using.predict(marked, [text])
    assert [text[span.start : span.end] for span in told.answers[0]] == ["ordine"]
    (found,) = explaining.explain_run(marked, [text], Wanted(method))
    assert (found.kind, found.answer, found.span) == ("spans", "COSA", (8, 14))
    assert found.confidence == pytest.approx(told.confidences[0][0])
    assert found.word(found.heaviest[0]) in {"un", "ordine"}
    assert found.converged
    assert [found.word(word) for word in found.words] == [
        "dove", "un", "ordine", "non", "arriva", ":", "quando", "?"]  # fmt: skip
    (other,) = explaining.explain_run(marked, [text], Wanted(method, "COSA", "arriva"))
    assert other.answered == "nothing"
    assert other.confidence < found.confidence


def test_where_nothing_is_marked_the_words_are_asked_for(marked):
    with pytest.raises(DataError, match="nothing is marked") as refused:
        explaining.explain_run(marked, ["dove non arriva"])
    assert "--span" in refused.value.fix
    with pytest.raises(DataError, match="does not stand in the text"):
        explaining.explain_run(marked, ["dove non arriva"], Wanted(span="soldi"))
    with pytest.raises(DataError, match="is not marked") as refused:
        explaining.explain_run(marked, ["dove non arriva"], Wanted(span="dove"))
    assert "COSA" in refused.value.fix
    with pytest.raises(DataError, match="no type 'CASA'") as refused:
        explaining.explain_run(marked, ["dove non arriva"], Wanted(label="CASA"))
    assert "COSA" in refused.value.fix
    with pytest.raises(DataError, match="does not read as far"):
        explaining.explain_run(marked, ["dove " * 80 + "soldi"], Wanted(label="COSA", span="soldi"))


def _spoken(folder):
    asked = ("com'è il mare", "che luce è quella", "dove si pesca", "chi sale quassù")
    said = ("grosso", "la testa del molo", "sugli scogli", "nessuno")
    rows = [{"messages": [{"role": "user", "content": f"{one} {when}?"},
                          {"role": "assistant", "content": f"{two} {when}."}]}
            for when in ("oggi", "domani", "stasera", "a maggio")
            for one, two in zip(asked, said, strict=True)]  # fmt: skip
    _lines(folder / "train.jsonl", rows[4:])
    _lines(folder / "test.jsonl", rows[:4])
    return rows


@pytest.mark.parametrize("kind", ["llama", pytest.param("gemma3", marks=pytest.mark.long)])
def test_a_written_answer_is_explained_by_the_words_of_the_question(kind, make_decoder, tmp_path):
    rows = _spoken(tmp_path)
    recipe = _recipe(make_decoder(kind), tmp_path, "folds.count=2", "chat.max_new_tokens=8",
                     "training.epochs=2", task="chat")  # fmt: skip
    flow.train(recipe, tmp_path)
    folder = run.find(tmp_path / "runs" / "a")
    for method in ("occlusion", "gradients"):
        (found,) = explaining.explain_run(
            folder, ["com'è il mare oggi?"], Wanted(method, tested=False)
        )
        assert found.answer == found.answered
        assert [found.word(word) for word in found.words] == ["com'è", "il", "mare", "oggi?"]
        assert 0 < found.confidence < 1
        (other,) = explaining.explain_run(
            folder, ["com'è il mare oggi?"], Wanted(method, "grosso oggi.", tested=False)
        )
        assert other.answer == "grosso oggi."
        assert other.answered == found.answer
        assert other.converged
    # Of a conversation the last question is weighed, and only the last answer counts.
    turns = [*rows[0]["messages"], *rows[1]["messages"]]
    (tmp_path / "asked.jsonl").write_text(json.dumps({"messages": turns}), "utf-8")
    from fucina import asking

    (row,) = asking.read_questions(folder, tmp_path / "asked.jsonl")
    (found,) = explaining.explain_run(folder, [row])
    assert found.text == "che luce è quella oggi?"


def test_what_is_missing_of_a_written_answer_is_its_log_probability(make_decoder, tmp_path):
    _spoken(tmp_path)
    recipe = _recipe(make_decoder("llama"), tmp_path, "chat.max_new_tokens=8", task="chat")
    flow.train(recipe, tmp_path)
    folder, question, said = run.find(tmp_path / "runs" / "a"), "com'è il mare oggi?", "grosso."
    (found,) = explaining.explain_run(folder, [question], Wanted(label=said))
    with threads.start(2) as pool:
        _, model = opening.load_model(folder, workers=2)
        pair = [Example(question, said), Example("com'è il oggi?", said)]
        losses, tokens = model.foretell(pair, threads=pool)
    assert found.words[2].value == pytest.approx(losses[1] - losses[0], rel=1e-3, abs=1e-5)
    assert found.confidence == pytest.approx(np.exp(-losses[0] / tokens[0]), rel=1e-4)


def test_an_encoder_decoder_is_explained_by_leaving_words_out(make_pair, tmp_path):
    _spoken(tmp_path)
    recipe = _recipe(make_pair("t5"), tmp_path, "chat.max_new_tokens=8", task="chat")
    flow.train(recipe, tmp_path)
    folder = tmp_path / "runs" / "a"
    (found,) = explaining.explain_run(folder, ["com'è il mare oggi?"])
    assert len(found.words) == 4
    with pytest.raises(ModelError, match="encoder-decoder") as refused:
        explaining.explain_run(folder, ["com'è il mare?"], Wanted("gradients"))
    assert "occlusion" in refused.value.fix
    with pytest.raises(RunError, match="encoder-decoder"):
        explaining.explain_run(folder, ["com'è il mare?"], neighbors=1)


def test_training_rows_that_resemble_a_text_come_with_their_answers(planted):
    learned, _ = run.read_rows(planted / "development.parquet")
    row = learned.examples[7]
    (found,) = explaining.explain_run(planted, [row.prompt], neighbors=2)
    assert found.neighbors[0].text == row.prompt
    assert found.neighbors[0].answer == row.target
    assert found.neighbors[0].likeness == pytest.approx(1, abs=1e-4)
    assert found.neighbors[1].likeness < 1


def test_weights_that_are_no_better_than_chance_are_told(planted, monkeypatch):
    from fucina.explain import weigh
    from fucina.explained import faith

    true = weigh.occlude
    monkeypatch.setattr(weigh, "occlude", lambda *a, **k: -true(*a, **k))
    (found,) = explaining.explain_run(planted, [ASKED])
    assert not found.faithfulness.holds
    said, warns = faith(found)
    assert warns
    assert said.startswith("Not better than chance")
    (one,) = explaining.explain_run(planted, ["soldi"])
    assert not one.faithfulness.holds  # there is no other order of one word


def test_a_model_that_stays_open_explains_rows(planted):
    with threads.start(2) as pool:
        recipe, model = opening.load_model(planted, workers=2)
        tell = explaining.explainer(recipe, model, pool)
        told = tell(Example(ASKED, ""), {"label": None, "method": "gradients"})
        (found,) = json.loads(json.dumps(told))["explanations"]
        assert found["words"][3]["word"] == "soldi"
        assert found["method"] == "gradients"
        assert found["faithfulness"]["holds"]
        with pytest.raises(DataError, match="no label 'rimborzo'") as refused:
            tell(Example(ASKED, ""), {"label": "rimborzo"})
        assert "rimborso" in refused.value.fix


def _opened(folder):
    return opening.load_model(folder, workers=2)[1]


def test_a_member_alone_answers_as_it_does_among_others(planted, marked):
    with threads.start(2) as pool:
        each = _opened(planted).member_probabilities([ASKED], threads=pool)
        for member in range(3):
            own = alone(_opened(planted), member)
            assert members_of(own) == 1
            found = own.member_probabilities([ASKED], threads=pool)
            assert found[0] == pytest.approx(each[member], rel=1e-5)
        text = ["dove un ordine non arriva"]
        _, (together,) = _opened(marked).tag_odds(text, threads=pool)
        apart = [alone(_opened(marked), k).tag_odds(text, threads=pool)[1][0] for k in range(2)]
        assert np.mean(apart, axis=0) == pytest.approx(together, rel=1e-5)
        assert not np.allclose(*apart)


def _typed(monkeypatch, capsys, *words):
    from fucina.cli import main

    monkeypatch.setattr(sys, "argv", ["fucina", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr()


def test_the_verb_shows_words_and_proof_and_writes_a_page(planted, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    page = tmp_path / "x.html"
    text = "<script>alert(1)</script> voglio i soldi dell'ordine"
    code, shown = _typed(
        monkeypatch, capsys, "explain", str(planted), text, "--html", str(page), "--like", "2"
    )
    assert code == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[0].startswith("rimborso  ")
    assert any(line.startswith("soldi ") and "+" in line and "█" in line for line in lines)
    assert "drawn orders" in shown.out
    assert "resemble" in shown.out
    assert all(len(line) <= 80 for line in lines if "/" not in line)
    written = page.read_text("utf-8")
    assert "<script" not in written
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in written
    assert "http" not in written.replace("http-equiv", "")
    assert "dell&#x27;ordine" in written
    code, shown = _typed(
        monkeypatch, capsys, "explain", str(planted), ASKED, "--json", "--method", "gradients"
    )
    (found,) = json.loads(shown.out)
    assert code == 0
    assert found["steps"] >= 16
    assert abs(found["delta"]) <= 0.02 * max(abs(found["total"]), 0.5)


@pytest.mark.parametrize(("words", "problem", "fix"), [
    (("  ",), "no text", "Give a text"),
    (("ciao", "--label", "rimborzo"), "no label 'rimborzo'", "did you mean 'rimborso'?"),
    (("ciao", "--span", "ciao"), "--span is for models that mark", "Leave it out"),
    (("ciao", "--member", "4"), "no member '4': the run has 3", "--member 1 to 3"),
    (("ciao", "--member", "0"), "no member '0'", "best"),
    (("ciao", "--html", "."), "cannot be written", "Give another file"),
    (("ciao", "--html", "no/such/folder/x.html"), "cannot be written", "Give another file"),
])  # fmt: skip
def test_bad_input_is_told_with_its_fix(
    words, problem, fix, planted, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no").write_text("a file where a folder should be", "utf-8")
    code, shown = _typed(monkeypatch, capsys, "explain", str(planted), *words)
    assert code == 2
    assert problem in shown.err
    assert fix in shown.err
    assert not shown.out


def test_a_run_that_is_not_complete_and_a_missing_library_are_told(
    planted, monkeypatch, capsys, tmp_path
):
    broken = tmp_path / "20260101-000000"
    shutil.copytree(planted, broken)
    (broken / "metrics.json").unlink()
    code, shown = _typed(monkeypatch, capsys, "explain", str(broken), "ciao")
    assert code == 2
    assert "is not complete" in shown.err
    for name in [name for name in sys.modules if name.split(".")[0] == "captum"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "captum", None)
    code, shown = _typed(
        monkeypatch, capsys, "explain", str(planted), "ciao", "--method", "gradients"
    )
    assert (code, "fucina[explain]" in shown.err) == (2, True)
