"""Each check finds damage that was planted, and keeps silent on healthy rows."""

import json

import numpy as np
import pytest

from fucina.data import Subject, audit, group_similar, quality, repair
from fucina.data.audit.label_noise import suspects
from fucina.data.audit.personal import find
from fucina.data.similar import clusters, normalized
from fucina.errors import DataError
from fucina.records import Dataset, Example, Predictions
from fucina.repaired import write_repaired

WORDS = (
    "quando arriva il corriere ieri mattina vorrei sapere perché nessuno risponde al telefono della "
    "vostra sede centrale mentre aspetto ancora una conferma scritta sulla spedizione promessa dal "
    "negozio vicino casa mia oppure dovrei cambiare taglia colore modello prima che scada la garanzia "
    "senza pagare altre spese inutili come successo durante le feste scorse con quel vecchio divano "
    "grigio comprato insieme alla lampada rotta subito dopo averla accesa nella stanza grande"
).split()


def _healthy(count=96, name="train"):
    """Italian words in random order: healthy in every respect but sense."""
    rng = np.random.default_rng(len(name))
    return Dataset(
        name,
        tuple(
            Example(
                " ".join(rng.choice(WORDS, size=10, replace=False)),
                ("reso", "ordine", "guasto")[i % 3],
                origin=f"{name}.csv:{i + 2}",
            )
            for i in range(count)
        ),
    )


def _with(*rows, name="train"):
    healthy = _healthy(name=name).examples
    planted = [
        Example(text, label, origin=f"{name}.csv:{len(healthy) + 2 + i}")
        for i, (text, label) in enumerate(rows)
    ]
    return Dataset(name, (*healthy, *planted))


def _found(subject, check):
    return next((f for f in audit(subject) if f.check == check), None)


def test_healthy_rows_have_no_findings():
    assert [f.check for f in audit(Subject(_healthy(), folds=3))] == []


def test_a_typo_or_an_added_word_is_a_near_duplicate():
    text = "il mio ordine numero cinque non è ancora arrivato a casa"
    rows = _with(
        (text, "ordine"), (text.replace("arrivato", "arivato"), "ordine"), (f"{text} oggi", "reso")
    )
    finding = _found(Subject(rows), "near_duplicate")
    assert finding.rows == ("train.csv:98", "train.csv:99", "train.csv:100")
    assert _found(Subject(rows), "near_contradiction").rows == finding.rows
    grouped = [example.group for example in group_similar(rows).examples]
    assert len(set(grouped[-3:])) == 1
    assert grouped[-1]
    assert set(grouped[:-3]) == {""}


def test_no_pair_above_the_threshold_is_in_two_clusters():
    rng = np.random.default_rng(0)
    base = [normalized(prompt) for prompt in _healthy(60).prompts]
    texts = []
    for text in base:
        texts.append(text)
        for _ in range(3):
            letters = list(text)
            for place in rng.integers(0, len(letters), size=2):
                letters[place] = "x"
            texts.append("".join(letters))
    found = clusters(texts)
    sets = [{f" {t} "[i : i + 3] for i in range(len(t))} for t in texts]
    for i, one in enumerate(sets):
        for j in range(i):
            both = len(one & sets[j])
            if both / (len(one) + len(sets[j]) - both) >= 0.75:
                assert found[i] == found[j], (texts[i], texts[j])


def test_explicit_groups_and_likeness_join():
    rows = Dataset("a", tuple(
        Example(text, "x", group) for text, group in
        [("dove si trova il mio pacco", "anna"), ("un'altra cosa del tutto", "anna"),
         ("dove si trova il mio pacco?", "berto"), ("niente a che vedere", "berto"), ("solo", "")]
    ))  # fmt: skip
    groups = [example.group for example in group_similar(rows).examples]
    assert len(set(groups[:4])) == 1
    assert groups[4] == ""


def test_near_copies_across_the_split_are_counted():
    text = "ho cambiato indirizzo e la spedizione è partita verso quello vecchio"
    test = Dataset(
        "test",
        (Example(f"{text}!!", "reso", origin="t:2"), Example(f"ma {text}", "reso", origin="t:3")),
    )
    finding = _found(Subject(_with((text, "reso")), None, test), "near_leak")
    assert finding.rows == ("t:2", "t:3")  # one differs in punctuation alone
    exact = Dataset("test", (Example(text.upper(), "reso", origin="t:2"),))
    assert _found(Subject(_with((text, "reso")), None, exact), "near_leak") is None  # a leak


