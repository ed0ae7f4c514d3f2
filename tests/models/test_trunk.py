"""Frozen layers that run apart give the layers above them what the whole network gives."""

import pytest
import torch

import onnx_models as models
from fucina.config import AdapterConfig, ModelConfig
from fucina.models import base as bases
from fucina.models.build import build
from fucina.models.stack import pool
from fucina.models.trunk import Batch

IDS = torch.tensor([[5, 9, 20, 24, 7, 18], [4, 8, 8, 21, 6, 2]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])


@pytest.mark.parametrize("kind", ["bert", "modernbert", "t5", "llama"])
def test_a_new_adapter_over_frozen_layers_changes_nothing(
    kind, make_base, make_pair, tokenizer_folder, tmp_path
):
    if kind == "modernbert":
        models.make_folder(kind, tmp_path, tokenizer_folder)
        folder = tmp_path
    else:
        folder = make_pair(kind) if kind == "t5" else make_base(kind)
    base = bases.load(ModelConfig(base=str(folder)))
    stack = build(base, AdapterConfig(layers=1, rank=4), members=2, labels=3, seed=0, workers=1)
    assert (stack.trunk is None) == (kind == "t5")
    assert base.whole == (kind == "t5")
    with torch.no_grad():
        twice = Batch(IDS.repeat(2, 1), MASK.repeat(2, 1), None, 2)
        found = stack.features(twice)[1]
        states = base.network(input_ids=IDS, attention_mask=MASK).last_hidden_state
    assert torch.allclose(found, pool(states, MASK, base.pooling), atol=1e-5)
