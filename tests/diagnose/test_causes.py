"""Each cause is named where it holds, and nowhere else."""

import dataclasses

import numpy as np
import pytest

from fucina.diagnose import Case, Curves, Reference, errors, rank_causes, slices, symptom
from fucina.recipe import parse
from fucina.records import Dataset, Epoch, Example, Finding, Predictions

LABELS = ("ordine", "reso", "guasto", "orari")
WORDS = "pacco arriva rotto schermo apre quando soldi taglia perché città corriere negozio".split()


def _rows(count, seed):
    """Texts of common words; no word tells a label for sure."""
    rng = np.random.default_rng(seed)
    return [
        (f"{' '.join(rng.choice(WORDS, 6))} {i}{seed}", LABELS[i % len(LABELS)])
        for i in range(count)
    ]


def _answers(rows, *, accuracy=0.9, seed=0, labels=LABELS):
    """Answers that are right so often; a wrong one has the true label second."""
    rng = np.random.default_rng(seed)
    probabilities = np.full((len(rows), len(labels)), 0.02)
    for i, (_, label) in enumerate(rows):
        true = labels.index(label)
        # The farther a label is from the true one, the less likely.
        probabilities[i] = 0.02 - 0.001 * ((np.arange(len(labels)) - true) % len(labels))
        other = (true + 1) % len(labels)
        top, next_ = (true, other) if rng.random() < accuracy else (other, true)
        probabilities[i, top], probabilities[i, next_] = 0.8, 0.16
    return Predictions(
        labels, probabilities / probabilities.sum(axis=1, keepdims=True),
        tuple(label for _, label in rows), tuple(text for text, _ in rows),
    )  # fmt: skip


def _epochs(train=(0.6, 0.4, 0.3, 0.25), held=(0.7, 0.55, 0.5, 0.48, 0.478)):
    losses = [float("nan"), *train]
    return tuple(
        Epoch(0, n, losses[n], held[n], {"balanced_accuracy": 0.6 + n / 100}, 1.0, 5e-4, 1.0)
        for n in range(len(held))
    )


def _score(value, half=0.02):
    return {"value": value, "low": value - half, "high": value + half}