def test_broken_letters_are_mended_and_lost_ones_named():
    broken = "perchÃ© la citt\u00c3\u00a0 non Ã¨ coperta dalla consegna"
    rows = _with((broken, "ordine"), ("la citt\ufffd di partenza del corriere", "reso"))
    subject = Subject(rows)
    finding = _found(subject, "encoding")
    assert finding.rows == ("train.csv:98",)
    assert _found(subject, "lost_letters").rows == ("train.csv:99",)
    kept, done = repair(rows, audit(subject))
    assert kept.prompts[96] == "perché la città non è coperta dalla consegna"
    assert [(r.row, r.action) for r in done] == [("train.csv:98", "rewritten")]


@pytest.mark.parametrize(("text", "kind"), [
    ("scrivetemi a mario.rossi+casa@posta.example.it", "e-mail"),
    ("chiamami al +39 347 1234567 dopo le sei", "phone"),
    ("il mio cellulare è 3471234567", "phone"),
    ("IBAN IT60 X054 2811 1010 0000 0123 456", "IBAN"),
    ("codice fiscale RSSMRA85T10A562S", "fiscal code"),
    ("la carta 4111 1111 1111 1111 è bloccata", "card number"),
    ("il token ghp_" + "a1B2" * 9, "access token"),
    ("password: gattonero99", "password"),
    ("-----BEGIN RSA PRIVATE KEY----- MII", "private key"),
])  # fmt: skip
def test_personal_data_and_secrets_are_found_and_hidden(text, kind):
    assert [name for name, _ in find(text)] == [kind]
    value = find(text)[0][1]
    findings = [
        f for f in audit(Subject(_with((text, "reso")))) if f.check in {"secret", "personal_data"}
    ]
    assert findings[0].rows == ("train.csv:98",)
    assert value not in json.dumps([f.evidence for f in findings])  # a report is passed on


@pytest.mark.parametrize("text", [
    "ordine 123456789012", "il codice IT60X0542811101000000123457", "RSSMRA85T10A562X", "4111 1111 1111 1112",
    "dal 12/03/2024 al 15/03/2024 ore 10", "costa 1.200,50 euro", "password dimenticata", "a@b", "via Roma 12-14",
])  # fmt: skip
def test_numbers_with_a_wrong_check_digit_and_plain_numbers_are_left_alone(text):
    assert find(text) == []


def test_a_cut_text_is_counted_with_the_tokenizer():
    rows = _with(("parola " * 60, "reso"), ("parola " * 40, "reso"))
    subject = Subject(
        rows,
        max_length_tokens=30,
        count_tokens=lambda texts: np.array([len(t.split()) for t in texts]),
    )
    finding = _found(subject, "truncated")
    assert finding.rows == ("train.csv:98", "train.csv:99")
    assert "30: 2, 32: 2, 64: 0" in finding.message
    assert "model.max_length_tokens=60" in finding.fix


def test_a_row_far_from_the_usual_length_is_named():
    finding = _found(Subject(_with(("ok", "reso"), ("molto " * 300, "reso"))), "length")
    assert set(finding.rows) == {"train.csv:98", "train.csv:99"}


def test_a_row_in_another_language_is_named():
    english = "I would like to return the shoes that I bought last week, please"
    finding = _found(Subject(_with((english, "reso"))), "language")
    assert finding.rows == ("train.csv:98",)
    assert finding.evidence[0].startswith("en: ")


def test_unbalanced_labels_are_counted():
    rows = _with(*[(text, "reso") for text in _healthy(400, name="altri").prompts])
    assert "reso has" in _found(Subject(rows), "balance").message


def _answers(share, seed, confidence=2.5, rows=600, labels=4):
    """Out-of-fold answers of a model that is right mostly, with planted wrong labels."""
    rng = np.random.default_rng(seed)
    true = rng.integers(labels, size=rows)
    logits = rng.normal(size=(rows, labels))
    logits[np.arange(rows), true] += confidence
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    flipped = rng.random(rows) < share
    given = np.where(flipped, (true + rng.integers(1, labels, size=rows)) % labels, true)
    names = tuple("abcd"[:labels])
    return Predictions(names, p, tuple(names[g] for g in given), ("",) * rows), flipped


@pytest.mark.parametrize("seed", range(5))
def test_planted_wrong_labels_are_ranked_first_and_their_share_is_estimated(seed):
    answers, flipped = _answers(0.08, seed, confidence=5)
    rows, share = suspects(answers)
    assert flipped[rows[: flipped.sum()]].mean() > 0.85
    assert share == pytest.approx(flipped.mean(), abs=0.03)


