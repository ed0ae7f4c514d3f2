"""Computing layers twice instead of keeping them: the same numbers, and less to keep."""

import numpy as np
import pytest
import torch

from fucina.config import AdapterConfig
from fucina.models.build import build
from fucina.models.conversations import write
from fucina.models.pairs import pair
from fucina.models.trunk import Batch
from fucina.records import Example, Fold, Message
from fucina.train.batches import at_most, chunks
from fucina.train.members import Loop
from fucina.train.pairs import PAIRS, PairMaterial
from fucina.train.texts import TEXTS, TextMaterial

IDS = torch.tensor([[5, 9, 20, 24, 7, 18, 12, 11, 3], [4, 8, 8, 21, 6, 2, 9, 14, 10]])
CONFIGS = {
    "dropout": AdapterConfig(layers="all", rank=4, dropout=0.3),
    "top, DoRA": AdapterConfig(layers=2, rank=4, dropout=0.3, dora=True),
    "full": AdapterConfig(kind="full", layers=2),
}
SAID = [("Com'è il mare?", "Grosso."), ("Posso uscire?", "No, gira a libeccio, resta qui."),
        ("Che luce è?", "La testa del molo."), ("Quando accendi?", "Al tramonto.")]  # fmt: skip


def _randomize(stack):
    generator = torch.Generator().manual_seed(1)
    noise = torch.empty_like(stack.adapters).normal_(0, 0.05, generator=generator)
    heads = torch.empty_like(stack.heads).normal_(0, 0.1, generator=generator)
    stack.bind(stack.adapters + noise, heads)


def _kept_bytes(job):
    """What a job gives, and the bytes that autograd keeps of it."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = job()
    return found, sum(kept.values())


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2", "gpt_bigcode"])
def test_labels_have_the_same_gradients_and_less_is_kept(kind, name, load_base):
    base, config = load_base(kind), CONFIGS[name]
    members = 1 if config.kind == "full" else 2
    batch = Batch(IDS.repeat(members, 1), torch.ones_like(IDS).repeat(members, 1), None, members)
    results = []
    for on in (False, True):
        stack = build(base, config, members=members, labels=3, seed=0, workers=1, checkpointing=on)
        _randomize(stack)
        logits, kept = _kept_bytes(lambda stack=stack: stack.logits(batch, noise_seed=5))
        found = torch.autograd.grad(logits.square().mean(), stack.leaves, allow_unused=True)
        results.append((logits, [f for f in found if f is not None], kept))
    (plain, expected, much), (twice, found, little) = results
    assert torch.equal(plain, twice)
    assert all(torch.equal(one, two) for one, two in zip(expected, found, strict=True))
    assert max(gradient.abs().max() for gradient in expected) > 1e-3
    assert little < 0.7 * much


def _gradients(base, config, pool, *, on):
    rows = [
        Example.of_conversation([Message("system", "Sei Nerina, guardiana del faro."),
                                 Message("user", asked), Message("assistant", said)])
        for asked, said in SAID
    ]  # fmt: skip
    written = write(rows, base.template, max_length_tokens=256)
    assert written.prefix > 8  # the beginning is run once, and its keys and values are shared
    members = 1 if config.kind == "full" else 2
    stack = build(base, config, members=members, labels=0, seed=0, workers=2, checkpointing=on)
    _randomize(stack)
    folds = tuple(Fold((0, 1, 2, 3), (0,)) for _ in range(members))
    active = [type("Active", (), {"index": i})() for i in range(members)]
    loop = Loop(stack, TextMaterial(written, folds), TEXTS, active, None, 4, 4)
    batch = np.tile(np.arange(4), (members, 1))
    weights = written.weights[batch].sum(axis=1)
    parts = at_most(chunks(batch, written.lengths), 4)
    assert len(parts) > 1
    return TEXTS.gradients(loop, parts, weights, pool, 7)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(
    "kind", ["llama", "qwen3", "gemma3", "mistral", "phi", "gpt2", "gpt_bigcode"]
)
def test_texts_behind_a_shared_beginning_have_the_same_gradients(kind, name, load_decoder, pool):
    base, config = load_decoder(kind), CONFIGS[name]
    plain, _, losses = _gradients(base, config, pool, on=False)
    twice, _, again = _gradients(base, config, pool, on=True)
    assert torch.equal(plain, twice)
    assert np.array_equal(losses, again)
    assert plain.abs().max() > 1e-3


def test_dropout_matters_in_these_tests(load_decoder, pool):
    dry = CONFIGS["dropout"].model_copy(update={"dropout": 0.0})
    base = load_decoder("llama")
    wet, _, _ = _gradients(base, CONFIGS["dropout"], pool, on=True)
    assert not torch.allclose(wet, _gradients(base, dry, pool, on=True)[0], atol=1e-4)


def _pair_gradients(base, config, pool, *, on):
    pairs = pair(
        [Example(asked, said) for asked, said in SAID], base.template, max_length_tokens=64
    )
    members = 1 if config.kind == "full" else 2
    stack = build(base, config, members=members, labels=0, seed=0, workers=2, checkpointing=on)
    _randomize(stack)
    folds = tuple(Fold((0, 1, 2, 3), (0,)) for _ in range(members))
    active = [type("Active", (), {"index": i})() for i in range(members)]
    loop = Loop(stack, PairMaterial(pairs, folds, None), PAIRS, active, None, 4, 4)
    batch = np.tile(np.arange(4), (members, 1))
    weights = loop.material.weights[batch].sum(axis=1)
    return PAIRS.gradients(loop, at_most(chunks(batch, loop.material.lengths), 4), weights, pool, 7)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_encoder_decoders_have_the_same_gradients(kind, name, load_pair, pool):
    base, config = load_pair(kind), CONFIGS[name]
    plain, _, losses = _pair_gradients(base, config, pool, on=False)
    twice, _, again = _pair_gradients(base, config, pool, on=True)
    assert torch.equal(plain, twice)
    assert np.array_equal(losses, again)
    assert plain.abs().max() > 1e-3
