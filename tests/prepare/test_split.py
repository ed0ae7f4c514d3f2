"""Splits are stratified, grouped, and never leak."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fucina.config import DataConfig
from fucina.errors import DataError
from fucina.prepare import split, thin
from fucina.records import Dataset, Example

CONFIG = DataConfig(train="train.csv")


def _set(labels, groups=None):
    return Dataset(
        "train",
        tuple(
            Example(f"text {i}", label, groups[i] if groups else "")
            for i, label in enumerate(labels)
        ),
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from("abc"), min_size=60, max_size=150),
    st.integers(2, 6),
    st.integers(0, 99),
)
def test_each_row_is_held_out_once_and_labels_keep_their_share(labels, folds, seed):
    counts = Counter(labels)
    labels = [label for label in labels if counts[label] >= 2 * folds + 4]
    if len(set(labels)) < 2:
        return
    found = split(_set(labels), validation=None, test=None, config=CONFIG, folds=folds, seed=seed)
    held = [row for fold in found.folds for row in fold.held_out]
    assert sorted(held) == list(range(len(found.development)))
    assert len(found.test) + len(found.development) == len(labels)
    for fold in found.folds:
        assert not set(fold.train) & set(fold.held_out)
        own = Counter(found.development.targets[row] for row in fold.held_out)
        whole = Counter(found.development.targets)
        assert all(abs(own[label] - whole[label] / folds) < 2 for label in whole)


def test_rows_of_one_group_never_straddle():
    labels = ["a", "b"] * 60
    groups = [f"g{i // 4}" for i in range(120)]
    found = split(_set(labels, groups), validation=None, test=None, config=CONFIG, folds=5, seed=1)
    test_groups = {e.group for e in found.test.examples}
    assert not test_groups & {e.group for e in found.development.examples}
    for fold in found.folds:
        inside = {found.development.examples[row].group for row in fold.held_out}
        assert not inside & {found.development.examples[row].group for row in fold.train}
        assert len(fold.held_out) == pytest.approx(len(found.development) / 5, abs=5)


def test_equal_texts_stay_on_one_side():
    rows = tuple(
        Example(f"Testo {i // 2} {'  x' if i % 2 else ' X'}", "ab"[i % 4 // 2]) for i in range(80)
    )
    found = split(Dataset("t", rows), validation=None, test=None, config=CONFIG, folds=4, seed=0)
    for fold in found.folds:
        texts = {" ".join(found.development.prompts[r].lower().split()) for r in fold.held_out}
        assert not texts & {
            " ".join(found.development.prompts[r].lower().split()) for r in fold.train
        }


@pytest.mark.parametrize("share", [0.1, 0.2, 0.35, 0.6])
def test_the_test_share_is_what_was_asked(share):
    config = DataConfig(train="a", test_share=share)
    found = split(_set("ab" * 100), validation=None, test=None, config=config, folds=2, seed=0)
    assert len(found.test) == pytest.approx(200 * share, abs=2)
    assert Counter(found.test.targets)["a"] == pytest.approx(100 * share, abs=1)


def test_a_validation_file_is_used_for_validation_alone():
    other = Dataset("validation", (Example("nuovo", "a"), Example("nuovo due", "b")))
    found = split(_set("ab" * 20), validation=other, test=None, config=CONFIG, folds=0, seed=0)
    (fold,) = found.folds
    assert [found.development.prompts[row] for row in fold.held_out] == ["nuovo", "nuovo due"]


def test_the_same_seed_gives_the_same_split_and_another_another():
    one, two, three = (
        split(_set("abc" * 30), validation=None, test=None, config=CONFIG, folds=3, seed=seed)
        for seed in (1, 1, 2)
    )
    assert one == two
    assert one != three


def test_a_label_with_a_single_row_cannot_be_split():
    with pytest.raises(DataError, match="one row or group only") as caught:
        split(_set("ab" * 20 + "c"), validation=None, test=None, config=CONFIG, folds=0, seed=0)
    assert "data.test" in caught.value.fix


def test_smaller_shares_are_part_of_larger_ones_and_keep_every_label():
    rows = Dataset("train", tuple(Example(f"testo {i}", "abc"[i % 3]) for i in range(60)))
    whole = split(
        rows,
        validation=None,
        test=rows.take(range(3)),
        config=DataConfig(train="a"),
        folds=4,
        seed=0,
    )
    before = None
    for share in (0.125, 0.25, 0.5, 1.0):
        part = thin(whole, share, seed=3)
        for fold, full in zip(part.folds, whole.folds, strict=True):
            assert fold.held_out == full.held_out
            assert set(fold.train) <= set(full.train)
            assert {rows.targets[row] for row in fold.train} == {"a", "b", "c"}
            assert len(fold.train) == pytest.approx(share * len(full.train), abs=2)
        if before is not None:
            assert all(
                set(a.train) <= set(b.train) for a, b in zip(before.folds, part.folds, strict=True)
            )
        before = part