def test_right_labels_have_a_small_share_of_suspects():
    answers, _ = _answers(0.0, 0, confidence=6)
    assert suspects(answers)[1] < 0.02


def test_label_noise_needs_answers_on_these_rows():
    rows = _healthy()
    labels = ("guasto", "ordine", "reso")
    index = {label: i for i, label in enumerate(labels)}
    p = np.full((len(rows), 3), 0.05)
    p[np.arange(len(rows)), [index[target] for target in rows.targets]] = 0.9
    p[7] = np.roll(p[7], 1)
    known = Predictions(labels, p, tuple(rows.targets), tuple(rows.prompts))
    finding = _found(Subject(rows, out_of_fold=known), "label_noise")
    assert finding.rows == (rows.examples[7].origin,)
    others = Predictions(labels, p, tuple(rows.targets), ("altro",) * len(rows))
    assert _found(Subject(rows, out_of_fold=others), "label_noise") is None


def test_repairs_go_to_a_new_folder_with_a_report_of_every_row(tmp_path):
    first = _healthy().examples[0]
    rows = _with(
        (first.prompt.upper(), first.target), ("la citt\u00c3\u00a0 è lontana da qui assai", "reso")
    )
    test = Dataset("test", (Example(_healthy().examples[5].prompt, "guasto", origin="t:2"),))
    subject = Subject(rows, None, test)
    report = write_repaired(subject, audit(subject), tmp_path / "fixed")
    train = report["files"][0]
    assert [(d["row"], d["why"]) for d in train["dropped"]] == [
        ("train.csv:7", "leak"),
        ("train.csv:98", "duplicate"),
    ]
    assert train["rewritten"][0]["after"] == "la città è lontana da qui assai"
    lines = (tmp_path / "fixed" / "train.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == train["rows"] == len(rows) - 2
    assert report["files"][1]["rows"] == 1  # test rows are never dropped for a leak
    with pytest.raises(DataError, match="exists already"):
        write_repaired(subject, audit(subject), tmp_path / "fixed")


def test_quality_is_the_share_of_rows_with_nothing_against_them():
    first = _healthy().examples[0]
    rows = _with(
        (first.prompt, first.target), ("perch\u00c3\u00a9 mai a scrivi@esempio.it", "reso")
    )
    before = quality(_healthy(), audit(Subject(_healthy())))
    found = quality(rows, audit(Subject(rows)))
    spoilt = [row.origin for row in rows.examples[-2:]]
    assert set(found.review) == {*before.review, *spoilt}
    assert found.share == 1 - len(found.review) / len(rows)
    assert found.review[spoilt[1]] == ("encoding", "personal_data")
    assert next(iter(found.review)) == spoilt[1]  # named by most


def test_a_row_that_repeats_another_once_it_is_mended_is_dropped(tmp_path):
    good, broken = "la città è lontana da qui assai", "la citt\u00c3\u00a0 è lontana da qui assai"
    other, spoilt = "perché il pacco non arriva più", "perch\u00c3\u00a9 il pacco non arriva più"
    rows = _with((good, "reso"), (broken, "reso"), (spoilt, "reso"))
    test = Dataset("test", (Example(other, "reso", origin="t:1"),))
    subject = Subject(rows, None, test)
    train, held = write_repaired(subject, audit(subject), tmp_path / "fixed")["files"]
    assert [(d["row"], d["why"]) for d in train["dropped"]] == [
        (f"train.csv:{len(rows)}", "duplicate"), (f"train.csv:{len(rows) + 1}", "leak")
    ]  # fmt: skip
    assert (train["dropped"][0]["before"], train["rewritten"]) == (broken, [])
    assert train["rows"] == len(rows) - 2
    assert held["rows"] == 1


def test_repaired_rows_keep_their_groups_and_nothing_unfinished_is_left(tmp_path):
    rows = Dataset(
        "train", (Example("prima frase", "a", "", "t:1"), Example("seconda", "b", "anna", "t:2"))
    )
    report = write_repaired(Subject(rows), [], tmp_path / "fixed")
    assert "data.group=group" in report["next"]
    written = (tmp_path / "fixed" / "train.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["group"] for line in written] == ["", "anna"]
    assert [path.name for path in tmp_path.iterdir()] == ["fixed"]


def test_allowed_duplicates_are_not_dropped():
    text = "ho cambiato indirizzo e la spedizione è partita verso quello vecchio"
    test = Dataset("test", (Example(text, "reso", origin="t:2"),))
    subject = Subject(_with((text, "reso")), None, test, allow_duplicates=True)
    assert _found(subject, "leak").repairs == {}
