"""Execution accuracy: which results are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fucina.tasks.text_to_sql.results import equal_results


@pytest.mark.parametrize(
    ("gold", "answered", "ordered", "equal"),
    [
        ([], [], False, True),
        ([], [(1,)], False, False),
        ([(1,), (2,)], [(2,), (1,)], False, True),
        ([(1,), (2,)], [(2,), (1,)], True, False),
        ([(1,), (1,), (2,)], [(1,), (2,), (2,)], False, False),
        ([(1, "a")], [("a", 1)], True, True),
        ([(1, 2), (3, 4)], [(2, 1), (4, 3)], False, True),
        ([(1, 2), (3, 4)], [(2, 1), (3, 4)], False, False),
        ([(1, 2)], [(1, 2, 3)], False, False),
        ([(0.1 + 0.2,)], [(0.3,)], False, True),
        ([(0.3,)], [(0.3001,)], False, False),
        ([(3,)], [(3.0,)], False, True),
        ([(12345678901,)], [(12345678902,)], False, False),
        ([(None,)], [(None,)], False, True),
        ([(None,)], [(0,)], False, False),
        ([("3",)], [(3,)], False, False),
        ([(b"a",)], [("a",)], False, False),
    ],
)
def test_results_are_bags_of_rows(gold, answered, ordered, equal):
    assert equal_results(gold, answered, ordered=ordered) is equal


def test_columns_that_are_all_alike_do_not_take_for_ever():
    gold = [tuple((row * 7 + column) % 3 for column in range(12)) for row in range(60)]
    other = [(*row[:-1], (row[-1] + 1) % 3) for row in gold]
    assert equal_results(gold, other, ordered=False) in {True, False}


cells = st.one_of(st.none(), st.integers(-3, 3), st.sampled_from(["a", "b"]), st.floats(-2, 2))


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[cells] * n))), st.randoms())
def test_the_order_of_rows_and_columns_never_matters(rows, random):
    columns = list(range(len(rows[0]))) if rows else []
    random.shuffle(columns)
    moved = [tuple(row[column] for column in columns) for row in rows]
    assert equal_results(rows, moved, ordered=True)
    random.shuffle(moved)
    assert equal_results(rows, moved, ordered=False)