def _case(*overrides, train=None, test=None, epochs=None, held_out=0.88, on_test=0.88, half=0.86,
          auc=0.55, facts=None, findings=(), reference=None, wide=0.02, answered=None):  # fmt: skip
    text = "{task: classification, name: a, data: {train: a.csv, test: b.csv}}"
    recipe = parse(text, overrides)[0]
    train = _rows(400, 1) if train is None else train
    test = _rows(200, 2) if test is None else test
    development = Dataset(
        "train", tuple(Example(t, y, "", f"a.csv:{i}") for i, (t, y) in enumerate(train, 2))
    )
    held = train[: len(train) // 6]
    fold = np.array([0] * len(held) + [-1] * (len(train) - len(held)))
    known = {
        "model": {"scores": {"accuracy": _score(on_test, wide)}, "rows": len(test)},
        "out_of_fold": {"scores": {"accuracy": _score(held_out)}},
        "baselines": [
            {"name": name, "scores": {"accuracy": _score(value)}}
            for name, value in (("characters", 0.85), ("frozen", 0.84))
        ],
        "members": [{"ended": "ran all epochs"}],
        "truncated": [],
        "longest_tokens": 20,
        **(facts or {}),
    }
    near = np.tile(np.arange(3), (len(test), 1))
    return Case(
        recipe=recipe, facts=known, epochs=epochs or _epochs(), development=development, fold=fold,
        held_out=_answers(held, accuracy=held_out, labels=tuple(sorted({y for _, y in train}))), test=answered or _answers(test, accuracy=on_test),
        findings=tuple(findings),
        reference=reference or Reference(_answers(train, accuracy=0.88), half, auc, near, near / 4),
    )  # fmt: skip


def _first(case):
    return rank_causes(case)[0].name if rank_causes(case) else None


def test_a_healthy_run_has_no_cause_of_weight():
    assert [c.name for c in rank_causes(_case()) if c.severity != "low"] == []


STILL = _epochs(train=(0.69, 0.69, 0.69, 0.69), held=(0.7, 0.7, 0.7, 0.7, 0.7))
JUMP = _epochs(train=(5.0, 4.0, 4.0, 4.0), held=(0.7, 9.0, 8.0, 7.0, 7.0))
SHORT = _epochs(train=(1.3,), held=(1.38, 1.3))
STOPPED = {"members": [{"ended": "the validation loss did not fall for 1 epochs"}]}


PLANTED = [
    ("learning_rate_low", lambda *own: _case(*own, "training.learning_rate=1e-6", epochs=STILL)),
    ("learning_rate_low", lambda *own: _case(*own, "adapter.alpha=0.01", epochs=STILL)),
    ("learning_rate_high", lambda *own: _case(*own, "training.learning_rate=0.1", epochs=JUMP)),
    ("warmup_too_long", lambda *own: _case(*own, "training.warmup=5000", epochs=STILL)),
    ("warmup_missing", lambda *own: _case(*own, "training.warmup=0", epochs=JUMP)),
    ("too_few_epochs", lambda *own: _case(*own, "training.epochs=1", "training.start=cold", epochs=SHORT)),
    ("batch_too_large", lambda *own: _case(*own, "training.batch_size=512", epochs=STILL)),
    ("overfitting", lambda *own: _case(*own,
        "training.epochs=20", epochs=_epochs(train=(0.5, 0.2, 0.05, 0.01), held=(0.7, 0.5, 0.6, 0.8, 0.9)))),
    ("stopped_early", lambda *own: _case(*own,
        "training.epochs=12", "stopping.patience=1", "training.start=cold", epochs=SHORT, facts=STOPPED)),
    ("regularization", lambda *own: _case(*own, "adapter.dropout=0.9")),
    ("rank_too_small", lambda *own: _case(*own, "adapter.rank=1", "adapter.alpha=2", "training.start=cold",
        epochs=_epochs(train=(1.3, 1.2, 1.15, 1.1), held=(1.38, 1.3, 1.25, 1.22, 1.22)))),
    ("wrong_modules", lambda *own: _case(*own, "adapter.target_modules=[key]")),
    ("too_little_adapted", lambda *own: _case(*own, "adapter.kind=head")),
    ("base_unsuited", lambda *own: _case(*own, facts={"baselines": [
        {"name": "characters", "scores": {"accuracy": _score(0.9)}},
        {"name": "frozen", "scores": {"accuracy": _score(0.4)}}]})),
    ("no_word_forms", lambda *own: _case(*own, "model.lexical=false", on_test=0.6, facts={"baselines": [
        {"name": "characters", "scores": {"accuracy": _score(0.9)}},
        {"name": "frozen", "scores": {"accuracy": _score(0.85)}}]})),
    ("too_few_examples", lambda *own: _case(*own, train=_rows(24, 1), half=0.5, held_out=0.6)),
    ("test_too_small", lambda *own: _case(*own, wide=0.2)),
    ("truncation", lambda *own: _case(*own, facts={"truncated": list(range(300)), "longest_tokens": 99})),
    ("duplicates", lambda *own: _case(*own, train=_rows(80, 1) * 5)),
    ("contradictions", lambda *own: _case(*own,
        train=_rows(300, 1) + [(t, LABELS[(LABELS.index(y) + 1) % 4]) for t, y in _rows(100, 1)])),
    ("damaged_text", lambda *own: _case(*own, findings=[Finding(
        "encoding", "warning", "", rows=tuple(f"a.csv:{i}" for i in range(2, 202)),
        evidence=("Ã¨",) * 200, repairs={"a.csv:2": "è"})])),
    ("leakage", lambda *own: _case(*own, test=_rows(200, 2)[:100] + _rows(400, 1)[:100], on_test=0.95)),
    ("answer_in_text", lambda *own: _case(*own,
        train=[(f"{t} #{y}", y) for t, y in _rows(400, 1)], held_out=1.0, on_test=1.0)),
    ("template_mismatch", lambda *own: _case(*own, train=[(f"Classifica la frase: {t}", y) for t, y in _rows(400, 1)])),
    ("template_mismatch", lambda *own: _case(*own, test=[(f"{t} Answer now.", y) for t, y in _rows(200, 2)])),
    ("distribution_shift", lambda *own: _case(*own, auc=0.98, on_test=0.5)),
    ("label_shift", lambda *own: _case(*own, test=[r for r in _rows(400, 2) if r[1] == "reso"])),
]  # fmt: skip


@pytest.mark.parametrize(("name", "case"), PLANTED)
def test_a_planted_cause_comes_first(name, case):
    case = case()
    found = rank_causes(case)
    assert found[0].name == name
    assert found[0].message
    assert found[0].evidence
    assert found[0].fix
    assert found[0].gain
    parse("{task: classification, name: a, data: {train: a.csv}}",
          [f"{key}={value}" for key, value in found[0].changes.items()])  # fmt: skip


def test_flipped_labels_are_told_from_labels_that_are_hard_to_tell():
    labels = tuple("abcdefgh")
    rows = [(f"{' '.join(WORDS[i % 5 : i % 5 + 3])} {i}", labels[i % 8]) for i in range(400)]
    honest = _answers(rows, accuracy=0.8, labels=labels)
    rng = np.random.default_rng(0)
    flipped = tuple(
        labels[(labels.index(y) + rng.integers(1, 8)) % 8] if rng.random() < 0.2 else y
        for y in honest.targets
    )
    near = np.zeros((200, 3), dtype=int)
    for targets, expected in ((honest.targets, False), (flipped, True)):
        answers = dataclasses.replace(honest, targets=targets)
        train = list(zip(honest.prompts, targets, strict=True))
        case = _case(
            train=train, test=rows[:200], reference=Reference(answers, 0.78, 0.5, near, near / 1.0),
            answered=_answers(rows[:200], labels=labels),
        )  # fmt: skip
        found = {cause.name: cause for cause in rank_causes(case)}
        assert ("label_noise" in found) == expected
    noise = found["label_noise"]
    assert noise.weight > 0.6
    wrong = {
        f"a.csv:{i}"
        for i, (a, b) in enumerate(zip(honest.targets, flipped, strict=True), 2)
        if a != b
    }
    assert len(wrong & set(noise.repairs)) / len(noise.repairs) > 0.6


def test_rare_labels_that_are_never_answered_are_an_imbalance_not_a_lack_of_rows():
    rows = _rows(400, 1)
    train = [r for r in rows if r[1] == "ordine"] + [r for r in rows if r[1] != "ordine"][:15]
    test = _rows(200, 2)
    answered = dataclasses.replace(
        _answers(test), probabilities=np.tile([0.7, 0.1, 0.1, 0.1], (200, 1))
    )
    found = rank_causes(_case(train=train, test=test, answered=answered, on_test=0.25, half=0.6))
    assert found[0].name == "class_imbalance"
    assert "never answered: " in found[0].evidence[0]


def _confused(rows):
    """Perfect answers, but for two labels that are mixed up two times of three."""
    answers = _answers(rows, accuracy=1.0)
    probabilities = answers.probabilities.copy()
    swapped = {"reso": [0.02, 0.16, 0.8, 0.02], "guasto": [0.02, 0.8, 0.16, 0.02]}
    for row, (_, label) in enumerate(rows):
        if label in swapped and row % 3:
            probabilities[row] = swapped[label]
    return dataclasses.replace(answers, probabilities=probabilities)


def test_two_labels_that_nobody_can_tell_apart():
    train, test = _rows(400, 1), _rows(200, 2)
    near = np.zeros((200, 3), dtype=int)
    reference = Reference(_confused(train), 0.98, 0.5, near, near / 1.0)
    found = rank_causes(_case(test=test, answered=_confused(test), reference=reference))
    assert found[0].name == "confusable_labels"
    assert "guasto and reso" in found[0].message


def test_curves_are_means_of_the_members_still_training():
    epochs = [
        Epoch(member, n, [float("nan"), 1.0 + member, 0.5][n], 1.0 + n + member, {}, 1, 1e-3, 1)
        for member in range(2)
        for n in range(3 - member)
    ]
    curves = Curves.of(epochs)
    assert curves.train == (1.5, 0.5)
    assert curves.held == (1.5, 2.5, 3.0)


def test_slices_name_the_weak_rows_and_errors_their_neighbors():
    test = _rows(200, 2)
    probabilities = _answers(test, accuracy=1.0).probabilities.copy()
    for row, (_, label) in enumerate(test):
        if label == "orari":
            probabilities[row] = [0.9, 0.04, 0.03, 0.03]
    answered = dataclasses.replace(_answers(test), probabilities=probabilities)
    case = _case(test=test, answered=answered, on_test=0.75)
    weakest = slices(case)[0]
    assert (weakest.kind, weakest.name, weakest.score.value, weakest.weak) == (
        "label", "orari", 0.0, True,
    )  # fmt: skip
    assert sum(part.rows for part in slices(case) if part.kind == "length") == 200
    wrong = errors(case)[0]
    assert (wrong.target, wrong.answer) == ("orari", "ordine")
    assert [text for _, _, text in wrong.neighbors] == case.development.prompts[:3]
    assert "75.0%" in symptom(case)


@pytest.mark.parametrize("own", [[], ["model.head=words"]], ids=["classes", "words"])
def test_every_fix_is_one_that_this_way_of_answering_can_hear(own, accepted, usable):
    rare = [row for n, row in enumerate(_rows(400, 1)) if row[1] != "reso" or n % 40 == 1]
    uneven = _answers(_rows(200, 2), accuracy=0.5)
    cases = [make(*own) for _, make in PLANTED] + [_case(*own, train=rare, answered=uneven)]
    heard = [case for case in cases if usable(case.recipe)]
    found = {cause.name: accepted(cause, case.recipe) for case in heard for cause in rank_causes(case)}  # fmt: skip
    assert len(found) > 18
    for name in ("class_imbalance", "label_shift"):
        assert ("class_weights" in found[name].fix) == (not own)
    assert ("augment.rows_per_label=" in found["class_imbalance"].fix) == bool(own)
    assert "model.lexical" not in found["base_unsuited"].fix or not own


def test_names_of_labels_that_are_not_learnt_are_seen_by_the_loss_of_the_base():
    """The loss is one a token: it can be below that of guessing labels from the start."""
    still = _epochs(train=(0.31, 0.3, 0.3, 0.3), held=(0.32, 0.31, 0.31, 0.31, 0.31))
    learnt = _epochs(train=(2.0, 0.9, 0.3, 0.2), held=(4.0, 1.0, 0.5, 0.4, 0.4))
    for epochs, underfit in ((still, 1.0), (learnt, 0.0)):
        assert _case("model.head=words", epochs=epochs).training.underfit == underfit
