"""Weights in eight bits: how near they are, and what a broken file says."""

import json

import pytest
import torch
from safetensors.torch import save_file

from fucina import run
from fucina.config import ModelConfig
from fucina.errors import ModelError
from fucina.models import base as bases
from fucina.models.int8 import INT8, narrow, widen
from fucina.models.source import read


def test_a_number_is_off_by_half_of_its_rows_scale_at_most():
    torch.manual_seed(0)
    wide = {"w": torch.randn(50, 30) * torch.logspace(-6, 3, 50)[:, None], "b": torch.randn(30)}
    wide["w"][3] = 0
    again = widen(narrow(wide))
    assert set(again) == {"w", "b"}
    assert torch.equal(again["b"], wide["b"])
    assert torch.equal(again["w"][3], torch.zeros(30))
    scales = wide["w"].abs().amax(dim=1, keepdim=True) / 127
    assert ((again["w"] - wide["w"]).abs() <= scales * 0.5001).all()


@pytest.fixture
def folder(tmp_path):
    """A tiny BERT whose weights lie in eight bits, and the network that it was."""
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48,
    )  # fmt: skip
    network = transformers.BertModel(config).eval()
    config.save_pretrained(tmp_path)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    run.write_tensors(tmp_path / INT8, narrow(network.state_dict()))
    return tmp_path, network


def test_a_folder_in_eight_bits_is_a_base_like_any(folder):
    place, network = folder
    base = bases.load(ModelConfig(base=str(place)))
    again = bases.load(ModelConfig(base=str(place)))
    assert base.fingerprint == again.fingerprint
    ids = torch.tensor([[2, 7, 9, 3]])
    with torch.no_grad():
        ours, theirs = base.network(ids).last_hidden_state, network(ids).last_hidden_state
    assert torch.allclose(ours, theirs, atol=0.05)
    assert not torch.equal(ours, theirs)


def test_a_cut_file_or_one_of_another_network_is_named(folder):
    place, network = folder
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
    with pytest.raises(ModelError, match="cannot be had"):
        read("mine", str(place))
    (place / "config.json").write_text(json.dumps(config))
    some = dict(list(narrow(network.state_dict()).items())[:-4])
    save_file(some, place / INT8)
    with pytest.raises(ModelError, match="cannot be had"):
        read("mine", str(place))
    run.write_tensors(place / INT8, narrow(network.state_dict()))
    whole = (place / INT8).read_bytes()
    (place / INT8).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cannot be had"):
        read("mine", str(place))
