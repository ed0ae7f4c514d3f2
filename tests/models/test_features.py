"""Vectors of texts from a frozen base: which way it looks, and that padding changes nothing."""

import numpy as np
import pytest

from fucina.config import ModelConfig
from fucina.models import base as bases
from fucina.models import features, threads

TEXTS = ["a b c d", "a b", "b c d a b c d a"]


def _vectors(base, texts):
    with threads.start() as pool:
        return features.maker(base, pool)(texts)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_decoder_sees_what_follows_where_it_is_asked_to(pooling, make_base):
    place = str(make_base("llama"))
    back, both = (
        bases.load(ModelConfig(base=place, pooling=pooling, look_ahead=ahead))
        for ahead in (False, True)
    )
    ours, theirs = _vectors(both, TEXTS), _vectors(back, TEXTS)
    assert not np.allclose(ours, theirs, atol=1e-3)
    if pooling == "cls":  # the first token of these two is the same, and what follows is not
        assert np.allclose(theirs[0], theirs[1], atol=1e-5)
        assert not np.allclose(ours[0], ours[1], atol=1e-3)
    alone = np.concatenate([_vectors(both, [text]) for text in TEXTS])
    assert np.allclose(ours, alone, atol=1e-5)
