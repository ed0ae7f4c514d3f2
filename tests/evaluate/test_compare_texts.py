"""Two models that write, compared by what their task counts or by how likely true answers were."""

from dataclasses import replace

import numpy as np
import pytest

from fucina import run
from fucina.config import EvaluationConfig
from fucina.errors import RunError
from fucina.evaluate import compare_texts, judge_texts, texts_like
from fucina.records import Example, Ratio, Texts

CONFIG = EvaluationConfig(bootstrap_samples=200, goals={})


def _texts(right, *, tokens=5.0, losses=1.0, ended=True):
    """Rows that are right or wrong by a score called f1."""
    count = len(right)
    return Texts(
        tuple(f"p{i}" for i in range(count)), tuple(f"t{i}" for i in range(count)),
        tuple("a" for _ in right), np.full(count, losses), np.full(count, tokens),
        np.full(count if ended else 0, True),
        {"f1": Ratio(np.array(right, float), np.ones(count)),
         "extra": Ratio(np.ones(count), np.ones(count))},
    )  # fmt: skip


def test_the_headline_decides_and_stands_first():
    one, two = _texts([0] * 30), _texts([1] * 25 + [0] * 5)
    found = compare_texts(("a", one), ("b", two), CONFIG, seed=0, headline="f1")
    assert list(found.differences) == ["f1", "extra", "token_loss", "ended"]
    assert found.differences["f1"].value == pytest.approx(25 / 30)
    assert (found.verdict, found.test) == ("b is better than a", "swaps")
    assert found.p_value < 0.001


def test_other_tokens_matter_only_where_losses_are_compared():
    one, two = _texts([0, 1]), _texts([0, 1], tokens=7.0)
    found = compare_texts(("a", one), ("b", two), CONFIG, seed=0, headline="f1")
    assert "token_loss" not in found.differences
    assert found.verdict == "no measurable difference between a and b"
    with pytest.raises(RunError, match="cut the answers into different tokens"):
        compare_texts(("a", one), ("b", two), CONFIG, seed=0)


def test_answers_that_no_model_wrote_have_no_loss():
    free = _texts([0, 1, 1], tokens=0.0, losses=0.0, ended=False)
    judged = judge_texts(free, CONFIG, name="free", seed=0)
    assert set(judged.scores) == {"f1", "extra", "exact_match"}
    found = compare_texts(
        ("free", free), ("model", _texts([1, 1, 1])), CONFIG, seed=0, headline="f1"
    )
    assert set(found.differences) == {"f1", "extra"}


def test_marks_and_facts_survive_the_disk(tmp_path):
    texts = _texts([0, 1, 1])
    rows = [Example(f"p{i}", f"t{i}", facts={"database": "à.sql"}) for i in range(3)]
    run.write_texts(tmp_path / "a.parquet", texts, rows)
    again_rows, again = run.read_texts(tmp_path / "a.parquet")
    assert list(again_rows.examples) == rows
    assert list(again.marks) == ["f1", "extra"]
    np.testing.assert_array_equal(again.marks["f1"].gained, [0, 1, 1])


def test_texts_of_another_order_keep_their_marks_and_their_doubles():
    marks = {"f1": Ratio(np.array([1.0, 0.0, 0.5]), np.ones(3))}
    ours = Texts(("a", "b", "a"), ("x", "y", "x"), ("1", "2", "3"), np.arange(3.0), np.ones(3),
                 np.array([True, False, True]), marks)  # fmt: skip
    other = replace(ours, prompts=("b", "a", "a"), targets=("y", "x", "x"))
    found = texts_like(ours, other)
    assert found.answers == ("2", "1", "3")
    assert found.losses.tolist() == [1.0, 0.0, 2.0]
    assert found.marks["f1"].gained.tolist() == [0.0, 1.0, 0.5]
