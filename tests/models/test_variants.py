"""rsLoRA and DoRA are what PEFT computes: outputs, loss, every gradient, and files."""

import peft
import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional

from fucina.config import AdapterConfig
from fucina.models.adapter import AdapterSlot, Noise, StackedLinear, lengths
from fucina.models.build import build
from fucina.models.peft_format import adapter_config, to_tensors
from fucina.models.saved import save_member
from fucina.models.stack import pool
from fucina.models.trunk import Batch
from fucina.recipe import parse

# Sums in another order differ in the last bits of float32; 1e-5 is a hundred times that.
TOLERANCE = 1e-5
IDS = torch.tensor([[5, 9, 20, 24, 7, 18, 12, 11, 3], [4, 8, 8, 21, 6, 2, 9, 14, 10]])
MASK = torch.ones_like(IDS)
TARGETS = torch.tensor([2, 0])
VARIANTS = {
    "rslora": AdapterConfig(layers="all", rank=4, alpha=8, rslora=True),
    "dora": AdapterConfig(layers=2, rank=4, alpha=8, dora=True),
    "both": AdapterConfig(layers="all", rank=4, alpha=8, rslora=True, dora=True),
}
# A row of a tiny random matrix is about 0.1 long, so changes of 0.1 change its direction.
pytestmark = pytest.mark.parametrize("name", VARIANTS)


def _stack(base, config, members, labels=0):
    stack = build(base, config, members=members, labels=labels, seed=0, workers=1, whole=True)
    generator = torch.Generator().manual_seed(1)
    noise = torch.empty_like(stack.adapters).normal_(0, 0.1, generator=generator)
    heads = torch.empty_like(stack.heads).normal_(0, 0.1, generator=generator)
    stack.bind(stack.adapters + noise, heads)
    return stack


def _theirs(stack, config, member, network, folder):
    """PEFT's model with the weights of one member, read from what we wrote."""
    recipe = parse("{task: classification, name: a, data: {train: a}}")[0]
    recipe = recipe.model_copy(update={"adapter": config})
    save_member(folder, stack, recipe, stack.states()[member], None)
    return peft.PeftModel.from_pretrained(network, str(folder), is_trainable=True).eval()


def _gradients(model, loss):
    """By the names of a file of PEFT."""
    wanted = {n: p for n, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(wanted.values()))
    names = [n.replace(".default", "").replace("vector.weight", "vector") for n in wanted]
    return dict(zip(names, found, strict=True))


