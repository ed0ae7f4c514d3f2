"""Vectors as sentence-transformers makes them of the same folder."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fucina.config import IndexConfig
from fucina.errors import ModelError
from fucina.retrieval import open_embedder

TEXTS = ["il pacco è nero", "quando arriva l'ordine?", "rimborso"]


@pytest.fixture
def sentence_model(make_base, tmp_path):
    """A folder with modules behind the network: each a kind, or a Dense with its settings."""

    def make(*modules):
        place = tmp_path / f"model{len(list(tmp_path.iterdir()))}"
        shutil.copytree(make_base("bert"), place)
        listed = [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
        ]
        for number, module in enumerate(("Pooling", *modules), start=1):
            kind = module if isinstance(module, str) else "Dense"
            path = f"{number}_{kind}"
            listed.append({"idx": number, "name": str(number), "path": path,
                           "type": f"sentence_transformers.models.{kind}"})  # fmt: skip
            if isinstance(module, dict):
                (place / path).mkdir()
                tensors = module["tensors"]
                save_file(tensors, place / path / "model.safetensors")
                told = {"bias": "linear.bias" in tensors,
                        "activation_function": f"torch.nn.modules.activation.{module['bend']}"}  # fmt: skip
                (place / path / "config.json").write_text(json.dumps(told), encoding="utf-8")
        (place / "modules.json").write_text(json.dumps(listed), encoding="utf-8")
        return place

    return make


def vectors(place):
    with open_embedder(IndexConfig(embedder=str(place))) as embedder:
        return embedder.passages(TEXTS)


def dense(width, out, *, bias=True, bend="Tanh"):
    torch.manual_seed(1)
    tensors = {"linear.weight": torch.randn(out, width)}
    return {"tensors": tensors | ({"linear.bias": torch.randn(out)} if bias else {}), "bend": bend}


def raw(place):
    """The mean of the last states, as long as they are."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(place), AutoModel.from_pretrained(place)
    found = []
    for text in TEXTS:
        with torch.no_grad():
            states = network(**tokenizer(text, return_tensors="pt")).last_hidden_state
        found.append(states[0].mean(dim=0))
    return torch.stack(found)


@pytest.mark.parametrize(("bend", "bias"), [("Tanh", True), ("Identity", False), ("ReLU", True)])
def test_layers_behind_the_pooling_are_computed(sentence_model, make_base, bend, bias):
    width = raw(make_base("bert")).shape[1]
    layer = dense(width, 5, bias=bias, bend=bend)
    found = vectors(sentence_model(layer, "Normalize"))
    tensors = layer["tensors"]
    expected = torch.nn.functional.linear(
        raw(make_base("bert")), tensors["linear.weight"], tensors.get("linear.bias")
    )
    expected = torch.nn.functional.normalize(getattr(torch.nn, bend)()(expected), dim=-1).numpy()
    assert found.shape == (3, 5)
    assert np.allclose(found, expected, atol=2e-3)


def test_a_norm_before_a_layer_is_one(sentence_model, make_base):
    width = raw(make_base("bert")).shape[1]
    layer = dense(width, 4)
    behind, before = sentence_model(layer, "Normalize"), sentence_model("Normalize", layer)
    assert not np.allclose(vectors(behind), vectors(before), atol=1e-2)
    assert np.allclose(vectors(sentence_model("Normalize")), vectors(sentence_model()), atol=1e-6)


@pytest.mark.parametrize("module", ["LSTM", {"tensors": {}, "bend": "Softmax"}])
def test_what_nothing_here_computes_is_refused_with_the_fix(sentence_model, module):
    if isinstance(module, dict):
        module = dense(32, 4, bend="Softmax")
    with pytest.raises(ModelError, match="nothing here computes") as caught:
        vectors(sentence_model(module))
    assert "embedder_url" in caught.value.fix
