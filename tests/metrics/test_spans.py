"""Scores of spans: those of seqeval and nervaluate, to the sixth digit, on random answers."""

import numpy as np
import pytest

from fucina.metrics import (
    count_spans,
    macro_scores,
    per_type,
    ratio_interval,
    span_confusion,
    span_marks,
    value_of,
)
from fucina.models.tags import tag_names, to_spans
from fucina.records import Span

TYPES = ("LOC", "ORG", "PER")
CLOSE = 1e-6


def _texts(seed, rows=60):
    """Random tags of words, true and answered; I may stand where nothing begins."""
    rng = np.random.default_rng(seed)
    names = tag_names(TYPES)
    true, said = [], []
    for _ in range(rows):
        words = int(rng.integers(1, 15))
        own = rng.choice(len(names), size=words, p=[0.5, *[0.5 / 6] * 6])
        other = np.where(rng.random(words) < 0.3, rng.choice(len(names), size=words), own)
        true.append(own)
        said.append(other)
    return true, said


def _as_spans(rows):
    return [to_spans(row, [(3 * i, 3 * i + 2) for i in range(len(row))], TYPES) for row in rows]


def _as_bio(rows):
    """The same spans as valid IOB2: what begins one is a B."""
    names, found = tag_names(TYPES), []
    for spans, row in zip(_as_spans(rows), rows, strict=True):
        tags = ["O"] * len(row)
        for span in spans:
            for place in range(span.start // 3, (span.end - 2) // 3 + 1):
                tags[place] = f"{'B' if 3 * place == span.start else 'I'}-{span.label}"
        found.append(tags)
        assert {tag for tag in tags} <= set(names)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_strict_scores_are_those_of_seqeval(seed):
    report = pytest.importorskip("seqeval.metrics").classification_report
    scheme = pytest.importorskip("seqeval.scheme").IOB2
    true, said = _texts(seed)
    theirs = report(
        _as_bio(true),
        _as_bio(said),
        mode="strict",
        scheme=scheme,
        output_dict=True,
        zero_division=0,
    )
    counts = count_spans(_as_spans(said), _as_spans(true))
    micro = {name: value_of(ratio) for name, ratio in span_marks(counts).items()}
    for ours, name in (("f1", "f1-score"), ("precision", "precision"), ("recall", "recall")):
        assert micro[ours] == pytest.approx(theirs["micro avg"][name], abs=CLOSE)
    macro = dict(zip(("precision", "recall", "f1-score"), macro_scores(counts), strict=True))
    for name, value in macro.items():
        assert value == pytest.approx(theirs["macro avg"][name], abs=CLOSE)
    each = per_type(counts)
    assert set(each) == set(theirs) - {"micro avg", "macro avg", "weighted avg"}
    for label, own in each.items():
        assert own["f1"] == pytest.approx(theirs[label]["f1-score"], abs=CLOSE)
        assert own["precision"] == pytest.approx(theirs[label]["precision"], abs=CLOSE)
        assert own["recall"] == pytest.approx(theirs[label]["recall"], abs=CLOSE)
        assert own["support"] == theirs[label]["support"]


@pytest.mark.parametrize("seed", range(3))
def test_strict_scores_are_those_of_nervaluate(seed):
    evaluator = pytest.importorskip("nervaluate").Evaluator
    true, said = _texts(seed)
    found = evaluator(_as_bio(true), _as_bio(said), tags=list(TYPES), loader="list").evaluate()
    theirs = found["overall"]["strict"]
    marks = span_marks(count_spans(_as_spans(said), _as_spans(true)))
    assert value_of(marks["f1"]) == pytest.approx(theirs.f1, abs=CLOSE)
    assert value_of(marks["precision"]) == pytest.approx(theirs.precision, abs=CLOSE)
    assert value_of(marks["recall"]) == pytest.approx(theirs.recall, abs=CLOSE)


def test_a_lenient_sequence_is_read_as_conlleval_reads_it():
    score = pytest.importorskip("seqeval.metrics").f1_score  # its default mode is conlleval's
    names = tag_names(TYPES)
    for seed in range(4):
        true, said = _texts(seed)
        marks = span_marks(count_spans(_as_spans(said), _as_spans(true)))
        theirs = score(
            [[names[t] for t in row] for row in true], [[names[t] for t in row] for row in said]
        )
        assert value_of(marks["f1"]) == pytest.approx(theirs, abs=CLOSE)


def test_partial_counts_half_and_pairs_a_span_once():
    true = [[Span(0, 10, "PER")]]
    both = count_spans([[Span(0, 4, "PER"), Span(5, 10, "PER")]], true)
    assert both.overlaps.tolist() == [[0.5]]
    other = count_spans([[Span(0, 4, "LOC")]], true)
    assert other.overlaps.sum() == 0
    exact = count_spans([[Span(0, 10, "PER")]], true)
    assert exact.overlaps.tolist() == exact.hits.tolist() == [[1.0]]


def test_nothing_to_find_and_nothing_found_is_no_score():
    marks = span_marks(count_spans([[]], [[]]))
    assert value_of(marks["f1"]) == 0
    assert macro_scores(count_spans([[]], [[]])) == (0.0, 0.0, 0.0)


def test_an_interval_holds_its_score_and_narrows_with_rows():
    widths = []
    for rows in (40, 400):
        true, said = _texts(0, rows)
        mark = span_marks(count_spans(_as_spans(said), _as_spans(true)))["f1"]
        found = ratio_interval(mark, samples=300)
        assert found.low < found.value < found.high
        widths.append(found.high - found.low)
    assert widths[1] < 0.5 * widths[0]


def test_what_is_taken_for_what_sums_to_what_is_true_and_answered():
    true, said = _texts(1)
    table = np.array(span_confusion(_as_spans(said), _as_spans(true), TYPES))
    counts = count_spans(_as_spans(said), _as_spans(true))
    assert table[:3].sum() == counts.true.sum()
    assert np.diag(table)[:3].sum() == counts.hits.sum()
    assert table[:, :3].sum() == counts.answered.sum()
