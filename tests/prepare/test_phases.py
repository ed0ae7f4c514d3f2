"""Phases say how far the data set is, and which labels hold it up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fucina.config import PhaseConfig
from fucina.errors import RecipeError
from fucina.prepare import phase_progress
from fucina.recipe import dump, parse
from fucina.tasks.settings import refuse_idle

ROWS = ["reso"] * 120 + ["ordine"] * 80 + ["guasto"] * 20
RECIPE = """task: classification
name: a
data: {train: a.csv}
"""


def test_a_phase_is_done_when_its_rows_are_there():
    foundation, expansion = phase_progress(
        ROWS, [PhaseConfig(name="foundation", rows=200), PhaseConfig(name="expansion", rows=600)]
    )
    assert (foundation.missing, dict(foundation.lacking)) == (0, {})
    assert (expansion.have, expansion.missing) == (220, 380)


def test_the_labels_that_lack_most_come_first():
    (phase,) = phase_progress(ROWS, [PhaseConfig(name="a", rows=601)])
    # An even share of 601 is 201 rows, rounded up.
    assert list(phase.lacking.items()) == [("guasto", 181), ("ordine", 121), ("reso", 81)]


def test_a_target_of_each_label_counts_although_the_rows_are_there():
    (phase,) = phase_progress(ROWS, [PhaseConfig(name="a", rows=200, rows_per_label=50)])
    assert dict(phase.lacking) == {"guasto": 30}
    assert phase.missing == 30


@given(
    st.lists(st.sampled_from("abc"), min_size=1),
    st.integers(1, 200),
    st.one_of(st.none(), st.integers(1, 60)),
)
def test_what_is_lacking_is_never_less_than_what_is_missing(targets, rows, each):
    (phase,) = phase_progress(targets, [PhaseConfig(name="a", rows=rows, rows_per_label=each)])
    assert phase.missing >= max(0, rows - len(targets))
    assert all(count > 0 for count in phase.lacking.values())
    if each is None:
        assert sum(phase.lacking.values()) >= phase.missing


@pytest.mark.parametrize(("phases", "message"), [
    ("\n- {name: base, rows: 200}\n- {name: growth, rows: 100}\n",
     r"phases \(line 4\): 'growth' has rows 100, below the 200 of 'base' before it"),
    ("\n- {name: a, rows: 9, rows_per_label: 4}\n- {name: b, rows: 9, rows_per_label: 3}\n",
     "'b' has rows_per_label 3, below the 4 of 'a'"),
    ("\n- {name: a, rows: 9, rows_per_label: 4}\n- {name: b, rows: 10}\n"
     "- {name: c, rows: 11, rows_per_label: 3}\n", "'c' has rows_per_label 3, below the 4 of 'a'"),
    ("\n- {name: base, rows: 200}\n- {name: growth, row: 300}\n",
     r"unknown setting phases.2.row \(line 6\).*did you mean 'rows'"),
    ("\n- {name: base, rows: few}\n", r"phases.1.rows \(line 5\)"),
    (" {name: base, rows: 3}\n", r"phases \(line 4\): input should be a valid list"),
])  # fmt: skip
def test_a_wrong_phase_is_named_with_its_line(phases, message):
    with pytest.raises(RecipeError, match=message):
        parse(f"{RECIPE}phases:{phases}")


@pytest.mark.parametrize("phases", ["", "phases: [{name: più, rows: 5, note: l'inizio}]"])
def test_a_recipe_with_and_without_phases_survives_writing(phases):
    recipe, _ = parse(RECIPE + phases)
    assert parse(dump(recipe))[0] == recipe


def test_texts_are_counted_in_all():
    phases = [PhaseConfig(name="a", rows=2), PhaseConfig(name="b", rows=5)]
    done, growing = phase_progress(["Sì.", "No.", "Forse."], phases, labelled=False)
    assert (done.have, done.missing, dict(done.lacking)) == (3, 0, {})
    assert (growing.have, growing.missing, dict(growing.lacking)) == (3, 2, {})


def test_a_target_of_labels_is_refused_where_rows_answer_with_text():
    recipe = parse(
        "{task: chat, name: a, data: {train: a}, phases: [{name: a, rows: 3},"
        " {name: b, rows: 9, rows_per_label: 3}]}"
    )[0]
    with pytest.raises(
        RecipeError, match=r"phases.rows_per_label=3 does nothing.*rows is the target"
    ):
        refuse_idle(recipe)
