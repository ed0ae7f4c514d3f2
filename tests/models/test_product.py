"""The quick products and the wide attention give what PyTorch's own ways give."""

import pytest
import torch
from torch import nn

from fucina.models import attention, product

TOLERANCE = 1e-5
BOTH_LIBRARIES = pytest.mark.parametrize("onednn", [True, False])


@pytest.fixture
def library(monkeypatch):
    def choose(onednn):
        if onednn and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
            pytest.skip("this build of PyTorch has no oneDNN")
        monkeypatch.setattr(product, "onednn_wins", lambda: onednn)

    return choose


@BOTH_LIBRARIES
@pytest.mark.parametrize("members", [1, 3])
def test_each_multiplies_every_member_by_its_own_weight(members, onednn, library):
    library(onednn)
    x, weights = torch.randn(members, 7, 5), torch.randn(members, 4, 5)
    expected = torch.stack([x[k] @ weights[k].t() for k in range(members)])
    assert torch.allclose(product.each(x, weights), expected, atol=TOLERANCE)


@BOTH_LIBRARIES
def test_a_transposed_weight_needs_no_copy(onednn, library):
    library(onednn)
    x, weight = torch.randn(3, 7, 5), torch.randn(5, 4)
    assert torch.allclose(product.linear(x, weight.t()), x @ weight, atol=TOLERANCE)


@BOTH_LIBRARIES
@pytest.mark.parametrize("trained", [True, False], ids=["trained", "frozen"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
def test_a_quick_layer_has_the_output_and_gradients_of_the_plain_one(
    bias, trained, onednn, library
):
    library(onednn)
    plain = nn.Linear(6, 3, bias=bias).requires_grad_(trained)
    quick = product.QuickLinear(plain)
    assert quick.weight is plain.weight  # what trains one trains the other
    found = []
    for layer in (plain, quick):
        x = torch.linspace(-1, 1, 4 * 2 * 6).view(4, 2, 6).requires_grad_()
        leaves = [x, *(p for p in plain.parameters() if p.requires_grad)]
        y = layer(x)
        found.append([y, *torch.autograd.grad((y**2).sum(), leaves)])
    for expected, got in zip(*found, strict=True):
        assert torch.allclose(expected, got, atol=TOLERANCE)


def test_a_network_is_quickened_only_where_it_pays(library):
    for onednn in (False, True):
        library(onednn)
        network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
        product.quicken(network)
        kinds = {type(module) for module in network.modules()}
        assert (product.QuickLinear in kinds) == onednn
        assert (nn.Linear in kinds) != onednn


def test_wide_attention_gives_the_bfloat16_network_its_own_numbers(make_base):
    from transformers import AutoModel

    ids = torch.tensor([[2, 5, 6, 7, 3], [2, 5, 3, 0, 0]])
    mask = (ids != 0).long()
    exact = AutoModel.from_pretrained(make_base("bert"), attn_implementation="sdpa").eval()
    expected = exact(input_ids=ids, attention_mask=mask).last_hidden_state
    narrow = AutoModel.from_pretrained(
        make_base("bert"), attn_implementation="sdpa", dtype=torch.bfloat16
    ).eval()
    plain = narrow(input_ids=ids, attention_mask=mask).last_hidden_state.float()
    attention.widen(narrow)
    assert narrow.config._attn_implementation == attention.NAME
    wide = narrow(input_ids=ids, attention_mask=mask).last_hidden_state
    assert wide.dtype == torch.bfloat16
    real = mask.bool()
    assert (wide.float() - expected)[real].abs().max() <= 2 * (plain - expected)[real].abs().max()


def test_another_attention_stays_as_it_is(make_base):
    from transformers import AutoModel

    network = AutoModel.from_pretrained(make_base("bert"), attn_implementation="eager")
    attention.widen(network)
    assert network.config._attn_implementation == "eager"
