"""What is known already is found again, exactly."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fucina.data import Known
from fucina.data.similar import THRESHOLD, normalized, similar, trigrams
from fucina.records import Example

TEXTS = st.lists(st.text("abcàé '", min_size=0, max_size=14), min_size=1, max_size=8)


@settings(deadline=None)
@given(TEXTS, st.text("abcàé '", max_size=14))
def test_the_shortcut_finds_what_comparing_with_all_finds(texts, new):
    found = Known(Example(text, "x") for text in texts).find(new)
    mine = trigrams(normalized(new))
    likeness = [similar(mine, trigrams(normalized(text))) for text in texts]
    best = max(likeness)
    if best < THRESHOLD:
        assert found is None
    else:
        assert found.prompt == texts[likeness.index(best)]


def test_rows_are_remembered_one_by_one():
    known = Known()
    assert known.find("perché non arriva?") is None
    known.add(Example("Perche' non arriva", "x", origin="a:1"))
    assert known.find("perché non arriva?").origin == "a:1"
