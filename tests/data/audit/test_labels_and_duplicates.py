"""What must stop a run, and what must be said."""

import pytest

from fucina.data import Subject, gate, raise_errors
from fucina.errors import DataError
from fucina.records import Dataset, Example


def _set(*rows, name="train"):
    return Dataset(
        name, tuple(Example(t, y, origin=f"{name}:{i}") for i, (t, y) in enumerate(rows))
    )


def _many(label, count=12):
    return [(f"{label} numero {i}", label) for i in range(count)]


HEALTHY = [*_many("a"), *_many("b")]


def check(train, validation, test, *, folds, allow_duplicates):
    return gate(Subject(train, validation, test, folds=folds, allow_duplicates=allow_duplicates))


def _names(findings, severity):
    return [finding.check for finding in findings if finding.severity == severity]


def test_healthy_rows_have_no_findings():
    found = check(
        _set(*HEALTHY), None, _set(("c'è altro", "a"), name="test"), folds=3, allow_duplicates=False
    )
    assert found == []


def test_a_row_in_train_and_test_is_counted_whatever_its_case_and_spaces():
    test = _set(("A  Numero 1", "a"), ("nuovo", "b"), name="test")
    found = check(_set(*HEALTHY), None, test, folds=0, allow_duplicates=False)
    assert _names(found, "error") == ["leak"]
    assert "1 of 2 test rows" in found[0].message
    assert _names(check(_set(*HEALTHY), None, test, folds=0, allow_duplicates=True), "warning") == [
        "leak"
    ]


def test_validation_rows_are_checked_too():
    validation = _set(("a numero 1", "a"), name="validation")
    found = check(_set(*HEALTHY), validation, None, folds=0, allow_duplicates=False)
    assert _names(found, "error") == ["leak"]


def test_a_label_with_fewer_rows_than_folds_is_named():
    found = check(_set(*HEALTHY, ("raro", "c")), None, None, folds=5, allow_duplicates=False)
    with pytest.raises(DataError, match=r"c \(1\)") as caught:
        raise_errors(found)
    assert "fewer folds" in caught.value.fix


def test_a_label_only_in_test_is_an_error():
    found = check(
        _set(*HEALTHY), None, _set(("x", "nuova"), name="test"), folds=0, allow_duplicates=False
    )
    with pytest.raises(DataError, match="never seen in train: nuova"):
        raise_errors(found)


def test_one_label_is_not_a_classification():
    with pytest.raises(DataError, match="all rows have the label 'a'"):
        raise_errors(check(_set(*_many("a")), None, None, folds=0, allow_duplicates=False))


def test_contradictions_and_repeats_are_warnings():
    rows = [*HEALTHY, ("a numero 1", "b"), ("A NUMERO 2", "a")]
    found = check(_set(*rows), None, None, folds=0, allow_duplicates=False)
    assert _names(found, "warning") == ["contradiction", "duplicate"]
