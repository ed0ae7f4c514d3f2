"""What is found out of an encoder-decoder is what transformers does with it."""

import pytest
import torch

KINDS = ("t5", "flan-t5", "mt5", "bart", "mbart", "pegasus")


@pytest.mark.parametrize("kind", KINDS)
def test_load(kind, load_pair):
    base = load_pair(kind)
    print(base.halves, base.body, base.layers, base.depth, base.head, base.positions)
    assert base.halves.stands
