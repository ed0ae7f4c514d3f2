"""Label scores against scikit-learn, and at the edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from fucina.errors import DataError
from fucina.metrics import balanced_accuracy, confusion, per_label, scores

LABELS = 6
PAIRS = st.lists(
    st.tuples(st.integers(0, LABELS - 1), st.integers(0, LABELS - 1)), min_size=1, max_size=40
)


def _columns(pairs):
    return tuple(np.array(side) for side in zip(*pairs, strict=True))


@settings(max_examples=60, deadline=None)
@given(PAIRS)
@pytest.mark.filterwarnings("ignore")  # scikit-learn warns of answers that are no target
def test_every_score_agrees_with_scikit_learn_over_the_labels_that_occur(pairs):
    targets, answers = _columns(pairs)
    present = {"labels": np.unique(targets), "average": "macro", "zero_division": 0}
    assert scores(targets, answers, LABELS) == pytest.approx(
        {
            "accuracy": reference.accuracy_score(targets, answers),
            "balanced_accuracy": reference.balanced_accuracy_score(targets, answers),
            "macro_precision": reference.precision_score(targets, answers, **present),
            "macro_recall": reference.recall_score(targets, answers, **present),
            "macro_f1": reference.f1_score(targets, answers, **present),
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_where_every_label_occurs_macro_scores_are_those_over_all_labels(seed):
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(LABELS), rng.integers(LABELS, size=100)])
    answers = rng.integers(LABELS - 1, size=len(targets))  # one label is never answered
    everything = {"labels": range(LABELS), "average": "macro", "zero_division": 0}
    found = scores(targets, answers, LABELS)
    assert found["macro_f1"] == pytest.approx(reference.f1_score(targets, answers, **everything))
    assert found["macro_precision"] == pytest.approx(
        reference.precision_score(targets, answers, **everything)
    )


@settings(max_examples=30, deadline=None)
@given(PAIRS)
def test_each_label_and_each_cell_agree_with_scikit_learn(pairs):
    targets, answers = _columns(pairs)
    columns = reference.precision_recall_fscore_support(
        targets, answers, labels=range(LABELS), zero_division=0
    )
    found = per_label(targets, answers, LABELS)
    for label, expected in enumerate(zip(*columns, strict=True)):
        assert tuple(found[label].values()) == pytest.approx(expected)
    table = reference.confusion_matrix(targets, answers, labels=range(LABELS))
    assert confusion(targets, answers, LABELS).tolist() == table.tolist()


@settings(max_examples=30, deadline=None)
@given(PAIRS, st.permutations(range(LABELS)), st.randoms(use_true_random=False))
def test_scores_lie_in_0_to_1_and_ignore_the_order_of_rows_and_of_labels(pairs, renamed, random):
    found = scores(*_columns(pairs), LABELS)
    assert all(0 <= value <= 1 for value in found.values())
    random.shuffle(pairs)
    assert scores(*_columns(pairs), LABELS) == pytest.approx(found)
    pairs = [(renamed[target], renamed[answer]) for target, answer in pairs]
    assert scores(*_columns(pairs), LABELS) == pytest.approx(found)


def test_a_label_absent_from_the_targets_does_not_lower_the_averages():
    targets, answers = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    assert set(scores(targets, answers, 5).values()) == {1.0}
    assert per_label(targets, answers, 5)[4] == {
        "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0,
    }  # fmt: skip


def test_an_answer_outside_the_occurring_labels_counts_as_wrong():
    found = scores(np.array([0, 0]), np.array([0, 3]), 4)
    assert (found["accuracy"], found["balanced_accuracy"]) == (0.5, 0.5)
    assert found["macro_precision"] == 1.0, "whoever was called 0 was 0"


def test_one_label_alone_can_be_scored():
    only = np.zeros(3, dtype=int)
    assert set(scores(only, only, 1).values()) == {1.0}
    assert confusion(only, only, 1).tolist() == [[3]]
    assert balanced_accuracy(only, only, 1) == 1.0


def test_codes_kept_in_one_byte_are_counted_where_they_belong():
    targets = np.full(3, 100, dtype=np.int8)
    assert confusion(targets, targets, 120)[100, 100] == 3


@pytest.mark.parametrize("function", [confusion, scores, per_label, balanced_accuracy])
@pytest.mark.parametrize(
    ("targets", "answers", "said"),
    [
        ([], [], "no rows"),
        ([0, 1], [0], "2 true labels and 1 answers"),
        ([0, 1], [0, -1], "answer -1"),
        ([0, 1], [0, 2], "answer 2"),
        ([0, 2], [0, 1], "true label 2"),
    ],
)
def test_what_cannot_be_counted_is_an_error_with_a_fix(function, targets, answers, said):
    with pytest.raises(DataError, match=said) as caught:
        function(np.array(targets, dtype=int), np.array(answers, dtype=int), 2)
    assert caught.value.fix
