"""A merged weight maps every row as the frozen layer and its adapter do."""

import pytest
import torch

from fucina.models.adapter import AdapterSlot, Noise, StackedLinear
from fucina.models.merge import merged


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("scale", [2.0, 16 / 3**0.5])
def test_merged_weights_map_as_the_adapted_layer(dora, scale):
    torch.manual_seed(0)
    weight, bias = torch.randn(6, 5), torch.randn(6)
    m = torch.rand(2, 6) + 0.5 if dora else None
    slot = AdapterSlot(torch.randn(2, 3, 5), torch.randn(2, 6, 3), m)
    noise = Noise(torch.Generator())
    layer = StackedLinear(weight, bias, slot, scale=scale, dropout=0.0, noise=noise)
    x = torch.randn(2, 4, 5)
    plain = x @ merged(weight, slot, scale).transpose(1, 2) + bias
    torch.testing.assert_close(layer(x), plain, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(plain, x @ weight.t() + bias, atol=0.1)