def _agree(stack, member, found, theirs):
    mine = stack.split_gradients(list(found))[0][member]
    ours = to_tensors(stack, mine)
    assert set(ours) == set(theirs)
    for name, gradient in theirs.items():
        assert torch.allclose(ours[name], gradient, atol=TOLERANCE), name
    assert max(gradient.abs().max() for gradient in theirs.values()) > 100 * TOLERANCE


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3"])
def test_a_writer_has_the_logits_loss_and_gradients_of_peft(
    name, kind, load_decoder, make_decoder, tmp_path
):
    base, config = load_decoder(kind), VARIANTS[name]
    stack = _stack(base, config, members=2)
    rows = torch.cat([IDS, IDS])  # the same two rows for both members
    logits = stack.replicas[0].network(input_ids=rows).logits
    losses = functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), rows[:, 1:].flatten(), reduction="none"
    )
    ours = losses.view(2, -1).mean(dim=1)
    found = torch.autograd.grad(ours.sum(), stack.leaves)
    for member in range(2):
        plain = transformers.AutoModelForCausalLM.from_pretrained(
            make_decoder(kind), dtype=torch.float32
        ).eval()
        with torch.no_grad():
            frozen = plain(input_ids=IDS).logits
        model = _theirs(stack, config, member, plain, tmp_path / str(member))
        theirs = model(input_ids=IDS).logits
        assert torch.allclose(logits.view(2, *theirs.shape)[member], theirs, atol=TOLERANCE * 10)
        assert not torch.allclose(frozen, theirs, atol=0.1)
        loss = functional.cross_entropy(theirs[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
        assert ours[member].item() == pytest.approx(loss.item(), abs=TOLERANCE)
        _agree(stack, member, found, _gradients(model, loss))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_labels_have_the_loss_and_gradients_of_peft(name, kind, load_base, make_base, tmp_path):
    base, config = load_base(kind), VARIANTS[name]
    stack = _stack(base, config, members=2, labels=3)
    batch = Batch(IDS.repeat(2, 1), MASK.repeat(2, 1), None, 2)
    logits = stack.logits(batch)
    ours = [functional.cross_entropy(own, TARGETS) for own in logits]
    found = torch.autograd.grad(sum(ours), stack.leaves)
    for member in range(2):
        plain = transformers.AutoModel.from_pretrained(make_base(kind), dtype=torch.float32).eval()
        model = _theirs(stack, config, member, plain, tmp_path / str(member))
        states = model(input_ids=IDS, attention_mask=MASK).last_hidden_state
        scores = pool(states, MASK, base.pooling) @ stack.head[member].detach()
        loss = functional.cross_entropy(scores + stack.bias[member].detach(), TARGETS)
        assert ours[member].item() == pytest.approx(loss.item(), abs=TOLERANCE)
        _agree(stack, member, found, _gradients(model, loss))


def test_an_untrained_member_is_the_base(name, load_decoder):
    base = load_decoder("gpt2")
    stack = build(base, VARIANTS[name], members=1, labels=0, seed=0, workers=1, whole=True)
    with torch.no_grad():
        ours = stack.replicas[0].network(input_ids=IDS).logits
        assert torch.allclose(ours, base.network(input_ids=IDS).logits, atol=TOLERANCE)


def test_a_new_adapter_starts_as_one_of_peft(name, load_decoder, make_decoder):
    config = VARIANTS[name]
    stack = build(load_decoder("llama"), config, members=1, labels=0, seed=0, workers=1)
    network = transformers.AutoModelForCausalLM.from_pretrained(make_decoder("llama"))
    settings = adapter_config(stack, config)
    settings = {k: v for k, v in settings.items() if k not in {"peft_type", "inference_mode"}}
    fresh = peft.get_peft_model(network, peft.LoraConfig(**settings))
    theirs = peft.get_peft_model_state_dict(fresh)
    ours = to_tensors(stack, stack.adapters[0])
    assert {key: value.shape for key, value in ours.items()} == {
        key: value.shape for key, value in theirs.items()
    }
    for key, value in ours.items():
        if "lora_A" not in key:  # drawn
            assert torch.allclose(value, theirs[key].float(), atol=TOLERANCE), key


def test_dropped_inputs_pass_as_in_peft(name):
    config, keep = VARIANTS[name], 0.6
    generator = torch.Generator().manual_seed(3)
    layer = nn.Linear(16, 12)
    x = torch.randn(2, 5, 16, generator=generator)
    settings = peft.LoraConfig(
        r=4, lora_alpha=8, lora_dropout=1 - keep, target_modules=["0"], use_dora=config.dora,
        use_rslora=config.rslora, init_lora_weights=False,
    )  # fmt: skip
    theirs = peft.get_peft_model(nn.Sequential(layer), settings).base_model.model[0].train()
    a, b = theirs.lora_A["default"].weight, theirs.lora_B["default"].weight
    slot = AdapterSlot(a.detach()[None], b.detach()[None])
    if config.dora:
        slot.m = lengths(layer.weight.detach())[None] * 1.1
        theirs.lora_magnitude_vector["default"].weight.data = slot.m[0].clone()
    for tensor in (slot.a, slot.b, slot.m):
        _ = tensor is None or tensor.requires_grad_()
    noise = Noise(torch.Generator().manual_seed(7), active=True)
    ours = StackedLinear(
        layer.weight.detach(), layer.bias.detach(), slot, scale=theirs.scaling["default"],
        dropout=1 - keep, noise=noise,
    )  # fmt: skip
    mask = torch.empty(1, 10, 16).bernoulli_(keep, generator=torch.Generator().manual_seed(7))
    theirs.lora_dropout["default"] = _Given(mask.view_as(x) / keep)
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, z = ours(mine), theirs(other)
    assert torch.allclose(y, z, atol=TOLERANCE)
    leaves = [mine, slot.a, slot.b] + ([slot.m] if config.dora else [])
    others = [other, a, b] + (
        [theirs.lora_magnitude_vector["default"].weight] if config.dora else []
    )
    grad = torch.randn_like(y)
    for one, two in zip(
        torch.autograd.grad(y, leaves, grad), torch.autograd.grad(z, others, grad), strict=True
    ):
        assert torch.allclose(one.reshape(two.shape), two, atol=TOLERANCE)


class _Given(nn.Module):
    """Dropout with a mask that is known."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, x):
        return x * self.mask
