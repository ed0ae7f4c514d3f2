"""Merged weights are what the members compute, and a mean of equal members is that member."""

import pytest
import torch
import transformers

from fucina.config import AdapterConfig
from fucina.export import merge
from fucina.models.build import build
from fucina.models.peft_format import adapter_config, mean_of, to_tensors

IDS = torch.tensor([[5, 9, 20, 24, 7, 18, 12, 11, 3], [4, 8, 8, 21, 6, 2, 9, 14, 10]])
VARIANTS = {
    "lora": AdapterConfig(layers=2, rank=4, alpha=8),
    "rslora": AdapterConfig(layers="all", rank=4, alpha=8, rslora=True),
    "dora": AdapterConfig(layers=2, rank=4, alpha=8, dora=True),
    "both": AdapterConfig(layers="all", rank=4, alpha=8, rslora=True, dora=True),
    "full": AdapterConfig(kind="full", layers=1),
}


def _stack(base, config, members, *, alike=False):
    stack = build(base, config, members=members, labels=0, seed=0, workers=1, whole=True)
    drawn = torch.Generator().manual_seed(1)
    noise = torch.empty_like(stack.adapters).normal_(0, 0.05, generator=drawn)
    changed = stack.adapters + noise
    stack.bind(changed[:1].repeat(members, 1) if alike else changed, stack.heads)
    return stack


def _plain(folder):
    kind = transformers.AutoModelForCausalLM
    return kind.from_pretrained(folder, dtype=torch.float32).eval()


def _logits(network):
    with torch.no_grad():
        return network(input_ids=IDS).logits


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_mean_of_a_member_and_itself_has_its_logits(name, kind, load_decoder, make_decoder):
    config = VARIANTS[name]
    several = 1 if name == "full" else 3
    stack = _stack(load_decoder(kind), config, several, alike=True)
    alone, mean = _plain(make_decoder(kind)), _plain(make_decoder(kind))
    before = _logits(alone)
    merge(alone, [(stack, 0)])
    merge(mean, [(stack, place) for place in range(several)])
    assert torch.allclose(_logits(mean), _logits(alone), atol=1e-5)
    assert (_logits(alone) - before).abs().max() > 1e-2


@pytest.mark.filterwarnings("ignore:.*fan_in_fan_out")
@pytest.mark.parametrize("name", ["lora", "rslora"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_mean_of_adapters_is_one_adapter(name, kind, load_decoder, make_decoder, tmp_path):
    import json

    from peft import PeftModel
    from safetensors.torch import save_file

    config = VARIANTS[name]
    stack = _stack(load_decoder(kind), config, 3)
    made = mean_of(stack, list(stack.adapters))
    save_file({n: t.contiguous() for n, t in made.items()}, tmp_path / "adapter_model.safetensors")
    told = adapter_config(stack, config, members=3)
    (tmp_path / "adapter_config.json").write_text(json.dumps(told))
    merged = _plain(make_decoder(kind))
    merge(merged, [(stack, place) for place in range(3)])
    adapted = PeftModel.from_pretrained(_plain(make_decoder(kind)), str(tmp_path)).eval()
    assert torch.allclose(_logits(adapted), _logits(merged), atol=1e-5)
    alone = {name: tensor.shape for name, tensor in to_tensors(stack, stack.adapters[0]).items()}
    assert all(made[name].numel() == 3 * shape.numel() for name, shape in alone.items())
