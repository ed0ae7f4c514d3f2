"""Weights in 4 bits: what is computed with them, what is kept of them, and where they cannot be."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from fucina.config import AdapterConfig, ModelConfig
from fucina.errors import MissingExtraError, ModelError
from fucina.models import base as bases
from fucina.models import packed as packing
from fucina.models.build import build
from fucina.models.packed import BYTES, Packed, whole
from fucina.models.product import PackedLinear
from fucina.models.saved import load_writer, member_folder, save_member
from fucina.models.tokenize import encode
from fucina.models.trunk import activations, assemble
from fucina.recipe import parse

bitsandbytes = pytest.importorskip("bitsandbytes")

# The same 4-bit numbers are multiplied either way; only the order of sums may differ.
TOLERANCE = 1e-5
IDS = torch.tensor([[5, 9, 30, 44, 7, 80, 12, 11, 3]])


def _load(folder, answer="text", precision="float32", quantize="nf4"):
    return bases.load(ModelConfig(base=str(folder), quantize=quantize), precision, answer)


def _spread(base):
    """The same base with its 4-bit layers written out as plain linear layers."""
    plain = _load(base.name, quantize="none")
    for name, module in base.network.named_modules():
        if isinstance(module, PackedLinear):
            other = plain.network.get_submodule(name)
            weight = whole(module.weight, torch.float32)
            other.weight.data = weight.t().contiguous() if module.transposed else weight
    return plain


def test_a_packed_matrix_is_what_bitsandbytes_keeps_and_gives_back():
    weight = torch.randn(1100, 1024, generator=torch.Generator().manual_seed(0))
    functional = bitsandbytes.functional
    codes, state = functional.quantize_4bit(
        weight, blocksize=64, compress_statistics=True, quant_type="nf4"
    )
    packed = Packed(weight)
    assert torch.equal(packed.codes, codes)
    assert torch.equal(packed.scales, state.absmax)
    assert torch.equal(packed.unpacked(torch.float32), functional.dequantize_4bit(codes, state))
    assert packed.unpacked(torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(48, 96), (32, 32), (7, 9), (64, 320), (1, 640)])
def test_four_bits_are_as_near_where_blocks_go_over_the_end_of_a_row(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = Packed(weight).unpacked(torch.float32)
    assert found.shape == weight.shape
    assert (found - weight).abs().mean() < 0.13 * weight.abs().mean()  # 0.09 is usual


def test_a_packed_matrix_takes_the_bytes_that_a_plan_counts():
    packed = Packed(torch.randn(1024, 1024))
    tensors = dict(packed.named_buffers())
    table = tensors.pop("table")
    assert table.numel() == 256
    kept = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    assert kept == pytest.approx(BYTES * 1024 * 1024, rel=1e-4)


def test_a_packed_layer_passes_gradients_on_without_keeping_the_matrix():
    layer = PackedLinear(torch.randn(8, 64), nn.Parameter(torch.randn(8)), transposed=False)
    x = torch.randn(3, 64, requires_grad=True)
    y = layer(x)
    assert not y.grad_fn.saved_tensors
    y.sum().backward()
    weight = whole(layer.weight, torch.float32)
    assert torch.allclose(y, x @ weight.t() + layer.bias, atol=TOLERANCE)
    assert torch.allclose(x.grad, weight.sum(dim=0).expand(3, -1), atol=TOLERANCE)


@pytest.mark.parametrize("targets", ["all-linear", "attention"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_bigcode", "gemma3"])
def test_a_step_is_that_on_the_weights_as_four_bits_give_them(kind, targets, make_decoder):
    base = _load(make_decoder(kind))
    config = AdapterConfig(layers=3, rank=4, target_modules=targets, dora=kind == "llama")
    results = []
    for one in (base, _spread(base)):
        stack = build(one, config, members=2, labels=0, seed=0, workers=1, whole=True)
        noise = torch.empty_like(stack.adapters).normal_(
            0, 0.05, generator=torch.Generator().manual_seed(1)
        )
        stack.bind(stack.adapters + noise, stack.heads)
        logits = stack.replicas[0].network(input_ids=IDS.repeat(2, 1)).logits
        loss = logits.log_softmax(dim=-1)[:, :-1].gather(2, IDS.repeat(2, 1)[:, 1:, None]).mean()
        results.append(
            (logits, torch.cat([g.flatten() for g in torch.autograd.grad(loss, stack.leaves)]))
        )
    (ours, mine), (theirs, other) = results
    assert torch.allclose(ours, theirs, atol=10 * TOLERANCE)
    assert torch.allclose(mine, other, atol=TOLERANCE)
    assert other.abs().max() > 100 * TOLERANCE
    with torch.no_grad():
        frozen = _load(make_decoder(kind), quantize="none").network(input_ids=IDS).logits
        assert not torch.allclose(base.network(input_ids=IDS).logits, frozen, atol=0.01)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_both_halves_of_an_encoder_decoder_are_packed(kind, make_pair):
    base = _load(make_pair(kind))
    packed = [name for name, part in base.network.named_modules() if isinstance(part, PackedLinear)]
    for half in (base.layers, base.encoder):
        assert any(name.startswith(half) for name in packed)
    logits = []
    for one in (base, _spread(base)):
        stack = build(one, AdapterConfig(layers="all", rank=4), members=1, labels=0, seed=0,
                      workers=1, whole=True)  # fmt: skip
        noise = torch.empty_like(stack.adapters).normal_(
            0, 0.05, generator=torch.Generator().manual_seed(1)
        )
        stack.bind(stack.adapters + noise, stack.heads)
        network = stack.replicas[0].network
        logits.append(network(input_ids=IDS, decoder_input_ids=IDS[:, :4]).logits)
    assert torch.allclose(*logits, atol=10 * TOLERANCE)


def test_labels_read_through_a_packed_trunk(make_base, pool):
    base = _load(make_base("bert"), answer="label")
    stack = build(base, AdapterConfig(layers=1, rank=4), members=2, labels=3, seed=0, workers=2)
    encoded = encode(["dove ordine", "il pacco non arriva"], base.tokenizer, max_length_tokens=32)
    store = activations(stack.trunk, encoded, threads=pool)
    rows = np.array([[0, 1], [1, 0]])
    stored = stack.logits(assemble(encoded, rows, 0, store=store))
    assert torch.allclose(stored, stack.logits(assemble(encoded, rows, 0)), atol=TOLERANCE)
    assert all(
        own is shared
        for own, shared in zip(
            stack.replicas[0].network.buffers(), stack.replicas[1].network.buffers(), strict=True
        )
    )  # threads do not hold the weights twice


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_packed_base_is_known_as_the_same_base(stored, precision, make_decoder, tmp_path):
    folder = make_decoder("llama")
    network = transformers.AutoModelForCausalLM.from_pretrained(folder).to(stored)
    network.save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    base = _load(tmp_path, precision=precision)
    assert base.fingerprint == _load(tmp_path, precision=precision, quantize="none").fingerprint
    dtypes = {parameter.dtype for parameter in base.network.parameters()}
    assert dtypes == {torch.bfloat16 if precision == "bfloat16" else torch.float32}


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_an_adapter_learnt_over_four_bits_loads_on_the_whole_base_and_in_peft(
    kind, make_decoder, load_decoder, tmp_path
):
    import peft

    folder = make_decoder(kind)
    recipe = parse(
        f"{{task: chat, name: a, data: {{train: a}}, adapter: {{rank: 4, layers: all}},"
        f" model: {{base: '{folder}', quantize: nf4}}}}"
    )[0]
    stack = build(_load(folder), recipe.adapter, members=1, labels=0, seed=0, workers=1, whole=True)
    noise = torch.empty_like(stack.adapters).normal_(
        0, 0.05, generator=torch.Generator().manual_seed(1)
    )
    stack.bind(stack.adapters + noise, stack.heads)
    own = member_folder(tmp_path, recipe, 0)
    save_member(own, stack, recipe, stack.states()[0], None)
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        over_four_bits = stack.replicas[0].network(input_ids=IDS).logits
        writer = load_writer(tmp_path, recipe, load_decoder(kind), workers=1)
        ours = writer.stacks[0].replicas[0].network(input_ids=IDS).logits
        theirs = peft.PeftModel.from_pretrained(plain, str(own)).eval()(input_ids=IDS).logits
    assert torch.allclose(ours, theirs, atol=10 * TOLERANCE)
    assert not torch.allclose(over_four_bits, ours, atol=10 * TOLERANCE)


def test_without_the_library_the_line_that_installs_it_is_given(make_decoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError) as caught:
        _load(make_decoder("llama"))
    assert "fucina[quant]" in caught.value.fix


def test_a_machine_that_the_library_has_no_build_for_is_told_what_to_set(make_decoder, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("native library not available: libcudart.so\nmore")

    broken = SimpleNamespace(functional=SimpleNamespace(quantize_4bit=refuse))
    monkeypatch.setattr(packing, "library", lambda: broken)
    with pytest.raises(ModelError, match="libcudart") as caught:
        _load(make_decoder("llama"))
    assert "model.quantize=none" in caught.value.fix
